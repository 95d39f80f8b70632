// Finishes what a journal holds for somebody else: for processes of another layout of shards, who cannot all open it.

import type { Logger } from '../lib/logger.ts';
import { createLineClock } from './clock.ts';
import { explainFailure } from './failure.ts';
import type { Ids, KnownLines } from './journal/known-lines.ts';
import { readLogTail } from './journal/log-tail.ts';
import { type JournalPlace, openJournal } from './target.ts';

export interface FinishedJournal extends KnownLines {
  /** Events whose lines it holds, that are in the queue and not settled. */
  readonly ids: readonly string[];
}

/**
 * Brings in what is unfinished; the lock of its folder is held.
 *
 * @param stillOpen which events are in the queue and not settled.
 * @returns the journal; null when it cannot tell what was in flight, since a part of it is missing.
 * @throws {TailraceError} `LOG_FILE_…`, and errors of the file system; to be called again.
 */
export async function finishJournal(
  place: JournalPlace,
  stillOpen: (ids: readonly string[]) => Promise<Ids>,
  log: Logger,
): Promise<FinishedJournal | null> {
  const { filename } = place.file;
  const clock = createLineClock({ onStepBack: () => undefined });
  const ids = new Set<string>();
  const collect = async (asked: readonly string[]): Promise<Ids> => {
    const open = await stillOpen(asked);
    for (const id of asked) if (open.has(id)) ids.add(id);
    return open;
  };
  try {
    const journal = await openJournal(place, { stillOpen: collect, soleJournal: null }, { clock, log });
    // An empty one is right where nothing was ever logged.
    const isTold =
      journal.condition === 'empty' ? (await readLogTail(filename)).lines === 0 : journal.condition !== 'damaged';
    if (isTold) return Object.assign(journal, { ids: [...ids] });
    await journal.close();
    return null;
  } catch (error) {
    throw explainFailure(error, filename) ?? error;
  }
}
