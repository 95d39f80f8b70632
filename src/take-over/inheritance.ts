// What a new writer takes over from processes that did not stop cleanly: their journals say which lines were on their
// way. Usually it is our own journal from before the crash; after a change of `logfile.filename` it is another folder's.

import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogFileConfig } from '../config/config.ts';
import type { Logger } from '../lib/logger.ts';
import { acquireLocalLock, type LocalLock, logFileOf } from '../log-file/local-lock.ts';
import type { JournalPlace } from '../log-file/target.ts';
import type { Predecessor } from '../queue/claim.ts';

/** Longer than an attempt of another process to begin, which gives the lock back after it. */
const LOCK_PATIENCE_MS = 5_000;
const LOCK_POLL_MS = 20;

export interface Inheritance {
  /** Journals of other folders on this machine; their locks are held until `release`. */
  readonly inherited: readonly JournalPlace[];
  /** A predecessor wrote to our very folder, and its journal is not there any more. */
  readonly lost: boolean;
  /** A predecessor wrote to our very folder, and its journal is the one there. */
  readonly crashed: boolean;
  /** Our own journal, when every predecessor kept it: then nobody else has settled anything since one stopped in order. */
  readonly soleJournal: string | null;
  release(): Promise<void>;
}

/**
 * @param own the journal that goes with the log file in force, and the folder it is in; null = no log file.
 */
export async function inherit(
  predecessors: readonly Predecessor[],
  own: { readonly id: string; readonly directory: string; readonly file: LogFileConfig } | null,
  logger: Logger,
): Promise<Inheritance> {
  const inherited: JournalPlace[] = [];
  const locks: LocalLock[] = [];
  const seen = new Set<string>();
  let lost = false;
  for (const { epoch, journal, journalAt } of own === null ? [] : predecessors) {
    const directory = directoryOf(journalAt);
    if (own === null || directory === '' || journal === own.id || seen.has(journal)) continue;
    seen.add(journal);
    if (directory === own.directory) {
      lost = true;
      continue;
    }
    const lock = (await isHere(directory, journal)) ? await lockSoon(directory) : null;
    if (lock) {
      locks.push(lock);
      inherited.push({ file: { ...own.file, filename: logFileOf(directory) }, directory, id: journal });
    } else {
      logger.warn(
        { journal_at: journalAt, epoch },
        'took over from a process that did not stop cleanly and kept its state elsewhere; events in flight then may stand in its file and in ours',
      );
    }
  }
  return {
    inherited,
    lost,
    crashed: predecessors.some(({ journal }) => journal === own?.id),
    soleJournal:
      predecessors.length > 0 && predecessors.every(({ journal }) => journal === own?.id) ? (own?.id ?? null) : null,
    async release() {
      for (const lock of locks) await lock.release();
    },
  };
}

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
 * @param own the folder whose lock we hold, and the journal in it.
 * @returns `away`: not on this machine, or replaced. `in use`: its lock is taken. null: it had no log file.
 */
export async function findJournal(
  { journal, journalAt }: Predecessor,
  own: { readonly id: string; readonly directory: string } | null,
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
const directoryOf = (journalAt: string): string => journalAt.slice(journalAt.indexOf(':') + 1);

async function isHere(directory: string, journal: string): Promise<boolean> {
  const id = await readFile(join(directory, 'id'), 'utf8').catch(() => '');
  return id.trim() === journal;
}

/** Who stands by with that log file, or wants to begin, has its lock for a moment only, now and then. */
async function lockSoon(directory: string): Promise<LocalLock | null> {
  for (const until = performance.now() + LOCK_PATIENCE_MS; ; ) {
    const lock = await lockOf(directory);
    if (lock !== null || performance.now() > until) return lock;
    await sleep(LOCK_POLL_MS);
  }
}

const lockOf = (directory: string): Promise<LocalLock | null> =>
  acquireLocalLock({ filename: logFileOf(directory), createDirectory: false }).catch(() => null);
