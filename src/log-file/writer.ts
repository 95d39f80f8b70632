// The stage between reader and router: passes a batch on only when the line of each of its events is on disk. While
// the file cannot be written nothing passes, and it goes on by itself; a slow destination is never waited for here.

import { Transform } from 'node:stream';
import type { Config, LogFileConfig } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import type { Batch, BatchEvent } from '../flow/batch.ts';
import type { Appender } from './appender.ts';
import { createLineClock } from './clock.ts';
import { isSameFile } from './file-name.ts';
import { createHeldBatches } from './held-batches.ts';
import type { LateLines } from './late-lines.ts';
import { Passages } from './passages.ts';
import type { Lines } from './progress.ts';
import { createRenderer } from './rendering.ts';
import { createRetry } from './retry.ts';
import type { LogFileStage, LogFileStageOptions, LogFileStatus } from './stage.ts';
import { openTarget, type Target, type TargetOptions } from './target.ts';
import { Turns } from './turns.ts';
import { setLogged, withoutLine } from './without-line.ts';

/** Batches that wait before the file, and after it for the router (QUEUE A4: three in the stage with the one in hand). */
const WAITING_BATCHES = 1;
/** Fewer are rendered in no time: what comes behind them is better read later, and together (p99 at 1,000/s: 23 ms, else 28). */
const MANY_EVENTS = 256;

const ignore = (): void => undefined;

/** Creates the stage: Batch in, the same Batch out with `standing.logged` set. The caller holds the local lock. */
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
  const turns = new Turns();

  const onStir = (reason: 'interval' | 'hint'): void => {
    if (reason === 'hint') retry.hurry();
    look();
  };

  const targetOptions: TargetOptions = {
    clock,
    log,
    journal: options.journal,
    fs: options.fs,
    vitals: options.vitals,
    onStir,
  };

  /** Makes sure that the file a line would go to now is open and in place. */
  const ready = async (file: LogFileConfig): Promise<{ readonly current: Target; readonly path: string }> => {
    target ??= await openTarget(file, targetOptions);
    await target.keep();
    const { path } = await target.appender.ready(target.name.at(clock.peek()));
    return { current: target, path };
  };

  function look(): void {
    const file = wanted;
    if (turns.current !== null || file === null || stage.destroyed) return;
    turns
      .take(() => retry.once(() => ready(file)))
      .catch((error: unknown) => void stage.destroy(error instanceof Error ? error : new Error(String(error))));
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
    const next: Target[] = [];
    try {
      await options.beforeSwitch(from, to, async () => {
        const before = target?.known;
        if (to !== null) next.push(await retry.persist(() => openTarget(to, { ...targetOptions, before })));
      });
    } catch (error) {
      for (const opened of next) await opened.close();
      throw error;
    }
    await leave();
    target = next[0] ?? null;
  };

  const render = async (
    events: readonly BatchEvent[],
    path: string,
    firstUs: number,
    expand: readonly string[],
    by = renderer,
  ): Promise<Lines> => ({
    path,
    bytes: await by.render(events, firstUs, expand),
    ids: events.map(({ event }) => event.id),
    lastTimeUs: firstUs + events.length - 1,
  });

  const append = async (appender: Appender, lines: Lines, onWritten?: () => void): Promise<readonly LateLines[]> => {
    let hasFailed = false;
    const late = await retry.persist(async () => {
      // The hidden folder may have gone with the directory; then no intent finds a place.
      if (hasFailed) await target?.keep();
      hasFailed = true;
      return appender.append(lines, onWritten);
    });
    options.onLines?.(lines.ids.length);
    return late;
  };

  /** Renders a batch while those before are on their way to the disk. @returns null: not now, but in its turn. */
  const renderAhead = async ({ events, regime }: Batch): Promise<Lines | null> => {
    const { logFile: file, expandJsonColumns } = regime.config;
    if (target === null || file === null || !isSameFile(file, wanted) || retry.lastError !== null) return null;
    const { name, appender, known } = target;
    const isNew = ({ event, standing }: BatchEvent): boolean =>
      !standing.logged && !known.some((source) => source.knows(event.id));
    if (events.length === 0 || held.size > 0 || !events.every(isNew)) return null;
    const heldBefore = held.added;
    const firstUs = clock.reserve(events.length);
    const path = name.at(firstUs);
    if (path !== appender.path || name.countInSameFile(firstUs, events.length) < events.length) return null;
    const lines = await render(events, path, firstUs, expandJsonColumns);
    // What came to be held meanwhile may be written before these, or is, and bears a later time.
    return held.added > heldBefore ? null : lines;
  };

  /** @param replaces the intent whose missing lines these are: they stay together in one file. */
  const appendLines = async (
    events: readonly BatchEvent[],
    { logFile: file, expandJsonColumns }: Config,
    onWritten: () => void,
    replaces?: number,
  ): Promise<readonly LateLines[]> => {
    const late: LateLines[] = [];
    // The bytes of a batch are valid while the next two are rendered: this is one between them.
    const by = replaces === undefined ? renderer : createRenderer();
    for (let done = 0; file !== null && done < events.length; ) {
      const { current, path } = await retry.persist(() => ready(file));
      const { name, appender } = current;
      const firstUs = clock.reserve(events.length - done);
      if (name.at(firstUs) !== path) continue; // midnight passed meanwhile
      const count = name.countInSameFile(firstUs, events.length - done);
      if (replaces !== undefined && count < events.length) continue;
      const lines = await render(events.slice(done, done + count), path, firstUs, expandJsonColumns, by);
      done += count;
      const written = replaces === undefined ? lines : { ...lines, replaces };
      late.push(...(await append(appender, written, done === events.length ? onWritten : undefined)));
    }
    return late;
  };

  const take = async (batch: Batch, prepared: Lines | null, onWritten: () => void): Promise<readonly LateLines[]> => {
    const { config } = batch.regime;
    let late: readonly LateLines[] = [];
    await follow(config.logFile);
    if (prepared !== null && target !== null) {
      const { appender, keep } = target;
      await retry.persist(keep);
      late = await append(appender, prepared, onWritten);
      for (const item of batch.events) setLogged(item);
    } else if (config.logFile !== null) {
      const file = config.logFile;
      // Also for a batch without a new line: nothing is delivered while the file cannot be written.
      const { current } = await retry.persist(() => ready(file));
      const unlogged = batch.events.filter(({ standing }) => !standing.logged);
      const content = (event: QueuedEvent): string => renderer.content(event, config.expandJsonColumns);
      const missing = await withoutLine(unlogged, current.known, content);
      late = await appendLines(missing, config, onWritten);
      for (const item of missing) setLogged(item);
    }
    return late;
  };

  const pass = (batch: Batch): void => {
    transform.push(batch);
  };

  const held = createHeldBatches({
    signal,
    log,
    accept: async (late) => target?.appender.accept(late),
    again: async (events, { regime }, seq) => {
      await lastRenderedAhead.catch(ignore);
      return turns.take(() => appendLines(events, regime.config, () => undefined, seq));
    },
    pass,
  });

  const passages = new Passages();
  /** The end of the last batch whose lines have their times already: nothing is written before it that bears a later one. */
  let lastRenderedAhead: Promise<void> = Promise.resolve();

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
      // Before this one is passed on only while nothing waits for the router: the stream holds back who calls behind that.
      const letNextIn = (isPassed = false): void => {
        if (isNextLetIn || (!isPassed && transform.readableLength > 0)) return;
        isNextLetIn = true;
        callback();
      };
      const done = passages.enter(async ({ before, beforeThat, setWritten }) => {
        const lines = await renderAhead(batch);
        if (lines !== null) lastRenderedAhead = done;
        // Then one of the renderer's buffers is free.
        if (lines !== null && batch.events.length >= MANY_EVENTS) beforeThat.done.then(() => letNextIn(), ignore);
        if ((await before.written) && lines !== null) target?.appender.announce(lines);
        await before.done;
        if (!isSameFile(batch.regime.config.logFile, wanted)) await held.empty();
        const onWritten = (): void => {
          setWritten();
          letNextIn();
        };
        const late = await turns.take(() => take(batch, lines, onWritten));
        if (late.length === 0) pass(batch);
        else held.add(batch, late, (error) => transform.destroy(error));
        letNextIn(true);
      });
      done.catch((error: Error) => transform.destroy(error));
    },
    flush(callback) {
      passages.done.then(() => held.empty()).then(() => callback(), callback);
    },
    destroy(error, callback) {
      ended.abort(error ?? undefined);
      const end = async (): Promise<void> => {
        await passages.done.catch(ignore);
        await held.empty();
        await turns.current;
        await leave();
      };
      end().then(
        () => callback(error),
        (closing: Error) => callback(error ?? closing),
      );
    },
  });

  const stage: LogFileStage = Object.assign(transform, {
    async reopen(): Promise<void> {
      target?.appender.reopen();
      retry.hurry();
      const looked = async (): Promise<void> => {
        while (turns.current !== null) await turns.current;
        look();
        await turns.current;
      };
      // On a disk that is full a batch keeps its turn for as long as it takes.
      await retry.unlessFailed(looked());
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
      config: wanted,
      state: retry.lastError === null ? ('ok' as const) : ('degraded' as const),
      lastError: retry.lastError,
    }),
  });
  return stage;
}
