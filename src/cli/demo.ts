// The command `demo`: shows tailrace at work on a machine that has nothing but Node, and checks that it adds up.

import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runDemo } from '../demo/demo.ts';
import { createScreen } from '../demo/screen.ts';
import { EXIT } from '../lib/errors.ts';
import type { Command } from './command.ts';

const DEFAULT_SECONDS = 7;
/** Within this time after the first signal another one is its echo: npm hands on what the terminal has sent already. */
const ECHO_MS = 1_000;

export const demo: Command = {
  usage: 'demo',
  summary: 'show tailrace at work for ten seconds, with a PostgreSQL and a receiver of its own',
  examples: [
    ['tailrace demo', 'run it, and say where its files are'],
    ['tailrace demo --keep --directory /tmp/try', 'leave it running, to look around, until Ctrl-C'],
  ],
  options: (yargs) =>
    yargs
      .option('directory', { type: 'string', requiresArg: true, describe: 'a new folder for everything it makes' })
      .option('seconds', {
        type: 'number',
        requiresArg: true,
        default: DEFAULT_SECONDS,
        describe: 'how long events trickle in',
      })
      .option('keep', { type: 'boolean', default: false, describe: 'go on until Ctrl-C' })
      .check(({ seconds }) => {
        if (typeof seconds === 'number' && seconds > 0 && Number.isFinite(seconds)) return true;
        throw new Error('--seconds has to be a number greater than 0');
      }),
  async run(args, { env, stdout }) {
    const directory = typeof args.directory === 'string' ? resolve(args.directory) : await makeFolder();
    const screen = createScreen(stdout, env);
    const ending = new AbortController();
    const stopListening = onSignals(ending);
    try {
      stdout.write(`\n  tailrace demo in ${directory}\n\n`);
      const seconds = args.keep === true ? null : Number(args.seconds);
      const accounts = await runDemo({ directory, seconds, env, screen, signal: ending.signal });
      if (!accounts) return EXIT.ok;
      const logFiles = join(directory, 'events.jsonl*');
      screen.summary(accounts, [
        ['log files', logFiles],
        ['the rest', `${directory}: configuration, and what each command said`],
        ['try', `jq -r 'select(.event_type == "bounce_bad_address") | [.email, .bounce_text] | @tsv' ${logFiles}`],
      ]);
      return accounts.problems.length === 0 ? EXIT.ok : EXIT.problem;
    } finally {
      stopListening();
    }
  },
};

/**
 * The first signal ends the demo in order, a later one at once.
 *
 * @returns a function that takes the listeners away again.
 */
function onSignals(ending: AbortController): () => void {
  let firstAt: number | undefined;
  const listen = (signal: NodeJS.Signals) => {
    firstAt ??= performance.now();
    ending.abort();
    if (performance.now() - firstAt < ECHO_MS) return;
    stop();
    process.kill(process.pid, signal); // as if nobody listened; the children end when we do
  };
  const stop = () => {
    process.off('SIGINT', listen).off('SIGTERM', listen);
  };
  process.on('SIGINT', listen).on('SIGTERM', listen);
  return stop;
}

/** Anybody may look in: the account that PostgreSQL runs under has to. */
async function makeFolder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-demo-'));
  await chmod(directory, 0o755);
  return directory;
}
