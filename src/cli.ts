// From the command line to a command, and from what it returns or throws to an exit code. The only place that knows
// exit codes as such; nothing here ends the process.

import type { Argv } from 'yargs';
import yargs from 'yargs';
import type { Command, CommandContext } from './cli/command.ts';
import { codeOf, EXIT, type ExitCode, isServerError, messageOf, TailraceError } from './lib/errors.ts';
import { version } from './lib/version.ts';

/** Loaded when it is the one that is called, so that a processor holds no memory for the others; all of them for `--help`. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./cli/run/run.ts')).run,
  check: async () => (await import('./cli/check.ts')).check,
  init: async () => (await import('./cli/init.ts')).init,
  doctor: async () => (await import('./cli/doctor/doctor.ts')).doctor,
  status: async () => (await import('./cli/status.ts')).status,
  trace: async () => (await import('./cli/trace/trace.ts')).trace,
  pause: async () => (await import('./cli/pause.ts')).pause,
  resume: async () => (await import('./cli/pause.ts')).resume,
  retry: async () => (await import('./cli/retry.ts')).retry,
  explain: async () => (await import('./cli/explain/explain.ts')).explain,
  plan: async () => (await import('./cli/plan/plan.ts')).plan,
  record: async () => (await import('./cli/record/record.ts')).record,
  intake: async () => (await import('./cli/intake.ts')).intake,
  recording: async () => (await import('./cli/recording.ts')).recording,
  rotate: async () => (await import('./cli/rotate.ts')).rotate,
  'verify-log': async () => (await import('./cli/verify-log/verify-log.ts')).verifyLog,
  replay: async () => (await import('./cli/replay/replay.ts')).replay,
  journal: async () => (await import('./cli/journal.ts')).journal,
  completion: async () => (await import('./cli/completion.ts')).completion,
  demo: async () => (await import('./cli/demo.ts')).demo,
};
/** For who builds the package; no line of `--help`. */
const HIDDEN: typeof COMMANDS = {
  man: async () => (await import('./cli/man.ts')).createMan(allCommands),
};

const EPILOGUE = `Exit codes: 0 good, 1 problem found, 2 usage, 69 unavailable, 75 try again later.`;

const IN_USE = { hint: '; the table is in use by something else: try again', exitCode: EXIT.tryAgain } as const;
/** What to do about refusals that a person meets, by SQLSTATE. */
const REFUSALS: Readonly<Record<string, { readonly hint: string; readonly exitCode?: ExitCode }>> = {
  '42501': { hint: '; grant the role what the README lists, or run `tailrace init` as the owner' },
  // lock_timeout, statement_timeout
  '55P03': IN_USE,
  '57014': IN_USE,
};

/**
 * Runs one command line.
 *
 * @param argv without the program's own name.
 * @param onBegin called just before the command itself, which minds signals from then on.
 * @returns the exit code; everything to be said has been written.
 */
export async function runCli(
  argv: readonly string[],
  context: CommandContext,
  onBegin: () => void = () => {},
): Promise<ExitCode> {
  if (argv[0] === '--get-yargs-completions') return await complete(argv.slice(2), context);
  const words = normalize(argv);
  let work: (() => Promise<ExitCode>) | null = null;
  const parser = yargs(words)
    .scriptName('tailrace')
    .usage('$0 <command>\n\nWrites email events from a PostgreSQL queue table to a JSON-lines file and delivers them.')
    .version(version())
    .help()
    .alias({ h: 'help' })
    .strict()
    .recommendCommands()
    .demandCommand(1, 'Name a command; `tailrace --help` lists them.')
    .option('check-syntax', { type: 'boolean', describe: 'the same as `check`, as the old processor had it' })
    .epilogue(EPILOGUE)
    .exitProcess(false)
    .showHelpOnFail(false)
    .wrap(Math.min(context.stdout.columns ?? 100, 120));
  const commands = await loadCommands(words);
  const lists = new Set(
    commands.flatMap(({ usage, repeatable = [] }) => [
      ...Array.from(usage.matchAll(/(\w+)\.\./g), ([, name]) => name),
      ...repeatable,
    ]),
  );
  // Of an option that is given twice the last counts; `[files..]` are all wanted.
  parser.middleware((args) => {
    for (const [name, value] of Object.entries(args)) {
      if (Array.isArray(value) && name !== '_' && !lists.has(name)) args[name] = value.at(-1);
    }
  });
  for (const command of commands) {
    parser.command({
      command: command.usage,
      describe: command.summary,
      builder: (sub: Argv) => {
        for (const [line, purpose] of command.examples) sub.example(line, purpose);
        return command.options(sub);
      },
      handler: (args) => {
        work = () => {
          onBegin();
          return command.run(args, context);
        };
      },
    });
  }
  const usage = await parse(parser, words, context);
  if (usage !== null) return usage;
  return work === null ? EXIT.ok : perform(work, context);
}

async function loadCommands(words: readonly string[]): Promise<readonly Command[]> {
  const name = words[0] ?? '';
  const load = COMMANDS[name] ?? HIDDEN[name];
  return load ? [await load()] : await allCommands();
}

/** Every command that `--help` lists, in that order. */
export async function allCommands(): Promise<readonly Command[]> {
  return await Promise.all(Object.values(COMMANDS).map((load) => load()));
}

/** Answers the shell's question what may stand at the cursor, one candidate a line. */
async function complete(words: readonly string[], context: CommandContext): Promise<ExitCode> {
  const { candidatesFor } = await import('./cli/completion.ts');
  const command = words.length > 1 ? await COMMANDS[words[0] ?? '']?.() : undefined;
  const candidates = await candidatesFor(words, Object.keys(COMMANDS), command, context);
  for (const each of candidates) context.stdout.write(`${each}\n`);
  return EXIT.ok;
}

/**
 * `tailrace --check-syntax [FILE]`, as the old processor was called, is `check`; a lone `-`, which yargs drops, is
 * standard input.
 */
function normalize(argv: readonly string[]): string[] {
  const words = argv.map((word) => (word === '-' ? '/dev/stdin' : word));
  if (!words.includes('--check-syntax')) return words;
  return ['check', ...words.filter((word) => word !== '--check-syntax' && word !== 'check')];
}

/** @returns an exit code when the command line is wrong, or was only a question (`--help`, `--version`). */
async function parse(parser: Argv, argv: string[], { stdout, stderr }: CommandContext): Promise<ExitCode | null> {
  let problem: Error | null = null;
  let answer = '';
  try {
    await parser
      .fail((message, error) => {
        throw error ?? new Error(message);
      })
      .parseAsync(argv, (error: Error | undefined, _args: unknown, output: string) => {
        problem ??= error ?? null;
        answer = output;
      });
  } catch (error) {
    problem = error instanceof Error ? error : new Error(String(error));
  }
  if (problem !== null) {
    // yargs asks "Did you mean plan?" without a word of what is wrong.
    const { message } = problem as Error;
    const unknown = message.startsWith('Did you mean ') ? 'there is no such command. ' : '';
    stderr.write(`tailrace: ${unknown}${message}\n`);
    stderr.write('Try `tailrace --help`.\n');
    return EXIT.usage;
  }
  if (answer === '') return null;
  stdout.write(`${answer}\n`);
  return EXIT.ok;
}

async function perform(work: () => Promise<ExitCode>, { stderr }: CommandContext): Promise<ExitCode> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TailraceError) {
      stderr.write(`tailrace: ${error.message}\n`);
      return error.exitCode;
    }
    if (!isServerError(error)) throw error;
    const { hint = '', exitCode = EXIT.problem } = REFUSALS[codeOf(error) ?? ''] ?? {};
    stderr.write(`tailrace: PostgreSQL refused: ${messageOf(error)} (${codeOf(error)})${hint}\n`);
    return exitCode;
  }
}
