// A log file in force and what belongs to it: its names, the appender, the journal, the watch on its path. Opening it
// brings in what a crash left half done, before anything new is written.

import { dirname } from 'node:path';
import type { LogFileConfig } from '../config/config.ts';
import type { LogVitals } from '../flow/vitals.ts';
import type { Logger } from '../lib/logger.ts';
import { Stillness } from '../lib/stillness.ts';
import { Appender } from './appender.ts';
import type { LineClock } from './clock.ts';
import { explainFailure } from './failure.ts';
import { createFileName, type FileName } from './file-name.ts';
import type { LogFileSystem } from './handle.ts';
import { Journal } from './journal/journal.ts';
import type { Ids, KnownLines } from './journal/known-lines.ts';
import type { LoadedIntent } from './journal/load.ts';
import { readLogTail } from './journal/log-tail.ts';
import { type RecoveryOptions, recover } from './journal/recover.ts';
import type { LateLines } from './late-lines.ts';
import type { Lines } from './progress.ts';
import { watchForRotation } from './rotation.ts';
import type { FolderState } from './state-folder.ts';

/** The state directory is looked at this often, however many batches there are. */
const KEEP_INTERVAL_MS = 300;

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
  /** A process before us crashed that kept its journal where ours is. */
  readonly crashed: boolean;
  /** Id of our journal, when nobody who kept another one wrote to the queue since a process stopped in order; else null. */
  readonly soleJournal: string | null;
  /** Sees to it that lock and id are in the state directory still; called before the journal is looked for. */
  readonly keep: () => Promise<FolderState>;
  /** Which of the events are still in the queue and not settled. */
  readonly stillOpen: (ids: readonly string[]) => Promise<Ids>;
}

export interface TargetOptions {
  readonly clock: LineClock;
  readonly log: Logger;
  readonly journal?: JournalOptions | undefined;
  readonly fs?: LogFileSystem | undefined;
  readonly vitals?: LogVitals | undefined;
  /** What the log file before this one knew: its lines of events that are not settled are known here too. */
  readonly before?: readonly KnownLines[] | undefined;
  /** Something may have happened at the path. */
  readonly onStir: (reason: 'interval' | 'hint') => void;
}

export interface Target {
  readonly name: FileName;
  readonly appender: Appender;
  /** Where lines may be known that PostgreSQL does not know of. */
  readonly known: readonly KnownLines[];
  /**
   * Looks whether a restart would find the journal, and another process the lock; if not, puts them there.
   *
   * @throws errors of the file system; to be called again.
   */
  keep(): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a log file's journal and recovers from it; the file itself is opened with the first look.
 *
 * @throws errors of the file system; nothing is left open then, and it may be called again.
 */
export async function openTarget(file: LogFileConfig, options: TargetOptions): Promise<Target> {
  const { clock, log, fs, vitals } = options;
  const name = createFileName(file);
  const known: KnownLines[] = [];
  const close = async (): Promise<void> => {
    for (const each of known) await each.close();
  };
  try {
    const journal = options.journal ? await openJournals(file, options.journal, options, known) : undefined;
    for (const source of options.before ?? []) {
      if (source instanceof Journal) await (journal && source.handOver(journal));
      else known.push(source);
    }
    if (journal) journal.vitals = vitals ?? null;
    const appender = new Appender({ file, clock, log, journal, fs, vitals });
    const stillness = options.journal && new Stillness(options.journal.of(file).directory);
    let keptMs = performance.now();
    const unwatch = watchForRotation(dirname(file.filename), () => name.at(clock.peek()), options.onStir);
    return {
      name,
      appender,
      known,
      async keep() {
        if (!journal || !stillness || performance.now() - keptMs < KEEP_INTERVAL_MS) return;
        const isInPlace = await stillness.isWell(async () => {
          const folder = await options.journal?.keep();
          // The other one reads the end of the log: what is in flight here is only finished.
          const isFound = folder === 'taken' || (await journal.keep());
          return isFound && folder !== 'made anew';
        });
        keptMs = performance.now();
        if (isInPlace) return;
        log.error(
          { path: file.filename },
          'the hidden folder beside the log file was removed, moved or covered; it is made anew, nothing is lost',
        );
      },
      async close() {
        unwatch();
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
    if (place.file.filename === file.filename) continue;
    known.push(
      await openJournal(place, journal, options).catch((error) => {
        // Else it would be said of the file in force.
        throw explainFailure(error, place.file.filename) ?? error;
      }),
    );
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
  if (journal.lost || own.condition !== 'whole') {
    const tail = await readLogTail(file.filename);
    known.push(tail);
    if (own.condition === 'empty' && journal.crashed && !journal.lost && tail.lines > 0) {
      options.log.warn(
        { path: file.filename, lines: tail.lines },
        'there is no journal beside the log file though a process crashed; the end of the log file is read instead',
      );
    }
  }
  return own;
}

/**
 * Opens a journal whose lock is held, and brings in what is unfinished in it.
 *
 * @throws errors of the file system; nothing is left open then.
 */
export async function openJournal(
  place: JournalPlace,
  { stillOpen, soleJournal }: Pick<JournalOptions, 'stillOpen' | 'soleJournal'>,
  options: Pick<TargetOptions, 'clock' | 'log' | 'fs'>,
): Promise<Journal> {
  const { journal, loaded } = await Journal.open(place.directory, place.id, options.log);
  try {
    const open = loaded.intents.filter(({ settled }) => !settled);
    const unsettled = await stillOpen(open.flatMap(({ ids }) => ids));
    journal.keepOpen(open, unsettled);
    const settledHere = soleJournal === place.id;
    await bringIn(open, { unsettled, settledHere }, place, journal, options);
    journal.recovered();
    // Nobody will say of what was written again for them that it is settled.
    if (settledHere) journal.settled(open.flatMap(({ ids }) => ids.filter((id) => !unsettled.has(id))));
    return journal;
  } catch (error) {
    await journal.close();
    throw error;
  }
}

async function bringIn(
  intents: readonly LoadedIntent[],
  state: Pick<RecoveryOptions, 'unsettled' | 'settledHere'>,
  { file }: JournalPlace,
  journal: Journal,
  { clock, log, fs }: Pick<TargetOptions, 'clock' | 'log' | 'fs'>,
): Promise<void> {
  const appender = new Appender({ file, clock, log, journal, fs });
  try {
    const begun = intents.filter(({ logged }) => !logged);
    const append = async (lines: Lines): Promise<void> => {
      for (const late of await appender.append(lines)) {
        const missing = await late.missing();
        await appender.accept(late);
        if (missing.length > 0) await append(linesAgain(late, lines.path, missing));
      }
    };
    await recover(begun, { ...state, append, log });
    for (const { lastTimeUs } of intents) clock.startAfter(lastTimeUs);
  } finally {
    await appender.close();
  }
}

const linesAgain = ({ lines, ids, lastTimeUs, seq }: LateLines, path: string, missing: readonly number[]): Lines => ({
  path,
  bytes: Buffer.concat(missing.map((at) => lines[at] ?? Buffer.alloc(0))),
  ids: missing.map((at) => ids[at] ?? ''),
  lastTimeUs,
  ...(seq === null ? {} : { replaces: seq }),
});
