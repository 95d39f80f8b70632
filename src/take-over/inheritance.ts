// What a new writer takes over from processes that did not stop cleanly: their journals say which lines were on their
// way. Usually it is our own journal from before the crash; after a change of `logfile.filename` it is another folder's.

import type { LogFileConfig } from '../config/config.ts';
import type { Logger } from '../lib/logger.ts';
import type { LocalLock } from '../log-file/local-lock.ts';
import type { JournalPlace } from '../log-file/target.ts';
import type { Predecessor } from '../queue/claim.ts';
import { directoryOf, findJournal } from './find-journal.ts';
import type { HeldFolder } from './held-file.ts';

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
 * Finds what is to be taken over, and takes the locks of the folders where it is.
 *
 * @param own the folder beside the log file in force, and that file; null = no log file.
 */
export async function inherit(
  predecessors: readonly Predecessor[],
  own: (HeldFolder & { readonly file: LogFileConfig }) | null,
  logger: Logger,
): Promise<Inheritance> {
  const inherited: JournalPlace[] = [];
  const locks: LocalLock[] = [];
  const seen = new Set<string>();
  let lost = false;
  for (const predecessor of own === null ? [] : predecessors) {
    const { epoch, journal, journalAt } = predecessor;
    if (own === null || journal === own.id || seen.has(journal)) continue;
    seen.add(journal);
    if (directoryOf(journalAt) === own.directory) {
      lost = true;
      continue;
    }
    const found = await findJournal(predecessor, own);
    if (found === null) continue;
    if (found === 'away' || found === 'in use') {
      logger.warn(
        { journal_at: journalAt, epoch },
        'took over from a process that did not stop cleanly and kept its state elsewhere; events in flight then may stand in its file and in ours',
      );
      continue;
    }
    if (found.lock) locks.push(found.lock);
    inherited.push({ file: { ...own.file, filename: found.filename }, directory: found.directory, id: journal });
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
