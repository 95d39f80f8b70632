// `tailrace record`: puts events from files or standard input into the queue table. Rejected events are said on
// standard error, each with its line, and kept in a reject file; the rest is recorded.

import { stat } from 'node:fs/promises';
import type { ArgumentsCamelCase } from 'yargs';
import { codeOf, EXIT, messageOf, TailraceError } from '../../lib/errors.ts';
import { many } from '../../lib/quantity.ts';
import { beforeSignalEnds } from '../../lib/shutdown.ts';
import { visible } from '../../lib/visible.ts';
import { type Checkpoint, openCheckpoint, whyNoCheckpoints } from '../../recording/checkpoint.ts';
import { openRecordingConnection, type RecordingConnection } from '../../recording/connection.ts';
import { type FileIdentity, type InputFile, openInputFile } from '../../recording/input-file.ts';
import { type InputFormat, readInput } from '../../recording/read-input.ts';
import { createRecorder, type Recorder } from '../../recording/recorder.ts';
import { RejectFile } from '../../recording/reject-file.ts';
import { openSwitches } from '../../recording/switches.ts';
import { type Command, textOf } from '../command.ts';
import { recordingOptions } from '../configuration.ts';
import { controlOption, findControl } from '../control.ts';
import { databaseOption, databaseUrl } from '../database.ts';
import { createRecordReport, type RecordReport } from './report.ts';

/** What standard input is called, here and in messages; a file of that name is `./stdin`. */
const STDIN = 'stdin';

/** An input under way. */
interface Source {
  /** As the user named it. */
  readonly name: string;
  /** null: standard input. */
  readonly file: InputFile | null;
}

/** The command `record`: exit 0 when every event was recorded, 1 when one was rejected. */
export const record: Command = {
  usage: 'record [files..]',
  summary: 'put events into the queue table',
  examples: [
    ['tailrace record events.jsonl', 'record a file of JSON lines, or of one JSON array'],
    ['tailrace record --resume events.jsonl.gz', 'go on behind the last line that is in the queue'],
    ['tailrace record --all events.jsonl', 'the same, whatever `tailrace recording list` says is off'],
    ['producer | tailrace record', 'record events as they come, at the latest 200 ms after'],
    ['tailrace record monday.json - friday.jsonl', 'several inputs in turn; - is standard input'],
    ['jq -r .input events.jsonl.rejected.jsonl', 'get rejected events back, to mend and record them'],
  ],
  options: (yargs) =>
    controlOption(databaseOption(yargs))
      .positional('files', {
        type: 'string',
        array: true,
        describe: 'files to read, gzipped or not; without any or with -, standard input',
      })
      .option('resume', {
        type: 'boolean',
        default: false,
        describe: 'go on behind the last line of each file that is recorded',
      })
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file, for server_id' })
      .option('all', { type: 'boolean', default: false, describe: 'record event types that are switched off too' })
      .option('derive-bad-address', {
        type: 'boolean',
        default: false,
        describe: 'a bounce_all with bounce_type h brings a bounce_bad_address with it',
      })
      .option('rejects', { type: 'string', requiresArg: true, describe: 'reject file (default: FILE.rejected.jsonl)' })
      .option('format', {
        choices: ['auto', 'jsonl', 'array'] as const,
        default: 'auto' as const,
        describe: 'JSON lines; one JSON array, or an object whose `events` is one; or whichever its beginning tells',
      }),
  async run(args, context) {
    const names = inputsOf(args);
    const resume = args.resume === true;
    if (resume && names.includes(STDIN)) throw notResumable('standard input');
    await checkReadable(names, resume);
    const rejectsAt = textOf(args.rejects);
    if (rejectsAt !== undefined) await new RejectFile(rejectsAt).checkPlace();
    const options = await recordingOptions(textOf(args.config), context);
    await using connection = await openRecordingConnection(databaseUrl(args, context.env));
    const report = createRecordReport(context);
    const keeps = await keepsPositions(connection, resume);
    await using switches =
      args.all === true
        ? null
        : await openSwitches(connection, {
            directory: await findControl(args, context.env),
            onProblem: (path, problem) => report.warn(`${path} ${problem}; it counts as off`),
          });
    const rejects = new Map<string, RejectFile>();
    await using _closing = { [Symbol.asyncDispose]: () => closeAll(rejects.values()) };

    let source: Source = { name: '', file: null };
    const recorder = await createRecorder(connection, {
      ...options,
      ...(switches ? { switches } : {}),
      derivesBadAddress: args.deriveBadAddress === true,
      onProgress: (counts) => report.progress(counts, shareOf(source)),
      onRejected: async ({ line, text: input }, error) => {
        const path = rejectsAt ?? rejectFileOf(source.name);
        const file = rejects.get(path) ?? new RejectFile(path);
        rejects.set(path, file);
        report.rejected(`${source.name}:${line}: ${visible(error)}`);
        await file.add({ source: source.name, line, error, input });
      },
    });
    using _interrupted = beforeSignalEnds(() => report.note(interruption(recorder, source, keeps)));
    for (const name of names) {
      await using file = name === STDIN ? null : await openInputFile(name);
      source = { name, file };
      const checkpoint = keeps ? await checkpointOf(connection, source, resume, report) : undefined;
      const input = readInput(file?.chunks() ?? context.stdin, formatOf(args.format), file?.giveBack);
      await recordOne(recorder, source, input, checkpoint).catch((error: unknown) => {
        context.stdin.destroy(); // a producer that still writes learns of it
        throw error;
      });
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
async function checkReadable(names: readonly string[], resume: boolean): Promise<void> {
  for (const name of names.filter((each) => each !== STDIN)) {
    // A named pipe is not opened: that would wait for its writer.
    const stats = await stat(name).catch((error: unknown) => messageOf(error));
    const isPipe = typeof stats !== 'string' && !stats.isFile() && !stats.isDirectory();
    if (isPipe && resume) throw notResumable(name);
    if (isPipe) continue;
    await using _file = await openInputFile(name);
  }
}

function notResumable(what: string): TailraceError {
  const message = `${what} cannot be resumed: it is not known where the last run ended in it; give a file, or leave --resume out`;
  return new TailraceError('RESUME_NOT_POSSIBLE', message, { exitCode: EXIT.usage });
}

/** Whether positions are kept; `--resume` insists on it. */
async function keepsPositions(connection: RecordingConnection, resume: boolean): Promise<boolean> {
  const why = await whyNoCheckpoints(connection);
  if (why !== null && resume) throw new TailraceError('RESUME_NOT_POSSIBLE', `--resume is not possible: ${why}`);
  return why === null;
}

async function checkpointOf(
  connection: RecordingConnection,
  { name, file }: Source,
  resume: boolean,
  report: RecordReport,
): Promise<Checkpoint | undefined> {
  if (!isRecognizable(file)) return undefined;
  return openCheckpoint(connection, name, file, { resume, onNote: report.note });
}

function isRecognizable(file: InputFile | null): file is InputFile & { readonly identity: FileIdentity } {
  return file !== null && file.identity !== null;
}

function shareOf({ file }: Source): number | null {
  return isRecognizable(file) ? Math.min(1, file.bytesRead / Math.max(1, file.identity.size)) : null;
}

/** @throws {TailraceError} that says how far recording came. */
async function recordOne(
  recorder: Recorder,
  { name }: Source,
  input: ReturnType<typeof readInput>,
  checkpoint: Checkpoint | undefined,
): Promise<void> {
  try {
    await recorder.record(input, checkpoint);
  } catch (cause) {
    const { recorded, line } = recorder.counts;
    const [code, exitCode] =
      cause instanceof TailraceError ? [cause.code, cause.exitCode] : ['RECORDING_FAILED', EXIT.problem];
    const isDamaged = codeOf(cause)?.startsWith('Z_') === true;
    const problem = isDamaged ? `the gzip file ${name} is damaged: ${messageOf(cause)}` : messageOf(cause);
    const how = checkpoint ? 'go on with --resume' : `go on behind line ${line} of ${name}`;
    const reached = `${many(recorded, 'event')} recorded, up to line ${line} of ${name}; ${how}`;
    throw new TailraceError(code, `${problem}; ${reached}`, { exitCode, cause });
  }
}

/** A batch that is on its way may be committed without our hearing of it. */
function interruption({ counts: { recorded, line } }: Recorder, { name, file }: Source, keeps: boolean): string {
  const reached = `interrupted: ${many(recorded, 'event')} recorded, up to line ${line} of ${name}`;
  const canResume = keeps && isRecognizable(file);
  return `${reached}, perhaps another batch; ${canResume ? 'go on with --resume' : 'this input cannot be resumed'}`;
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
