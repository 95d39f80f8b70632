// `tailrace record`: puts events from files or standard input into the queue table. Rejected events are said on
// standard error, each with its line, and kept in a reject file; the rest is recorded.

import { createReadStream } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { ArgumentsCamelCase } from 'yargs';
import { findConfigFile } from '../config/find.ts';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { EXIT, messageOf, TailraceError } from '../lib/errors.ts';
import { openRecordingConnection } from '../recording/connection.ts';
import type { NormalizeOptions } from '../recording/normalize.ts';
import { type InputFormat, readInput } from '../recording/read-input.ts';
import { createRecorder, type Recorder, type RecordingCounts } from '../recording/recorder.ts';
import { RejectFile } from '../recording/reject-file.ts';
import { openSwitches } from '../recording/switches.ts';
import type { Command, CommandContext } from './command.ts';
import { controlOption, findControl } from './control.ts';
import { databaseOption, databaseUrl } from './database.ts';

/** Rejected events that are reported one by one; the others are in the reject file all the same. */
const REPORTED_REJECTIONS = 20;
const DEFAULT_BOUNCE_TEXT_BYTES = 1024;
/** What standard input is called, here and in messages; a file of that name is `./stdin`. */
const STDIN = 'stdin';

/** The command `record`: exit 0 when every event was recorded, 1 when one was rejected. */
export const record: Command = {
  usage: 'record [files..]',
  summary: 'put events into the queue table',
  examples: [
    ['tailrace record events.jsonl', 'record a file of JSON lines, or of one JSON array'],
    ['tailrace record --all events.jsonl', 'the same, whatever `tailrace recording list` says is off'],
    ['producer | tailrace record', 'record events as they come, at the latest 200 ms after'],
    ['jq -r .input events.jsonl.rejected.jsonl', 'get rejected events back, to mend and record them'],
  ],
  options: (yargs) =>
    controlOption(databaseOption(yargs))
      .positional('files', { type: 'string', array: true, describe: 'files to read; without any, standard input' })
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file, for server_id' })
      .option('all', { type: 'boolean', default: false, describe: 'record event types that are switched off too' })
      .option('rejects', { type: 'string', requiresArg: true, describe: 'reject file (default: FILE.rejected.jsonl)' })
      .option('format', {
        choices: ['auto', 'jsonl', 'array'] as const,
        default: 'auto' as const,
        describe: 'JSON lines, one JSON array, or whichever the first character tells',
      }),
  async run(args, context) {
    const files = inputsOf(args);
    await checkReadable(files);
    const options = await recordingOptions(text(args.config), context);
    await using connection = await openRecordingConnection(databaseUrl(args, context.env));
    const report = createReport(context);
    await using switches =
      args.all === true
        ? null
        : await openSwitches(connection, {
            directory: await findControl(args, context.env),
            onProblem: (path, problem) => report.warn(`${path} ${problem}; it counts as off`),
          });
    const rejects = new Map<string, RejectFile>();
    await using _closing = { [Symbol.asyncDispose]: () => closeAll(rejects.values()) };

    let source = '';
    const recorder = await createRecorder(connection, {
      ...options,
      ...(switches ? { switches } : {}),
      onProgress: report.progress,
      onRejected: async ({ line, text: input }, error) => {
        const path = text(args.rejects) ?? rejectFileOf(source);
        const file = rejects.get(path) ?? new RejectFile(path);
        rejects.set(path, file);
        report.rejected(`${source}:${line}: ${error}`);
        await file.add({ source, line, error, input });
      },
    });
    for (const file of files) {
      source = file;
      const input = file === STDIN ? context.stdin : createReadStream(file);
      await recordOne(recorder, source, readInput(input, formatOf(args.format)));
    }
    report.end(recorder, [...rejects.keys()]);
    return recorder.counts.rejected === 0 ? EXIT.ok : EXIT.problem;
  },
};

/** The files named, behind a `--` too. yargs drops a lone `-` between others, so `/dev/stdin` says the same. */
function inputsOf({ files, _: [, ...behindDashes] }: ArgumentsCamelCase): string[] {
  const named = [...(Array.isArray(files) ? files : []), ...behindDashes].map(String);
  return (named.length > 0 ? named : ['-']).map((name) => (name === '-' || name === '/dev/stdin' ? STDIN : name));
}

/** Before the first event, so that a misspelt name does not leave half of the files recorded. */
async function checkReadable(files: readonly string[]): Promise<void> {
  for (const file of files.filter((name) => name !== STDIN)) {
    try {
      await access(file, constants.R_OK);
    } catch (cause) {
      throw new TailraceError('INPUT_NOT_READABLE', `${file} cannot be read: ${messageOf(cause)}`, { cause });
    }
  }
}

/**
 * What recording takes from the configuration; defaults when there is none.
 *
 * @throws {TailraceError} `CONFIG_INVALID` when one was named that is not good.
 */
export async function recordingOptions(option: string | undefined, context: CommandContext): Promise<NormalizeOptions> {
  const found = findConfigFile({ option, env: context.env });
  const fallback = { serverId: hostname(), bounceTextBytes: DEFAULT_BOUNCE_TEXT_BYTES };
  if (!found) return fallback;
  const { config, problems } = await loadConfig(found.file, { env: context.env });
  if (config) return { serverId: config.serverId, bounceTextBytes: config.storeBounceDetailsLength };
  const [problem] = problems;
  const message = problem ? formatProblem(found.file, problem) : `${found.file} is no good configuration`;
  if (found.explicit) throw new TailraceError('CONFIG_INVALID', message);
  // A producer may run as a user that must not read the destinations' secrets.
  context.stderr.write(`warning: ${message}; server_id is ${fallback.serverId}\n`);
  return fallback;
}

/** @throws {TailraceError} that says how far recording came. */
async function recordOne(recorder: Recorder, source: string, input: ReturnType<typeof readInput>): Promise<void> {
  try {
    await recorder.record(input);
  } catch (cause) {
    const { recorded, line } = recorder.counts;
    const [code, exitCode] =
      cause instanceof TailraceError ? [cause.code, cause.exitCode] : ['RECORDING_FAILED', EXIT.problem];
    const reached = `${recorded.toLocaleString('en-US')} events are recorded; go on behind line ${line} of ${source}`;
    throw new TailraceError(code, `${messageOf(cause)}; ${reached}`, { exitCode, cause });
  }
}

/** What a person sees: rejections, progress on a terminal, and one line at the end. */
function createReport({ stdout, stderr }: CommandContext) {
  const clear = stderr.isTTY ? '\r\u001b[K' : '';
  let shown = 0;
  return {
    warn(message: string): void {
      stderr.write(`${clear}warning: ${message}\n`);
    },
    rejected(message: string): void {
      shown += 1;
      if (shown <= REPORTED_REJECTIONS) stderr.write(`${clear}${message}\n`);
    },
    progress({ recorded }: RecordingCounts): void {
      if (stderr.isTTY) stderr.write(`${clear}recorded ${recorded.toLocaleString('en-US')}`);
    },
    end(
      { counts: { recorded, rejected, suppressed }, missingColumns }: Recorder,
      rejectFiles: readonly string[],
    ): void {
      stderr.write(clear);
      if (rejected > REPORTED_REJECTIONS) {
        stderr.write(`and ${(rejected - REPORTED_REJECTIONS).toLocaleString('en-US')} more rejected\n`);
      }
      if (missingColumns.size > 0) {
        stderr.write(`warning: the queue table lacks ${[...missingColumns].join(', ')}; their values are not stored\n`);
      }
      const off = [...suppressed.values()].reduce((sum, each) => sum + each, 0);
      if (off > 0) {
        const types = Array.from(suppressed, ([type, number]) => `${type} ${number.toLocaleString('en-US')}`);
        stderr.write(
          `not recorded, since it is switched off: ${types.join(', ')}; see \`tailrace recording list\`, or record it regardless with --all\n`,
        );
      }
      const all = `recorded ${recorded.toLocaleString('en-US')}, rejected ${rejected.toLocaleString('en-US')}`;
      const counts = off > 0 ? `${all}, switched off ${off.toLocaleString('en-US')}` : all;
      stdout.write(rejected === 0 ? `${counts}\n` : `${counts} (see ${rejectFiles.join(', ')})\n`);
    },
  };
}

async function closeAll(files: Iterable<RejectFile>): Promise<void> {
  for (const file of files) await file[Symbol.asyncDispose]();
}

function rejectFileOf(source: string): string {
  return source === STDIN ? 'tailrace-rejected.jsonl' : `${source}.rejected.jsonl`;
}

function formatOf(value: unknown): InputFormat {
  return value === 'jsonl' || value === 'array' ? value : 'auto';
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
