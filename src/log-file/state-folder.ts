// What keeps the hidden folder beside the log ours while we run: somebody may remove it, rename it, or mount something
// over the directory (QUEUE A7.9). Then others would find no lock, and a restart no journal.

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { LogFileConfig } from '../config/config.ts';
import { syncDirectory } from './directory.ts';
import { explainFailure } from './failure.ts';
import { writeJournalId } from './journal-id.ts';
import { acquireLocalLock, type LocalLock } from './local-lock.ts';

/** `in place`; `made anew`; `taken`: another process was quicker, and has the log file's lock now. */
export type FolderState = 'in place' | 'made anew' | 'taken';

/**
 * Looks whether lock and id are where others look for them, and puts them there otherwise.
 *
 * @param held the lock of the log file; released when another took its place.
 * @param id what the folder's `id` holds, as recorded in PostgreSQL.
 * @returns the lock that is held from now on.
 * @throws {TailraceError} `LOG_FILE_…` when the folder cannot be made; to be called again.
 */
export async function keepFolder(
  held: LocalLock,
  file: Pick<LogFileConfig, 'filename' | 'createDirectory'>,
  id: string,
): Promise<{ readonly lock: LocalLock; readonly state: FolderState }> {
  try {
    if (await held.isInPlace()) {
      if (await hasId(held.directory, id)) return { lock: held, state: 'in place' };
      await writeJournalId(held.directory, id);
      return { lock: held, state: 'made anew' };
    }
    const lock = await acquireLocalLock(file);
    if (lock === null) return { lock: held, state: 'taken' };
    try {
      await writeJournalId(lock.directory, id);
      await syncDirectory(lock.directory);
      await syncDirectory(dirname(lock.directory));
    } catch (error) {
      await lock.release();
      throw error;
    }
    await held.release();
    return { lock, state: 'made anew' };
  } catch (error) {
    throw explainFailure(error, held.directory) ?? error;
  }
}

async function hasId(directory: string, id: string): Promise<boolean> {
  return (await readFile(join(directory, 'id'), 'utf8').catch(() => '')).trim() === id;
}
