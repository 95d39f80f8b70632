// What processes of another layout left unfinished (2 shards were killed, 4 are started): the slots that one journal
// speaks of belong to several processes now, and only one of them can have it. So the first that comes brings it in for
// all, under the locks of all these slots: the lines go into the log file they were on their way to, and PostgreSQL is
// told which events have theirs. Nobody needs the journal after that.

import type { Config, LogFileConfig } from './config/config.ts';
import { findJournal } from './inheritance.ts';
import { EXIT, TailraceError } from './lib/errors.ts';
import type { Logger } from './lib/logger.ts';
import { type FinishedJournal, finishJournal } from './log-file/finish-journal.ts';
import type { LocalLock } from './log-file/local-lock.ts';
import { createRenderer } from './log-file/rendering.ts';
import type { JournalPlace } from './log-file/target.ts';
import { withoutLine } from './log-file/without-line.ts';
import { describeLeft, type Predecessor } from './queue/claim.ts';
import { finishEpochs, loggedBefore, readEvents, revokeEpochs } from './queue/logged-before.ts';
import { unsettledOf } from './queue/rows.ts';
import type { Session } from './queue/session.ts';
import type { QueueTable } from './queue/table.ts';

export interface AdoptionOptions {
  readonly config: Config;
  /** The folder whose lock we hold, and the journal in it; null = no log file. */
  readonly own: { readonly id: string; readonly directory: string } | null;
  readonly logger: Logger;
}

/**
 * Brings in all that these epochs left, or nothing.
 *
 * @param table the queue table with the events of all shards.
 * @returns false when one of their journals is in use.
 * @throws {TailraceError} `SHARD_UNFINISHED` when one cannot be had; `LOG_FILE_…`; errors of the file system.
 */
export async function adopt(
  session: Session,
  table: QueueTable,
  left: readonly Predecessor[],
  options: AdoptionOptions,
): Promise<boolean> {
  const epochs = left.map(({ epoch }) => epoch);
  const locks: LocalLock[] = [];
  const journals: FinishedJournal[] = [];
  try {
    const places: JournalPlace[] = [];
    for (const each of onePerJournal(left)) {
      const found = await findJournal(each, options.own);
      if (found === 'in use') return false;
      if (found === 'away') throw unfinished(each, 'is not on this machine');
      if (found === null) continue;
      if (found.lock) locks.push(found.lock);
      places.push({
        file: fileOf(found.filename, options.config.logFile),
        directory: found.directory,
        id: each.journal,
      });
    }
    await revokeEpochs(session, epochs);
    const renderer = createRenderer();
    const logged = [];
    for (const place of places) {
      const journal = await finishJournal(place, (ids) => unsettledOf(session, table, ids), options.logger);
      if (journal === null)
        throw unfinished(
          left.find(({ journal: id }) => id === place.id),
          'is missing or damaged',
        );
      journals.push(journal);
      for await (const events of readEvents(session, table, journal.ids)) {
        await withoutLine(events, [journal], (event) => renderer.content(event, options.config.expandJsonColumns));
        logged.push(...events.filter(({ standing }) => standing.logged).map(loggedBefore));
      }
    }
    await finishEpochs(session, table, epochs, logged);
    for (const journal of journals) journal.settled(journal.ids);
    options.logger.warn(
      { epochs, events: logged.length, files: places.map(({ file }) => file.filename) },
      'brought in what processes of another --shard layout left unfinished; nothing is lost',
    );
    return true;
  } finally {
    for (const journal of journals) await journal.close();
    for (const lock of locks) await lock.release();
  }
}

const onePerJournal = (left: readonly Predecessor[]): readonly Predecessor[] => [
  ...new Map(left.map((each) => [each.journal, each])).values(),
];

/** Only an own log file's settings are known; a file that has to be made anew gets them too. */
const fileOf = (filename: string, own: LogFileConfig | null): JournalPlace['file'] => ({
  filename,
  mode: own?.mode ?? 0o640,
  createDirectory: false,
});

function unfinished(left: Predecessor | undefined, why: string): TailraceError {
  const who = left === undefined ? 'a process' : describeLeft(left);
  return new TailraceError(
    'SHARD_UNFINISHED',
    `${who} ran in another --shard layout and did not stop in order, and its journal at ${left?.journalAt} ${why}; start a process of the new layout where that journal is, or run that shard once more as it was and stop it with SIGTERM`,
    { exitCode: EXIT.tryAgain },
  );
}
