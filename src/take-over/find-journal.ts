// Finds the journal that a process before us left: it is in the hidden folder beside that one's log file, which may be
// ours, another one of this machine whose lock has to be had first, or on another host.

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { acquireLocalLock, type LocalLock, logFileOf } from '../log-file/local-lock.ts';
import type { Predecessor } from '../queue/claim.ts';
import type { HeldFolder } from './held-file.ts';

/** Longer than an attempt of another process to begin, which gives the lock back after it. */
const LOCK_PATIENCE_MS = 5_000;
const LOCK_POLL_MS = 20;

export interface FoundJournal {
  readonly directory: string;
  readonly filename: string;
  /** Of the journal that is there now. */
  readonly id: string;
  /** The folder is there, and the journal in it is another one. */
  readonly isLost: boolean;
  /** null: it is ours already. */
  readonly lock: LocalLock | null;
}

/**
 * Where a predecessor's journal is.
 *
 * @param own the folder whose lock we hold.
 * @returns `away`: not on this machine, or replaced. `in use`: its lock is taken. null: it had no log file.
 */
export async function findJournal(
  { journal, journalAt }: Predecessor,
  own: HeldFolder | null,
): Promise<'away' | 'in use' | null | FoundJournal> {
  const directory = directoryOf(journalAt);
  if (directory === '') return null;
  const place = { directory, filename: logFileOf(directory), id: journal, isLost: false };
  if (directory === own?.directory) {
    if (journal === own.id) return { ...place, lock: null };
    // Another host may have a folder of that name.
    return journalAt === `${hostname()}:${directory}` ? { ...place, id: own.id, isLost: true, lock: null } : 'away';
  }
  if (!(await isHere(directory, journal))) return 'away';
  const lock = await lockSoon(directory);
  return lock ? { ...place, lock } : 'in use';
}

/** The folder in `host:folder`; empty without a log file. */
export const directoryOf = (journalAt: string): string => journalAt.slice(journalAt.indexOf(':') + 1);

async function isHere(directory: string, journal: string): Promise<boolean> {
  const id = await readFile(join(directory, 'id'), 'utf8').catch(() => '');
  return id.trim() === journal;
}

/** Who stands by with that log file, or wants to begin, has its lock for a moment only, now and then. */
async function lockSoon(directory: string): Promise<LocalLock | null> {
  for (const until = performance.now() + LOCK_PATIENCE_MS; ; ) {
    const lock = await tryLock(directory);
    if (lock !== null || performance.now() > until) return lock;
    await sleep(LOCK_POLL_MS);
  }
}

const tryLock = (directory: string): Promise<LocalLock | null> =>
  acquireLocalLock({ filename: logFileOf(directory), createDirectory: false }).catch(() => null);
