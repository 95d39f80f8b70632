// `tailrace rotate`: after a log file was moved, has the process that writes it open a new one, and waits until nothing
// more will be written to the one that was moved. For logrotate's postrotate; says nothing there when all is well.

import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { codeOf, EXIT, messageOf, TailraceError } from '../lib/errors.ts';
import { stateDirectory } from '../log-file/local-lock.ts';
import { askToReopen, waitUntilLeft } from '../log-file/rotate-request.ts';
import type { Command, CommandContext } from './command.ts';
import { loadGoodConfig, requireConfigFile } from './configuration.ts';

const DEFAULT_TIMEOUT_S = 30;

export const rotate: Command = {
  usage: 'rotate [files..]',
  summary: 'have the log file opened anew after it was moved; with --wait, until nothing more goes to the moved one',
  examples: [
    ['tailrace rotate --wait /var/log/tailrace/events.jsonl', "in logrotate's postrotate: the moved file is complete"],
    ['tailrace rotate', 'open the log file of the configuration anew, and wait for nothing'],
  ],
  options: (yargs) =>
    yargs
      .positional('files', {
        type: 'string',
        array: true,
        describe: 'log files as the configuration names them, without a date (else the one of the configuration)',
      })
      .option('wait', { type: 'boolean', default: false, describe: 'return when the moved file is complete' })
      .option('timeout', {
        type: 'number',
        requiresArg: true,
        default: DEFAULT_TIMEOUT_S,
        describe: 'seconds to wait at most, for all files together; then the exit code is 75',
      })
      .option('config', { type: 'string', requiresArg: true, describe: 'configuration file' }),
  async run(args, context) {
    const timeoutMs = Number(args.timeout) * 1_000;
    if (!(timeoutMs > 0)) {
      throw new TailraceError('USAGE', `--timeout takes seconds, such as ${DEFAULT_TIMEOUT_S}`, {
        exitCode: EXIT.usage,
      });
    }
    const named = Array.isArray(args.files) ? args.files.map(String) : [];
    const files = named.length > 0 ? named : [await configuredFile(args.config, context)];
    const deadlineMs = performance.now() + timeoutMs;
    // One after the other would make the last one wait for all that is slow before it.
    const outcomes = await Promise.allSettled(
      files.map((file) => leave(resolve(file), args.wait === true ? deadlineMs : null)),
    );
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') throw outcome.reason;
      if (context.stdout.isTTY) context.stdout.write(`${outcome.value}\n`);
    }
    return EXIT.ok;
  },
};

async function configuredFile(named: unknown, context: CommandContext): Promise<string> {
  const file = requireConfigFile(named, context.env, 'name the log file, or a configuration with --config');
  const loaded = await loadGoodConfig(file, context);
  if (loaded === null) {
    throw new TailraceError(
      'CONFIG_INVALID',
      `${file} does not say which log file it is; name the log file itself: tailrace rotate FILE`,
    );
  }
  const { logFile } = loaded.config;
  if (logFile === null) throw new TailraceError('LOG_FILE_UNKNOWN', `${file} names no log file to rotate`);
  return logFile.filename;
}

/** @param deadlineMs null = do not wait. @returns what to tell a person. */
async function leave(file: string, deadlineMs: number | null): Promise<string> {
  const directory = stateDirectory(file);
  try {
    if (!(await stat(directory)).isDirectory()) throw unknown(file, directory);
    if (deadlineMs === null) {
      return (await askToReopen(directory))
        ? `${file} is opened anew`
        : `${file}: no tailrace process writes it, there is nothing to open anew`;
    }
    switch (await waitUntilLeft(directory, Math.max(0, deadlineMs - performance.now()))) {
      case 'left':
        return `${file}: nothing more will be written to a file that was moved`;
      case 'nobody':
        return `${file}: no tailrace process writes it, and none will write to a file that was moved`;
      case 'silent':
        throw new TailraceError(
          'ROTATE_TIMEOUT',
          `the process that writes ${file} has not said in time that it has left the moved file: it is stopped, or very slow, or waits for PostgreSQL while its log file is changed; do not compress or ship the moved file as complete, look at the process, and run this again`,
          { exitCode: EXIT.tryAgain },
        );
    }
  } catch (error) {
    if (error instanceof TailraceError) throw error;
    if (codeOf(error) === 'ENOENT') throw unknown(file, directory, error);
    throw new TailraceError(
      'ROTATE_NOT_ASKED',
      `cannot ask the process that writes ${file}: ${messageOf(error)}${isRefused(error) ? '; run this as root or as the user that runs tailrace' : ''}`,
      { cause: error },
    );
  }
}

const isRefused = (error: unknown): boolean => codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM';

const unknown = (file: string, directory: string, cause?: unknown): TailraceError =>
  new TailraceError(
    'LOG_FILE_UNKNOWN',
    `no tailrace has written ${file}: there is no folder ${directory}; name the log file as the configuration does, without a date`,
    { cause },
  );
