// `tailrace verify-log`: whether a log is what it should be, line by line, across its rotated files, and against the
// queue.

import { existsSync } from 'node:fs';
import type { ArgumentsCamelCase } from 'yargs';
import { findConfigFile } from '../../config/find.ts';
import { loadConfig } from '../../config/load.ts';
import { formatProblem } from '../../config/problem.ts';
import { EXIT, TailraceError } from '../../lib/errors.ts';
import { isWrittenNow, rotatedFilesOf } from '../../log-file/log-family.ts';
import { verifyFiles } from '../../log-file/verify/verify-files.ts';
import { inOrder } from '../../log-file/written-files.ts';
import { LogState } from '../../queue/log-state.ts';
import { type Command, type CommandContext, textOf } from '../command.ts';
import { databaseOption, withSession } from '../database.ts';
import { compareWithQueue } from './against-queue.ts';
import { createProgress, jsonReport, textReport } from './report.ts';

const DEFAULT_MAX = 100;
const MOST_MAX = 1_000_000;

export const verifyLog: Command = {
  usage: 'verify-log [files..]',
  summary: 'verify log files: every line whole and in order, times growing, no event twice',
  examples: [
    ['tailrace verify-log', 'the log that the configuration names, with its rotated files'],
    ['tailrace verify-log /var/log/tailrace/events.jsonl*', 'these files, in the order in which they were written'],
    ['tailrace verify-log --queue', 'against the queue, too'],
    ["tailrace verify-log --json archive/*.gz | jq '.findings[]'", 'for a script'],
  ],
  options: (yargs) =>
    databaseOption(yargs)
      .positional('files', {
        type: 'string',
        array: true,
        default: [],
        describe: 'log files in any order, .gz or not (default: those of the log in the configuration)',
      })
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file, which names the log' })
      .option('queue', {
        type: 'boolean',
        default: false,
        describe: 'hold the log against the queue and its state too; --database does so as well',
      })
      .option('max', {
        type: 'number',
        requiresArg: true,
        default: DEFAULT_MAX,
        describe: 'print at most so many findings; all are counted',
      })
      .option('json', { type: 'boolean', default: false, describe: 'print one JSON object' }),
  async run(args, context) {
    const most = mostOf(args.max);
    const withQueue = args.queue === true || textOf(args.database) !== undefined;
    // Before the files are listed: a line is on disk before the state knows of it, so all of these stand in them.
    const logged = withQueue
      ? await withSession(args, context.env, async (session) => (await LogState.open(session)).logged())
      : null;
    const files = await inOrder(await pathsOf(args, context));
    const progress = createProgress(context.stderr, files.length);
    const verified = await verifyFiles(files, { most, onProgress: progress.tell });
    progress.clear();
    const isLive = files.some(({ path }) => isWrittenNow(path));
    const queue =
      logged === null
        ? null
        : await withSession(args, context.env, (session) =>
            compareWithQueue(session, logged, verified, { most, isLive }),
          );
    context.stdout.write((args.json === true ? jsonReport : textReport)(verified, queue, most));
    return verified.counts.size + (queue?.counts.size ?? 0) > 0 ? EXIT.problem : EXIT.ok;
  },
};

function mostOf(value: unknown): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MOST_MAX) return value;
  throw new TailraceError('USAGE', `--max is a whole number from 0 to ${MOST_MAX.toLocaleString('en-US')}`, {
    exitCode: EXIT.usage,
  });
}

async function pathsOf(args: ArgumentsCamelCase, { env, stderr }: CommandContext): Promise<readonly string[]> {
  const named = args.files as readonly string[];
  if (named.length > 0) return named;
  const file = findConfigFile({ option: textOf(args.config), env })?.file;
  if (file === undefined) throw usage('no file was named and no configuration was found; name log files, or --config');
  const { config, problems } = await loadConfig(file, { env });
  // Good enough for a name: whoever verifies a log need not mend the configuration first.
  for (const problem of problems) stderr.write(`${formatProblem(file, problem)}\n`);
  if (config === null) {
    throw new TailraceError('CONFIG_INVALID', `${file} cannot be used; mend it, or name the files to verify`);
  }
  const filename = config.logFile?.filename;
  if (filename === undefined) throw usage(`${file} names no log file; name the files to verify`);
  const paths = await rotatedFilesOf(filename);
  if (paths.length > 0 || existsSync(filename)) return paths;
  throw usage(`there is no file of the log ${filename} yet that this account can see; name the files to verify`);
}

const usage = (message: string): TailraceError => new TailraceError('USAGE', message, { exitCode: EXIT.usage });
