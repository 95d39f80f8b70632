// The lock that keeps a second process on this machine from writing the same log file, whatever became of anybody's
// connection to PostgreSQL. It is taken before the queue's locks and ends with the process's last breath (QUEUE A2).

import { spawn } from 'node:child_process';
import { close, constants, fstat, open } from 'node:fs';
import { lstat, mkdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { LogFileConfig } from '../config/config.ts';
import { codeOf, EXIT, TailraceError } from '../lib/errors.ts';
import { makeFolders } from '../lib/make-folders.ts';
import { explainFailure, notARegularFile } from './failure.ts';
import { acquireSocketLock, type HeldLock, isHeld } from './socket-lock.ts';

// Plain descriptors, since a FileHandle that nobody refers to any more closes itself, and the lock with it.
const openDescriptor = promisify(open);
const closeDescriptor = promisify(close);
const statDescriptor = promisify(fstat);

const LOCK_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** flock(1): with -n, exit status 1 says that another holds the lock. */
const FLOCK_TAKEN = 1;

export interface LocalLock extends HeldLock {
  /** The folder beside the log that the lock, and later the journal, is in. */
  readonly directory: string;
}

/** The folder of a log file's lock: beside it, hidden from logrotate's wildcards, and without the date of the file. */
export function stateDirectory(filename: string): string {
  return join(dirname(filename), `.${basename(filename)}.tailrace`);
}

/** The log file that a state directory stands beside. */
export function logFileOf(directory: string): string {
  return join(dirname(directory), basename(directory).slice(1, -'.tailrace'.length));
}

/**
 * Takes the lock of a log file, without waiting.
 *
 * @param options.flock the flock(1) to use; where there is none a Unix socket in the folder takes its place.
 * @returns the lock, or null when somebody else holds it.
 * @throws {TailraceError} `LOG_FILE_…` when the folder cannot be made or is not one, `LOCK_FAILED` when flock(1) fails.
 */
export async function acquireLocalLock(
  logFile: Pick<LogFileConfig, 'filename' | 'createDirectory'>,
  options: { readonly flock?: string } = {},
): Promise<LocalLock | null> {
  const directory = stateDirectory(logFile.filename);
  try {
    if (logFile.createDirectory) await makeFolders(dirname(directory), { mode: 0o750 });
    await makePrivateFolder(directory);
    const held = await takeLock(directory, options.flock ?? 'flock');
    return held && { directory, ...held };
  } catch (error) {
    throw explainFailure(error, directory) ?? error;
  }
}

/**
 * Whether a process holds the lock in a folder, without taking it for longer than a look, and without leaving anything
 * there: whoever asks may be another user.
 *
 * @throws {TailraceError} `LOCK_FAILED`; else the error of the system call, when the folder may not be entered.
 */
export async function isLocked(directory: string, flock = 'flock'): Promise<boolean> {
  try {
    const fd = await openDescriptor(join(directory, 'lock'), LOCK_FLAGS & ~constants.O_CREAT);
    try {
      const outcome = await lockDescriptor(fd, flock);
      return outcome === 'taken' || (outcome === 'no flock' && (await isHeld(directory)));
    } finally {
      await closeDescriptor(fd);
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** For us alone: whoever may open the lock file could hold the lock. */
async function makePrivateFolder(directory: string): Promise<void> {
  try {
    await mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    const stats = await lstat(directory, { bigint: true });
    if (stats.isDirectory()) return;
    if (!stats.isFile()) throw notARegularFile(directory, stats);
    throw new TailraceError(
      'LOG_FILE_STATE',
      `${directory} is a file, and tailrace keeps its state in a folder of that name; move it away`,
    );
  }
}

async function takeLock(directory: string, flock: string): Promise<HeldLock | null> {
  const path = join(directory, 'lock');
  for (;;) {
    const fd = await openDescriptor(path, LOCK_FLAGS, 0o600);
    let released = false;
    const release = async (): Promise<void> => {
      if (released) return;
      released = true;
      await closeDescriptor(fd);
    };
    try {
      const outcome = await lockDescriptor(fd, flock);
      const isInPlace = (): Promise<boolean> => isStillAt(path, fd);
      if (outcome === 'locked' && (await isInPlace())) return { isInPlace, release };
      await release();
      if (outcome === 'taken') return null;
      if (outcome === 'no flock') return await acquireSocketLock(directory);
    } catch (error) {
      await release();
      throw error;
    }
  }
}

/** The lock belongs to the open file description, which is ours: it stays when the helper that took it has ended. */
async function lockDescriptor(fd: number, flock: string): Promise<'locked' | 'taken' | 'no flock'> {
  const helper = spawn(flock, ['-n', '3'], { stdio: ['ignore', 'ignore', 'ignore', fd] });
  return await new Promise((resolve, reject) => {
    helper.once('error', (error) => (codeOf(error) === 'ENOENT' ? resolve('no flock') : reject(lockFailed(error))));
    helper.once('exit', (status, signal) => {
      if (status === 0) resolve('locked');
      else if (status === FLOCK_TAKEN) resolve('taken');
      else reject(lockFailed(`flock ended with ${signal ?? `status ${status}`}`));
    });
  });
}

function lockFailed(cause: unknown): TailraceError {
  return new TailraceError(
    'LOCK_FAILED',
    `the log file's lock cannot be taken by flock(1) (${cause}); try flock on that file system by hand`,
    { exitCode: EXIT.unavailable, cause },
  );
}

/** Whether others would lock the same file: its folder may have been removed while we opened it. */
async function isStillAt(path: string, fd: number): Promise<boolean> {
  const ours = await statDescriptor(fd);
  const theirs = await stat(path).catch(() => null);
  return theirs !== null && theirs.ino === ours.ino && theirs.dev === ours.dev;
}
