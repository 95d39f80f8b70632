// The stage between reader and router: passes a batch on only when the line of each of its events is on disk. While
// the file cannot be written nothing passes, and it goes on by itself; a slow destination is never waited for here.

import { Transform } from 'node:stream';
import type { LogFileConfig } from '../config/config.ts';
import type { Batch, BatchEvent } from '../flow/batch.ts';
import { FRESH, LOGGED } from '../flow/standing.ts';
import type { TailraceError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { createLineClock } from './clock.ts';
import type { LogFileSystem } from './handle.ts';
import type { KnownLines } from './journal/known-lines.ts';
import { contentOf, createRenderer } from './rendering.ts';
import { createRetry } from './retry.ts';
import { type JournalOptions, openTarget, type Target } from './target.ts';

/** Batches that wait before the file, and after it for the router (QUEUE A4: three in the stage with the one in hand). */
const WAITING_BATCHES = 1;

export interface LogFileStageOptions {
  /** In force at the start: the file is opened at once, so that a fault shows before the first event. null = no log file. */
  readonly logFile: LogFileConfig | null;
  readonly log: Logger;
  /** Ends the waiting for a file that cannot be written; the batch in hand is then not passed on. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called between two batches before another log file is used: everything that was passed on is to be settled, and
   * the new file's local lock taken, when it resolves. A rejection ends the stage, whose end waits for it.
   */
  readonly beforeSwitch: (from: LogFileConfig | null, to: LogFileConfig | null) => Promise<void>;
  readonly onDegraded?: ((state: { readonly error: TailraceError }) => void) | undefined;
  readonly onRecovered?: (() => void) | undefined;
  /** So many new lines are on disk. */
  readonly onLines?: ((count: number) => void) | undefined;
  /** The journal of a log file; undefined = none (a test of the stage without it). */
  readonly journal?: JournalOptions | undefined;
  /** Wall clock in microseconds since the epoch; a test gives its own. */
  readonly now?: (() => number) | undefined;
  readonly fs?: LogFileSystem | undefined;
}

export interface LogFileStatus {
  /** The file in use, with its date; null when none is configured or open. */
  readonly path: string | null;
  readonly state: 'ok' | 'degraded';
  readonly lastError: TailraceError | null;
}

/** Takes batches and passes them on in order, logged. */
export interface LogFileStage extends Transform {
  /** `SIGHUP`: opens the file anew between two batches. */
  reopen(): void;
  /** Committed in PostgreSQL: the journal may forget them. */
  settled(ids: readonly string[]): void;
  status(): LogFileStatus;
}

/** Creates the stage: Batch in, the same Batch out with `standing.logged` and `loggedAtMs` set. The caller holds the local lock. */
export function createLogFileStage(options: LogFileStageOptions): LogFileStage {
  const { log } = options;
  const ended = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, ended.signal]) : ended.signal;
  const clock = createLineClock({
    now: options.now,
    onStepBack: (stepUs) => log.warn({ step_seconds: stepUs / 1e6 }, 'clock stepped back; the lines follow it'),
  });
  const renderer = createRenderer();
  const retry = createRetry({
    path: () => (target ? target.name.at(clock.peek()) : ''),
    log,
    signal,
    onDegraded: (state) => options.onDegraded?.(state),
    onRecovered: () => options.onRecovered?.(),
  });
  let wanted = options.logFile;
  let target: Target | null = null;
  /** The batch or the look under way; there is never more than one. */
  let turn: Promise<void> | null = null;

  const onStir = (reason: 'interval' | 'hint'): void => {
    if (reason === 'hint') retry.hurry();
    look();
  };

  /** Makes sure that the file a line would go to now is open and in place. */
  const ready = async (file: LogFileConfig): Promise<{ readonly current: Target; readonly path: string }> => {
    target ??= await openTarget(file, { clock, log, journal: options.journal, fs: options.fs, onStir });
    const { path } = await target.appender.ready(target.name.at(clock.peek()));
    return { current: target, path };
  };

  function look(): void {
    const file = wanted;
    if (turn !== null || file === null || stage.destroyed) return;
    turn = retry
      .once(() => ready(file))
      .catch((error: unknown) => void stage.destroy(error instanceof Error ? error : new Error(String(error))))
      .finally(() => {
        turn = null;
      });
  }

  const leave = async (): Promise<void> => {
    const left = target;
    target = null;
    await left?.close();
  };

  const follow = async (to: LogFileConfig | null): Promise<void> => {
    const from = wanted;
    wanted = to;
    if (isSameFile(from, to)) {
      if (to !== null) target?.appender.configure(to);
      return;
    }
    await options.beforeSwitch(from, to);
    await leave();
  };

  const appendLines = async (
    events: readonly BatchEvent[],
    file: LogFileConfig,
    expand: readonly string[],
  ): Promise<void> => {
    for (let done = 0; done < events.length; ) {
      const { current, path } = await retry.persist(() => ready(file));
      const { name, appender } = current;
      const firstUs = clock.reserve(events.length - done);
      if (name.at(firstUs) !== path) continue; // midnight passed meanwhile
      const count = name.countInSameFile(firstUs, events.length - done);
      const part = events.slice(done, done + count);
      const lines = {
        path,
        bytes: renderer.render(part, firstUs, expand),
        ids: part.map(({ event }) => event.id),
        lastTimeUs: firstUs + count - 1,
      };
      await retry.persist(() => appender.append(lines));
      options.onLines?.(count);
      done += count;
    }
  };

  /** Leaves out what has a line with this very content already: its row came back, or we did after a crash. */
  const withoutLine = async (
    events: readonly BatchEvent[],
    known: readonly KnownLines[],
    expand: readonly string[],
  ): Promise<readonly BatchEvent[]> => {
    let missing = events;
    for (const source of known) {
      const suspects = missing.filter(({ event }) => source.knows(event.id));
      if (suspects.length === 0) continue;
      const lines = await source.linesOf(new Set(suspects.map(({ event }) => event.id)));
      for (const item of suspects) {
        const content = renderer.content(item.event, expand);
        if (lines.get(item.event.id)?.some((line) => contentOf(line) === content)) setLogged(item);
      }
      missing = missing.filter(({ standing }) => !standing.logged);
    }
    return missing;
  };

  const take = async (batch: Batch): Promise<void> => {
    const { logFile: file, expandJsonColumns } = batch.regime.config;
    await follow(file);
    if (file !== null) {
      // Also for a batch without a new line: nothing is delivered while the file cannot be written.
      const { current } = await retry.persist(() => ready(file));
      const unlogged = batch.events.filter(({ standing }) => !standing.logged);
      const missing = await withoutLine(unlogged, current.known, expandJsonColumns);
      await appendLines(missing, file, expandJsonColumns);
      for (const item of missing) setLogged(item);
    }
    batch.loggedAtMs = performance.now();
  };

  const transform = new Transform({
    objectMode: true,
    readableHighWaterMark: WAITING_BATCHES,
    writableHighWaterMark: WAITING_BATCHES,
    construct(callback) {
      look();
      callback();
    },
    transform(batch: Batch, _encoding, callback) {
      const work = async (): Promise<void> => {
        await turn;
        turn = take(batch);
        try {
          await turn;
        } finally {
          turn = null;
        }
      };
      work().then(
        () => callback(null, batch),
        (error: Error) => callback(error),
      );
    },
    destroy(error, callback) {
      ended.abort(error ?? undefined);
      const end = async (): Promise<void> => {
        await turn?.catch(() => {});
        await leave();
      };
      end().then(
        () => callback(error),
        (closing: Error) => callback(error ?? closing),
      );
    },
  });

  const stage: LogFileStage = Object.assign(transform, {
    reopen(): void {
      target?.appender.reopen();
      retry.hurry();
      look();
    },
    settled(ids: readonly string[]): void {
      for (const source of target?.known ?? []) source.settled(ids);
    },
    status: (): LogFileStatus => ({
      path: target?.appender.path ?? null,
      state: retry.lastError === null ? ('ok' as const) : ('degraded' as const),
      lastError: retry.lastError,
    }),
  });
  return stage;
}

function setLogged(item: BatchEvent): void {
  item.standing = item.standing === FRESH ? LOGGED : { ...item.standing, logged: true, unlogged: false };
}

function isSameFile(one: LogFileConfig | null, other: LogFileConfig | null): boolean {
  return one?.filename === other?.filename && one?.appendDate === other?.appendDate;
}
