// Who holds the lock of a log file, found out without touching it: to try the lock would for a moment keep a processor
// from getting it. Linux tells through /proc; elsewhere only the socket that stands in for flock(1) can be asked.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../lib/errors.ts';
import { isHeld } from './socket-lock.ts';

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
  const socket = await isHeld(directory).catch(() => false);
  if (socket) return { state: 'held', pids: [] };
  const path = join(directory, 'lock');
  const file = await stat(path, { bigint: true }).catch((error) => {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  });
  if (file === null) return { state: 'free', pids: [] };
  const locks = await readFile(join(proc, 'locks'), 'utf8').catch(() => null);
  if (locks === null) return { state: 'unknown', pids: [] };
  const pids = holdersOf(await realpath(path), proc);
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

/**
 * Processes with a descriptor of the file that bears a flock. The one that took it, flock(1), has ended long since. All at
 * once: /proc answers from memory, and tens of thousands of turns through the thread pool take seconds on a busy host.
 */
function holdersOf(path: string, proc: string): string[] {
  const holders = new Set<string>();
  const processes = readdirSync(proc).filter((name) => /^\d+$/.test(name));
  for (const pid of processes.slice(0, MOST_PROCESSES)) {
    for (const descriptor of readable(() => readdirSync(join(proc, pid, 'fd'))) ?? []) {
      if (readable(() => readlinkSync(join(proc, pid, 'fd', descriptor))) !== path) continue;
      const info = readable(() => readFileSync(join(proc, pid, 'fdinfo', descriptor), 'utf8'));
      if (/^lock:.* FLOCK /m.test(info ?? '')) holders.add(pid);
    }
  }
  return [...holders];
}

/** null: the process is gone, or somebody else's. */
function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    return null;
  }
}
