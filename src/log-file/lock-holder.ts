// Who holds the lock of a log file, found out without touching it: to try the lock would for a moment keep a processor
// from getting it. Linux tells through /proc; elsewhere only the socket that stands in for flock(1) can be asked.

import { readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../lib/errors.ts';
import { isSocketHeld } from './socket-lock.ts';

export interface LockHolder {
  /** `unknown`: this system does not tell. `free` also when there is no lock file. */
  readonly state: 'held' | 'free' | 'unknown';
  /** Processes that have it; empty when it is held and we may not see by whom. */
  readonly pids: readonly string[];
}

const MOST_PROCESSES = 20_000;

/**
 * Looks who has the lock in a state directory.
 *
 * @throws errors of the file system, `EACCES` above all, when the lock file itself may not be looked at.
 */
export async function findLockHolder(directory: string, proc = '/proc'): Promise<LockHolder> {
  const socket = await isSocketHeld(join(directory, 'lock.sock')).catch(() => false);
  if (socket) return { state: 'held', pids: [] };
  const path = join(directory, 'lock');
  const file = await stat(path, { bigint: true }).catch((error) => {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return { state: 'free', pids: [] };
  const locks = await readFile(join(proc, 'locks'), 'utf8').catch(() => null);
  if (locks === null) return { state: 'unknown', pids: [] };
  const pids = await holdersOf(await realpath(path), proc);
  const isListed = locks
    .split('\n')
    .some((line) => / FLOCK /.test(line) && line.includes(` ${placeOf(file.dev, file.ino)} `));
  return { state: pids.length > 0 || isListed ? 'held' : 'free', pids };
}

/** As /proc/locks writes it: `fe:00:131074`. */
function placeOf(device: bigint, inode: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & ~0xffn);
  const hex = (number: bigint): string => number.toString(16).padStart(2, '0');
  return `${hex(major)}:${hex(minor)}:${inode}`;
}

/** Processes with a descriptor of the file that bears a flock. The one that took it, flock(1), has ended long since. */
async function holdersOf(path: string, proc: string): Promise<string[]> {
  const holders: string[] = [];
  const processes = (await readdir(proc)).filter((name) => /^\d+$/.test(name)).slice(0, MOST_PROCESSES);
  for (const pid of processes) {
    // Gone, or somebody else's.
    const descriptors = await readdir(join(proc, pid, 'fd')).catch(() => []);
    for (const descriptor of descriptors) {
      if ((await readlink(join(proc, pid, 'fd', descriptor)).catch(() => '')) !== path) continue;
      const info = await readFile(join(proc, pid, 'fdinfo', descriptor), 'utf8').catch(() => '');
      if (/^lock:.* FLOCK /m.test(info)) holders.push(pid);
    }
  }
  return [...new Set(holders)];
}
