// The stage between reader and router: passes a batch on only when the line of each of its events is on disk. While
// the file cannot be written nothing passes, and it goes on by itself; a slow destination is never waited for here.

import { dirname } from 'node:path';
import { Transform } from 'node:stream';
import type { LogFileConfig } from '../config/config.ts';
import type { Batch, BatchEvent } from '../flow/batch.ts';
import { FRESH, LOGGED } from '../flow/standing.ts';
import type { TailraceError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { Appender } from './appender.ts';
import { createLineClock } from './clock.ts';
import { createFileName, type FileName } from './file-name.ts';
import type { LogFileSystem } from './handle.ts';
import type { Journal } from './journal.ts';
import { createRenderer } from './rendering.ts';
import { createRetry } from './retry.ts';
import { watchForRotation } from './rotation.ts';

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
  readonly journal?: Journal | undefined;
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
  status(): LogFileStatus;
}

/** The log file in force and what belongs to it. */
interface Target {
  readonly config: LogFileConfig;
  readonly name: FileName;
  readonly appender: Appender;
  readonly unwatch: () => Promise<void>;
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
  let target: Target | null = null;
  /** The batch or the look under way; there is never more than one. */
  let turn: Promise<void> | null = null;

  const use = (config: LogFileConfig): Target => {
    const name = createFileName(config);
    return {
      config,
      name,
      appender: new Appender({ file: config, clock, log, journal: options.journal, fs: options.fs }),
      unwatch: watchForRotation(
        dirname(config.filename),
        () => name.at(clock.peek()),
        (reason) => {
          if (reason === 'hint') retry.hurry();
          look();
        },
      ),
    };
  };

  const leave = async (): Promise<void> => {
    const { appender, unwatch } = target ?? {};
    target = null;
    await unwatch?.();
    await appender?.close();
  };

  /** Makes sure that the file a line would go to now is open and in place. */
  const ready = ({ name, appender }: Target) => appender.ready(name.at(clock.peek()));

  function look(): void {
    const current = target;
    if (turn !== null || current === null || stage.destroyed) return;
    turn = retry
      .once(() => ready(current))
      .catch((error: unknown) => void stage.destroy(error instanceof Error ? error : new Error(String(error))))
      .finally(() => {
        turn = null;
      });
  }

  const follow = async (to: LogFileConfig | null): Promise<void> => {
    const from = target?.config ?? null;
    if (isSameFile(from, to)) {
      if (to !== null) target?.appender.configure(to);
      return;
    }
    await options.beforeSwitch(from, to);
    await leave();
    if (to !== null) target = use(to);
  };

  const appendLines = async (events: readonly BatchEvent[], current: Target, batch: Batch): Promise<void> => {
    const { name, appender } = current;
    for (let done = 0; done < events.length; ) {
      const path = await retry.persist(async () => (await ready(current)).path);
      const firstUs = clock.reserve(events.length - done);
      if (name.at(firstUs) !== path) continue; // midnight passed meanwhile
      const count = name.countInSameFile(firstUs, events.length - done);
      const part = events.slice(done, done + count);
      const lines = {
        path,
        bytes: renderer.render(part, firstUs, batch.regime.config.expandJsonColumns),
        ids: part.map(({ event }) => event.id),
        lastTimeUs: firstUs + count - 1,
      };
      await retry.persist(() => appender.append(lines));
      done += count;
    }
  };

  const take = async (batch: Batch): Promise<void> => {
    await follow(batch.regime.config.logFile);
    if (target !== null) {
      // Also for a batch without a new line: nothing is delivered while the file cannot be written.
      await retry.persist(() => ready(target as Target)); // only `follow` and `leave` change it, and not meanwhile
      const unlogged = batch.events.filter(({ standing }) => !standing.logged);
      await appendLines(unlogged, target, batch);
      for (const item of unlogged) {
        item.standing = item.standing === FRESH ? LOGGED : { ...item.standing, logged: true, unlogged: false };
      }
    }
    batch.loggedAtMs = performance.now();
  };

  const transform = new Transform({
    objectMode: true,
    readableHighWaterMark: WAITING_BATCHES,
    writableHighWaterMark: WAITING_BATCHES,
    construct(callback) {
      if (options.logFile !== null) target = use(options.logFile);
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
