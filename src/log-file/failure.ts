// What a failing system call on the log file means to a person: said once here, for the lock, the handle and the
// writer. Everything explained here may end by itself, so the writer tries again; anything else is a bug and does not.

import type { BigIntStats } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { codeOf, EXIT, messageOf, TailraceError } from '../lib/errors.ts';

/**
 * Explains an error of the file system.
 *
 * @returns a `TailraceError` with a `LOG_FILE_…` code and the error as `cause`, or null when it is no such error.
 */
export function explainFailure(error: unknown, path: string): TailraceError | null {
  if (error instanceof TailraceError) return error.code.startsWith('LOG_FILE_') ? error : null;
  const errno = errnoOf(error);
  if (errno === undefined || !/^E[A-Z0-9]+$/.test(errno)) return null;
  const [code, advice] = meaningOf(errno, path);
  return new TailraceError(code, `${advice} (${messageOf(error)})`, { exitCode: EXIT.unavailable, cause: error });
}

/** The name of an error, also of those that libuv has none for: Node calls EDQUOT `Unknown system error -122`. */
function errnoOf(error: unknown): string | undefined {
  const code = codeOf(error);
  const number = /^Unknown system error -(\d+)$/.exec(code ?? '')?.[1];
  if (number === undefined) return code;
  return Object.entries(constants.errno).find(([, value]) => value === Number(number))?.[0] ?? 'EIO';
}

/** The error for a path that holds something other than a regular file: it is never written to. */
export function notARegularFile(path: string, stats: BigIntStats): TailraceError {
  const what = stats.isSymbolicLink()
    ? 'a symbolic link'
    : stats.isDirectory()
      ? 'a directory'
      : stats.isFIFO()
        ? 'a FIFO'
        : stats.isSocket()
          ? 'a socket'
          : 'a device';
  return new TailraceError(
    'LOG_FILE_NOT_REGULAR',
    `${path} is ${what}, and the log is only written to a regular file; move it away or change logfile.filename`,
    { exitCode: EXIT.unavailable },
  );
}

function meaningOf(errno: string, path: string): readonly [code: string, advice: string] {
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return ['LOG_FILE_NO_SPACE', `no space is left for ${path}; free some or raise the quota`];
    case 'EROFS':
      return ['LOG_FILE_PERMISSION', `the file system of ${path} is read-only; remount it for writing`];
    case 'EACCES':
    case 'EPERM':
      return ['LOG_FILE_PERMISSION', `${path} may not be read and written; grant it to the user that runs tailrace`];
    case 'ENOENT':
    case 'ENOTDIR':
      return [
        'LOG_FILE_DIRECTORY_MISSING',
        `the directory ${dirname(path)} is missing; make it or set logfile.create_directory`,
      ];
    default:
      return ['LOG_FILE_IO', `${path} cannot be written; look at the disk and the kernel's log`];
  }
}
