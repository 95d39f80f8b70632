// A log file in force and what belongs to it: its names, the appender, the journal, the watch on its path. Opening it
// brings in what a crash left half done, before anything new is written.

import { dirname } from 'node:path';
import type { LogFileConfig } from '../config/config.ts';
import type { Logger } from '../lib/logger.ts';
import { Appender } from './appender.ts';
import type { LineClock } from './clock.ts';
import { createFileName, type FileName } from './file-name.ts';
import type { LogFileSystem } from './handle.ts';
import { Journal } from './journal/journal.ts';
import type { Ids, KnownLines } from './journal/known-lines.ts';
import type { LoadedIntent } from './journal/load.ts';
import { readLogTail } from './journal/log-tail.ts';
import { recover } from './journal/recover.ts';
import { watchForRotation } from './rotation.ts';

/** A log file, the state directory beside it, whose lock is held, and the identity that was recorded for its journal. */
export interface JournalPlace {
  readonly file: Pick<LogFileConfig, 'filename' | 'mode' | 'createDirectory'>;
  readonly directory: string;
  readonly id: string;
}

export interface JournalOptions {
  readonly of: (file: LogFileConfig) => Omit<JournalPlace, 'file'>;
  /** What a process before us left unfinished at another log file, since the configuration named that one then. */
  readonly inherited: readonly JournalPlace[];
  /** A process before us crashed, and its journal is not to be found. */
  readonly lost: boolean;
  /** Which of the events are still in the queue and not settled. */
  readonly stillOpen: (ids: readonly string[]) => Promise<Ids>;
}

export interface TargetOptions {
  readonly clock: LineClock;
  readonly log: Logger;
  readonly journal?: JournalOptions | undefined;
  readonly fs?: LogFileSystem | undefined;
  /** Something may have happened at the path. */
  readonly onStir: (reason: 'interval' | 'hint') => void;
}

export interface Target {
  readonly name: FileName;
  readonly appender: Appender;
  /** Where lines may be known that PostgreSQL does not know of. */
  readonly known: readonly KnownLines[];
  close(): Promise<void>;
}

/**
 * Opens a log file's journal and recovers from it; the file itself is opened with the first look.
 *
 * @throws errors of the file system; nothing is left open then, and it may be called again.
 */
export async function openTarget(file: LogFileConfig, options: TargetOptions): Promise<Target> {
  const { clock, log, fs } = options;
  const name = createFileName(file);
  const known: KnownLines[] = [];
  const close = async (): Promise<void> => {
    for (const each of known) await each.close();
  };
  try {
    const journal = options.journal ? await openJournals(file, options.journal, options, known) : undefined;
    const appender = new Appender({ file, clock, log, journal, fs });
    const unwatch = watchForRotation(dirname(file.filename), () => name.at(clock.peek()), options.onStir);
    return {
      name,
      appender,
      known,
      async close() {
        await unwatch();
        await appender.close();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Brings in what is unfinished, in the file's own journal and in inherited ones. @returns the file's own. */
async function openJournals(
  file: LogFileConfig,
  journal: JournalOptions,
  options: TargetOptions,
  known: KnownLines[],
): Promise<Journal> {
  for (const place of journal.inherited) {
    if (place.file.filename !== file.filename) known.push(await openJournal(place, journal, options));
  }
  const own = await openJournal({ file, ...journal.of(file) }, journal, options);
  known.push(own);
  if (journal.lost || own.condition === 'damaged') {
    options.log.error(
      { path: file.filename },
      'the journal of a process that crashed is missing or damaged; the end of the log file is read instead',
    );
  }
  // Also when a crash may explain what is missing: then it costs a moment, and otherwise it spares a second line.
  if (journal.lost || own.condition !== 'whole') known.push(await readLogTail(file.filename));
  return own;
}

async function openJournal(
  place: JournalPlace,
  { stillOpen }: JournalOptions,
  options: TargetOptions,
): Promise<Journal> {
  const { journal, loaded } = await Journal.open(place.directory, place.id, options.log);
  try {
    const open = loaded.intents.filter(({ settled }) => !settled);
    const unsettled = await stillOpen(open.flatMap(({ ids }) => ids));
    journal.keepOpen(open, unsettled);
    const unfinished = open.filter(({ replaced }) => !replaced);
    await bringIn(unfinished, unsettled, place, journal, options);
    return journal;
  } catch (error) {
    await journal.close();
    throw error;
  }
}

async function bringIn(
  intents: readonly LoadedIntent[],
  unsettled: Ids,
  { file }: JournalPlace,
  journal: Journal,
  { clock, log, fs }: TargetOptions,
): Promise<void> {
  const appender = new Appender({ file, clock, log, journal, fs });
  try {
    await recover(intents, { unsettled, append: (lines) => appender.append(lines), log });
    for (const { lastTimeUs } of intents) clock.startAfter(lastTimeUs);
  } finally {
    await appender.close();
  }
}
