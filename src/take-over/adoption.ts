// What processes of another layout left unfinished (2 shards were killed, 4 are started): the slots that one journal
// speaks of belong to several processes now, or its log file to another one than its slots, and only one can have it. So the first that comes brings it in for
// all, under the locks of all these slots: the lines go into the log file they were on their way to, and PostgreSQL is
// told which events have theirs. Nobody needs the journal after that.

import type { Config, LogFileConfig } from '../config/config.ts';
import { EXIT, TailraceError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { type FinishedJournal, finishJournal } from '../log-file/finish-journal.ts';
import type { LocalLock } from '../log-file/local-lock.ts';
import { createRenderer } from '../log-file/rendering.ts';
import type { JournalPlace } from '../log-file/target.ts';
import { withoutLine } from '../log-file/without-line.ts';
import { describeLeft, type Predecessor } from '../queue/claim.ts';
import { finishEpochs, loggedBefore, readEvents, revokeEpochs } from '../queue/logged-before.ts';
import { unsettledOf } from '../queue/rows.ts';
import type { Session } from '../queue/session.ts';
import { type Shard, slotsOf } from '../queue/slots.ts';
import type { QueueTable } from '../queue/table.ts';
import { type FoundJournal, findJournal } from './find-journal.ts';
import type { HeldFolder } from './held-file.ts';

export interface AdoptionOptions {
  readonly config: Config;
  /** null = no log file. */
  readonly own: HeldFolder | null;
  /** Ours. */
  readonly shard: Shard;
  readonly logger: Logger;
}

/**
 * Brings in all that these epochs left, or nothing; what had our very slots is left to be inherited, with a warning, when
 * its journal is not to be had.
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
    const places = await findAll(left, options, locks);
    if (places === 'in use') return false;
    if (places === 'to inherit') return true;
    await revokeEpochs(session, epochs);
    const renderer = createRenderer();
    const logged = [];
    for (const { directory, filename, id, isLost } of places) {
      const place = { file: fileOf(filename, options.config.logFile), directory, id };
      const journal = await finishJournal(place, isLost, (ids) => unsettledOf(session, table, ids), options.logger);
      journals.push(journal);
      for await (const events of readEvents(session, table, journal.ids)) {
        await withoutLine(events, journal.known, (event) => renderer.content(event, options.config.expandJsonColumns));
        logged.push(...events.filter(({ standing }) => standing.logged).map(loggedBefore));
      }
    }
    await finishEpochs(session, table, epochs, logged);
    for (const journal of journals) journal.settled();
    if (places.length === 0) return true;
    options.logger.warn(
      { epochs, events: logged.length, files: places.map(({ filename }) => filename) },
      'brought in what processes with another --shard or log file left unfinished; nothing is lost',
    );
    return true;
  } finally {
    for (const journal of journals) await journal.close();
    for (const lock of locks) await lock.release();
  }
}

/** @param locks takes what is to be released in any case. */
async function findAll(
  left: readonly Predecessor[],
  { own, shard }: AdoptionOptions,
  locks: LocalLock[],
): Promise<'in use' | 'to inherit' | readonly FoundJournal[]> {
  const places = new Map<string, FoundJournal>();
  const away: Predecessor[] = [];
  for (const each of onePerJournal(left)) {
    const found = await findJournal(each, own);
    if (found === 'in use') return found;
    if (found === 'away') away.push(each);
    else if (found !== null) {
      if (found.lock) locks.push(found.lock);
      places.set(each.journalAt, { ...found, isLost: found.isLost || places.get(each.journalAt)?.isLost === true });
    }
  }
  for (const each of away) {
    // A later process made the folder anew.
    const found = places.get(each.journalAt);
    if (found === undefined) {
      // As without shards: whoever takes over on another host says so, and goes on.
      if (left.every(({ slots }) => slots.join() === slotsOf(shard).join())) return 'to inherit';
      throw unfinished(each);
    }
    places.set(each.journalAt, { ...found, isLost: true });
  }
  return [...new Map([...places.values()].map((found) => [found.directory, found])).values()];
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

const unfinished = (left: Predecessor): TailraceError =>
  new TailraceError(
    'SHARD_UNFINISHED',
    `${describeLeft(left)} ran in another --shard layout and did not stop in order, and its journal at ${left.journalAt} is not on this machine: lines of events that PostgreSQL does not know of may stand there; start a process of the new layout where that folder is, or put it back, or stop the new ones, start that shard once more as it was and end it with SIGTERM`,
    { exitCode: EXIT.tryAgain },
  );
