// The stage between reader and router: passes a batch on only when the line of each of its events is on disk. While
// the file cannot be written nothing passes, and it goes on by itself; a slow destination is never waited for here.

import { Transform } from 'node:stream';
import type { LogFileConfig } from '../config/config.ts';
import type { Batch, BatchEvent } from '../flow/batch.ts';
import type { TailraceError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Appender, Lines } from './appender.ts';
import { createLineClock } from './clock.ts';
import type { LogFileSystem } from './handle.ts';
import { createRenderer } from './rendering.ts';
import { createRetry } from './retry.ts';
import { type JournalOptions, openTarget, type Target, type TargetOptions } from './target.ts';
import { setLogged, withoutLine } from './without-line.ts';

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
   * the new file's local lock taken, when it calls `takeOver`, after which the new journal knows what the old one does
   * of events that are not settled. When it resolves the new file is used. A rejection ends the stage, whose end waits
   * for it.
   */
  readonly beforeSwitch: (
    from: LogFileConfig | null,
    to: LogFileConfig | null,
    takeOver: () => Promise<void>,
  ) => Promise<void>;
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
  /** How many events have a line of which PostgreSQL does not know: what a crash left is read again after a while. */
  unsettled(): number;
  status(): LogFileStatus;
  /** Ends it and gives the files back, however it came to its end; safe to call twice. */
  close(): Promise<void>;
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
    path: () => target?.name.at(clock.peek()) ?? wanted?.filename ?? '',
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

  const targetOptions: TargetOptions = { clock, log, journal: options.journal, fs: options.fs, onStir };

  /** Makes sure that the file a line would go to now is open and in place. */
  const ready = async (file: LogFileConfig): Promise<{ readonly current: Target; readonly path: string }> => {
    target ??= await openTarget(file, targetOptions);
    await target.keep();
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
    let next: Target | null = null;
    try {
      await options.beforeSwitch(from, to, async () => {
        if (to === null) return;
        const before = target?.known;
        next ??= await retry.persist(() => openTarget(to, { ...targetOptions, before }));
      });
    } catch (error) {
      await (next as Target | null)?.close();
      throw error;
    }
    await leave();
    target = next;
  };

  const render = (events: readonly BatchEvent[], path: string, firstUs: number, expand: readonly string[]): Lines => ({
    path,
    bytes: renderer.render(events, firstUs, expand),
    ids: events.map(({ event }) => event.id),
    lastTimeUs: firstUs + events.length - 1,
  });

  const append = async (appender: Appender, lines: Lines, onWritten?: () => void): Promise<void> => {
    await retry.persist(() => appender.append(lines, onWritten));
    options.onLines?.(lines.ids.length);
  };

  /** Renders a batch and has it journalled while the one before is synced. @returns null: not now, but in its turn. */
  const prepare = ({ events, regime }: Batch): Lines | null => {
    const { logFile: file, expandJsonColumns } = regime.config;
    if (target === null || file === null || !isSameFile(file, wanted) || retry.lastError !== null) return null;
    const { name, appender, known } = target;
    const isNew = ({ event, standing }: BatchEvent): boolean =>
      !standing.logged && !known.some((source) => source.knows(event.id));
    if (events.length === 0 || !events.every(isNew)) return null;
    const firstUs = clock.reserve(events.length);
    const path = name.at(firstUs);
    if (path !== appender.path || name.countInSameFile(firstUs, events.length) < events.length) return null;
    const lines = render(events, path, firstUs, expandJsonColumns);
    appender.announce(lines);
    return lines;
  };

  const appendLines = async (
    events: readonly BatchEvent[],
    file: LogFileConfig,
    expand: readonly string[],
    onWritten: () => void,
  ): Promise<void> => {
    for (let done = 0; done < events.length; ) {
      const { current, path } = await retry.persist(() => ready(file));
      const { name, appender } = current;
      const firstUs = clock.reserve(events.length - done);
      if (name.at(firstUs) !== path) continue; // midnight passed meanwhile
      const count = name.countInSameFile(firstUs, events.length - done);
      const lines = render(events.slice(done, done + count), path, firstUs, expand);
      done += count;
      await append(appender, lines, done === events.length ? onWritten : undefined);
    }
  };

  const take = async (batch: Batch, prepared: Lines | null, onWritten: () => void): Promise<void> => {
    const { logFile: file, expandJsonColumns } = batch.regime.config;
    await follow(file);
    if (prepared !== null && target !== null) {
      const { appender, keep } = target;
      await retry.persist(keep);
      await append(appender, prepared, onWritten);
      for (const item of batch.events) setLogged(item);
    } else if (file !== null) {
      // Also for a batch without a new line: nothing is delivered while the file cannot be written.
      const { current } = await retry.persist(() => ready(file));
      const unlogged = batch.events.filter(({ standing }) => !standing.logged);
      const missing = await withoutLine(unlogged, current.known, (event) => renderer.content(event, expandJsonColumns));
      await appendLines(missing, file, expandJsonColumns, onWritten);
      for (const item of missing) setLogged(item);
    }
    batch.loggedAtMs = performance.now();
  };

  /** Ends when the batch before has been passed on. */
  let last: Promise<void> = Promise.resolve();

  const transform = new Transform({
    objectMode: true,
    // Whoever made it ends it: what it has passed on is settled, and noted, after its last batch.
    autoDestroy: false,
    readableHighWaterMark: WAITING_BATCHES,
    writableHighWaterMark: WAITING_BATCHES,
    construct(callback) {
      look();
      callback();
    },
    transform(batch: Batch, _encoding, callback) {
      let isNextLetIn = false;
      const letNextIn = (): void => {
        if (!isNextLetIn) callback();
        isNextLetIn = true;
      };
      const work = async (before: Promise<void>): Promise<void> => {
        const prepared = prepare(batch);
        await before;
        await turn;
        turn = take(batch, prepared, letNextIn);
        try {
          await turn;
        } finally {
          turn = null;
        }
        transform.push(batch);
        letNextIn();
      };
      last = work(last);
      last.catch((error: Error) => transform.destroy(error));
    },
    flush(callback) {
      last.then(() => callback(), callback);
    },
    destroy(error, callback) {
      ended.abort(error ?? undefined);
      const end = async (): Promise<void> => {
        await last.catch(() => {});
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
    unsettled: () => (target?.known ?? []).reduce((sum, source) => sum + source.unsettled, 0),
    async close(): Promise<void> {
      if (transform.closed) return;
      const closed = new Promise((resolve) => transform.once('close', resolve));
      transform.destroy();
      await closed;
    },
    status: (): LogFileStatus => ({
      path: target?.appender.path ?? null,
      state: retry.lastError === null ? ('ok' as const) : ('degraded' as const),
      lastError: retry.lastError,
    }),
  });
  return stage;
}

function isSameFile(one: LogFileConfig | null, other: LogFileConfig | null): boolean {
  return one?.filename === other?.filename && one?.appendDate === other?.appendDate;
}
