// What the tests of the journal share: a log file that was written with a real journal beside it up to a crash, whose
// files a test then changes, and the restart after it.

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { LogFileConfig } from '../../../src/config/config.ts';
import { createEvent, createRowShape, type QueuedEvent } from '../../../src/event/event.ts';
import { toBatchEvent } from '../../../src/flow/batch.ts';
import { FRESH } from '../../../src/flow/standing.ts';
import { createLogger, type Logger } from '../../../src/lib/logger.ts';
import { Appender } from '../../../src/log-file/appender.ts';
import { createLineClock } from '../../../src/log-file/clock.ts';
import type { LogFileSystem } from '../../../src/log-file/handle.ts';
import { Journal } from '../../../src/log-file/journal/journal.ts';
import { stateDirectory } from '../../../src/log-file/local-lock.ts';
import type { Lines } from '../../../src/log-file/progress.ts';
import { createRenderer } from '../../../src/log-file/rendering.ts';
import { type JournalOptions, openTarget } from '../../../src/log-file/target.ts';
import { endStage, logFileConfig, makeBatch, type Running, SILENT, startStage } from '../stage.ts';

export const JOURNAL_ID = '0b54ee46-b1a3-4c29-9d43-1ffbe8f92a6e';
/** Where a file system in memory is at hand, hundreds of crashes take seconds. */
const QUICK = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

const SHAPE = createRowShape([
  { name: 'id', kind: 'integer' },
  { name: 'event_type', kind: 'text' },
  { name: 'event_time', kind: 'integer' },
  { name: 'email', kind: 'text' },
]);

/** An event with a short line: of a type that no catalog knows. */
export function shortEvent(id: number, email = `é${id}`): QueuedEvent {
  return createEvent(SHAPE, [String(id), 'x', '1700000000', email]);
}

export interface Scene {
  readonly file: LogFileConfig;
  /** Path of the log file. */
  readonly path: string;
  /** The state directory. */
  readonly directory: string;
  /** Path of a segment. */
  segment(number: number): string;
  /** Bytes of each batch, in order. */
  readonly batches: readonly Buffer[];
}

export async function makeScene(): Promise<Scene & { readonly batches: Buffer[] }> {
  const folder = await mkdtemp(join(QUICK, 'tailrace-journal-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'events.jsonl');
  const directory = stateDirectory(path);
  await mkdir(directory);
  return {
    file: logFileConfig(path),
    path,
    directory,
    segment: (number) => join(directory, `journal-${String(number).padStart(6, '0')}`),
    batches: [],
  };
}

export async function openJournal(directory: string): Promise<Journal> {
  const { journal } = await Journal.open(directory, JOURNAL_ID, SILENT);
  onTestFinished(() => journal.close());
  return journal;
}

/**
 * A crash: batches of events with these ids were journalled and written, and PostgreSQL knows of none.
 *
 * @param between called after each batch with its number from 0 on.
 */
export async function crash(
  ids: readonly (readonly number[])[],
  between: (batch: number, scene: Scene) => Promise<void> = async () => {},
  existing?: Scene,
): Promise<Scene> {
  const scene = { ...(existing ?? (await makeScene())), batches: [] as Buffer[] };
  const journal = await openJournal(scene.directory);
  const clock = createLineClock({ onStepBack: () => {} });
  const appender = new Appender({ file: scene.file, clock, log: SILENT, journal });
  const renderer = createRenderer();
  for (const [at, some] of ids.entries()) {
    await appender.ready(scene.path); // its clock follows the file
    const firstUs = clock.reserve(some.length);
    const events = some.map((id) => toBatchEvent(shortEvent(id), FRESH, false));
    const lines: Lines = {
      path: scene.path,
      bytes: Buffer.from(await renderer.render(events, firstUs, [])),
      ids: some.map(String),
      lastTimeUs: firstUs + some.length - 1,
    };
    await appender.append(lines);
    scene.batches.push(lines.bytes);
    await between(at, scene);
  }
  await appender.close();
  await journal.close();
  return scene;
}

export interface Restart {
  /** Messages at ERROR. */
  readonly alarms: readonly string[];
}

export interface RestartOptions {
  /** Rows that are in the queue and not settled: they are read again. */
  readonly queue: readonly number[];
  readonly email?: (id: number) => string;
  /** false: it dies before PostgreSQL knows of what it logs. */
  readonly settle?: boolean;
  readonly journal?: Partial<JournalOptions>;
}

/** The journal options of a process that starts beside this scene. */
export const journalOptions = (scene: Scene, queue: readonly number[], more: Partial<JournalOptions> = {}) => ({
  of: () => ({ directory: scene.directory, id: JOURNAL_ID }),
  inherited: [],
  lost: false,
  crashed: false,
  soleJournal: null,
  keep: async () => 'in place' as const,
  stillOpen: async (ids: readonly string[]) => new Set(ids.filter((id) => queue.includes(Number(id)))),
  ...more,
});

/** Starts again, has the rows of the queue read once more, and stops in order. */
export async function restart(scene: Scene, options: RestartOptions): Promise<Restart> {
  const { alarms, log } = listen();
  const running: Running = startStage(scene.file, {
    log,
    journal: journalOptions(scene, options.queue, options.journal),
  });
  if (options.queue.length > 0) {
    await running.pass(
      makeBatch(
        scene.file,
        options.queue.map((id) => shortEvent(id, options.email?.(id))),
      ),
    );
    if (options.settle !== false) running.stage.settled(options.queue.map(String));
  }
  await endStage(running);
  return { alarms };
}

/** Starts again as far as to the end of the recovery, and dies there. */
export async function recoverOnly(
  scene: Scene,
  queue: readonly number[],
  more: Partial<JournalOptions> = {},
  fs?: LogFileSystem,
): Promise<Restart> {
  const { alarms, log } = listen();
  const clock = createLineClock({ onStepBack: () => {} });
  const target = await openTarget(scene.file, {
    clock,
    log,
    journal: journalOptions(scene, queue, more),
    fs,
    onStir: () => {},
  });
  await target.close();
  return { alarms };
}

/** A logger that keeps what is said at ERROR. */
export function listen(): { readonly alarms: string[]; readonly log: Logger } {
  const alarms: string[] = [];
  const log = createLogger({ level: 'silent' });
  log.error = (_fields: unknown, message?: unknown) => void alarms.push(String(message));
  return { alarms, log };
}
