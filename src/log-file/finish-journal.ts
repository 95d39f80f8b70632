// Finishes what a journal holds for somebody else: for processes of another layout of shards, who cannot all open it.

import type { Logger } from '../lib/logger.ts';
import { createLineClock } from './clock.ts';
import { explainFailure } from './failure.ts';
import type { Ids, KnownLines } from './journal/known-lines.ts';
import { readLogTail } from './journal/log-tail.ts';
import { type JournalPlace, openJournal } from './target.ts';

export interface FinishedJournal {
  /** Events whose lines it knows, that are in the queue and not settled. */
  readonly ids: readonly string[];
  readonly known: readonly KnownLines[];
  /** PostgreSQL knows of all of them. */
  settled(): void;
  close(): Promise<void>;
}

/**
 * Brings in what is unfinished; the lock of its folder is held. Where the journal cannot tell what was in flight, the end
 * of the log file does.
 *
 * @param isLost the journal in that folder is not the one that was asked for.
 * @param stillOpen which events are in the queue and not settled.
 * @throws {TailraceError} `LOG_FILE_…`, and errors of the file system; to be called again.
 */
export async function finishJournal(
  place: JournalPlace,
  isLost: boolean,
  stillOpen: (ids: readonly string[]) => Promise<Ids>,
  log: Logger,
): Promise<FinishedJournal> {
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
    const known: KnownLines[] = [journal];
    try {
      if (isLost || journal.condition !== 'whole') {
        const tail = await readLogTail(filename);
        known.push(tail);
        await collect([...tail.ids]);
        // An empty one is right where nothing was ever logged.
        if (isLost || journal.condition === 'damaged' || (journal.condition === 'empty' && tail.lines > 0)) {
          log.error(
            { path: filename, lines: tail.lines },
            'the journal of a process that crashed is missing or damaged; the end of the log file is read instead',
          );
        }
      }
    } catch (error) {
      await journal.close();
      throw error;
    }
    return { ids: [...ids], known, settled: () => journal.settled(ids), close: () => journal.close() };
  } catch (error) {
    throw explainFailure(error, filename) ?? error;
  }
}
