// The whole data path.
//
//  PostgreSQL            log file              lanes, one per destination        PostgreSQL
//  events ──▶ reader ──▶ append + fsync ──▶ router ──▶ http │ sql │ drop │ leave ──▶ settler
//    ▲       (pages)     (one line per event)  (first match)                  (delete, bits, rows)
//    └──────────── back-pressure: only the disk and PostgreSQL throttle the reader ─────┘
//
// Invariants, each kept at every line of every stage:
//  1. An event is routed only after its line is fsynced.
//  2. Only done events are deleted (or marked); an error leaves the row.
//  3. Every event read is settled: its new state is committed in PostgreSQL under our epoch.
//  4. No transaction is open while a file or the network is waited for.
//  5. The file waits for the disk and for PostgreSQL, never for a destination.

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Config, LogFileConfig } from './config/config.ts';
import { createDestination } from './destinations/create-destination.ts';
import { attemptLine } from './flow/attempt.ts';
import type { Regime } from './flow/batch.ts';
import { type Life, statusOfLanes } from './flow/life.ts';
import type { Settlement } from './flow/settlement.ts';
import type { Vitals } from './flow/vitals.ts';
import { onBeat } from './lib/beat.ts';
import { delay } from './lib/delay.ts';
import { EXIT, messageOf, TailraceError } from './lib/errors.ts';
import type { Logger } from './lib/logger.ts';
import type { Nudge } from './lib/nudge.ts';
import { createDeliveryLog, type DeliveryLogTarget } from './log-file/delivery-log.ts';
import type { LogFileStage } from './log-file/stage.ts';
import type { JournalOptions } from './log-file/target.ts';
import { createLogFileStage } from './log-file/writer.ts';
import { Due, type DueOptions } from './queue/due.ts';
import { Gaps } from './queue/gaps.ts';
import { InFlight } from './queue/in-flight.ts';
import { LaneDesk } from './queue/lane-desk.ts';
import { anythingDue, nowOf } from './queue/once.ts';
import { readQueue } from './queue/reader.ts';
import type { Rights } from './queue/rights.ts';
import { unsettledOf } from './queue/rows.ts';
import type { Session } from './queue/session.ts';
import { Settler } from './queue/settler.ts';
import { Sleep } from './queue/wake.ts';
import { Feeder } from './router/feeder.ts';
import { Router } from './router/router.ts';

/** Batches read ahead of the log file (QUEUE A4). */
const READ_AHEAD = 1;
/** After `stop`: requests under way get this long, and PostgreSQL a little longer (SPEC 8: 10 s in all). */
const GRACE_MS = 8_000;
const SETTLE_GRACE_MS = 9_500;
const QUIET_CHECK_MS = 5;
/** `run --once` gives up on a settlement that keeps failing after this. */
const ONCE_PATIENCE_MS = 30_000;
const ERROR_PAUSE_MS = 500;
const PUMP_MS = 1_000;
/** What `logfile.mode` is where nothing is said: SPEC 5. */
const DEFAULT_LOG_MODE = 0o640;

export interface PipelineOptions {
  readonly rights: Rights;
  /** Opens the settling connection. */
  readonly open: () => Promise<Session>;
  /** The one whose lock is held: by now another configuration may be in force already. */
  readonly logFile: LogFileConfig | null;
  /** The configuration in force; a batch keeps the one it was read under. */
  readonly regime: () => Regime;
  /** Wakes the reader up. */
  readonly nudge: Nudge;
  /** Handle all that is due now, then end. */
  readonly once: boolean;
  /** Everything is settled and another log file comes next: take its lock, then have its journal take over. */
  readonly onSwitch: (to: LogFileConfig | null, takeOver: () => Promise<void>) => Promise<void>;
  /** The journal beside the log file, and what was left unfinished in others. */
  readonly journal: Omit<JournalOptions, 'stillOpen'>;
  /** Told what the pipeline does. */
  readonly life: Life;
  /** What the stages count, where somebody watches. */
  readonly vitals?: Vitals | undefined;
  readonly logger: Logger;
  /** Stops reading; what is in flight is settled. */
  readonly stop: AbortSignal;
}

/**
 * Runs until `stop`, the end of a `once`, or the loss of the right to write.
 *
 * @returns true when nothing is left in flight.
 * @throws {TailraceError} `REVOKED`, `START_AFRESH`; with `once` the log file's error when it cannot be written; any other error is a bug.
 */
export async function runPipeline(options: PipelineOptions): Promise<boolean> {
  const { rights, regime, once, life, vitals, logger, stop } = options;
  const deadline = new AbortController();
  const onStop = (): void => void setTimeout(() => deadline.abort(stop.reason), SETTLE_GRACE_MS).unref();
  stop.addEventListener('abort', onStop, { once: true });
  if (stop.aborted) onStop();
  const ended = new AbortController();
  const feeding = AbortSignal.any([stop, ended.signal, rights.revoked]);

  /** A log file that cannot be written is not waited for by `run --once`, nor when another one is configured by now. */
  const broken = new AbortController();
  const over = AbortSignal.any([rights.revoked, broken.signal]);

  const inFlight = new InFlight();
  const settle = (settlement: Settlement): void => void settler.write(settlement);
  const takeShared: DueOptions['takeShared'] = (...pair) => router.takeShared(...pair);
  const dueBefore = once ? await nowOf(await rights.session(stop)) : null;
  const due = new Due({ rights, inFlight, takeShared, settle, dueBefore, signal: feeding });

  /** PostgreSQL is waited for, as everywhere; a log file that cannot be opened is the stage's own business. */
  const stillOpen: JournalOptions['stillOpen'] = async (ids) => {
    for (;;) {
      const session = await rights.session(feeding);
      try {
        return await unsettledOf(session, rights.table, ids);
      } catch (error) {
        logger.warn(
          { error: messageOf(error) },
          'cannot ask PostgreSQL what was settled before the crash; trying again',
        );
        await delay(ERROR_PAUSE_MS, feeding);
      }
    }
  };

  const settler = new Settler({
    epoch: rights.epoch,
    table: () => rights.table,
    open: options.open,
    inFlight,
    onSettled: (items) => {
      logFile.settled(items.map(({ id }) => id));
      life.settled(items);
    },
    patienceMs: once ? ONCE_PATIENCE_MS : null,
    took: vitals?.settling,
    logger,
    signal: AbortSignal.any([deadline.signal, over]),
  });
  const deliveryLog = createDeliveryLog({ target: () => deliveryLogOf(regime().config), logger });
  const router: Router = new Router({
    createDestination: (route, { config }) => createDestination(route.destination, { config, key: route.key, logger }),
    mayDeliver: () => rights.held && logFile.status().state === 'ok',
    onLane: (lane) => {
      desk.welcome(lane);
      vitals?.watch(lane, router.lanes.regime);
      feeder.start(lane);
    },
    onRoom: (destinationId) => feeder.onRoom(destinationId),
    onDueLater: (destinationId, waitMs) => feeder.onDueLater(destinationId, waitMs),
    onAttempt: (attempt) => deliveryLog.write(attemptLine(attempt, Date.now())),
    logger,
    stop,
    graceMs: GRACE_MS,
  });
  const desk = new LaneDesk({
    rights,
    lanes: () => router.lanes.open,
    regime,
    onDue: (destinationId) => feeder.onDue(destinationId),
    logger,
    signal: feeding,
  });
  await desk.open();
  const feeder = new Feeder({
    due,
    router,
    regime,
    giveBack: (ids) => {
      for (const id of ids) inFlight.release(id);
    },
    logger,
    signal: feeding,
  });
  const logFile: LogFileStage = createLogFileStage({
    logFile: options.logFile,
    log: logger,
    journal: { ...options.journal, stillOpen },
    signal: AbortSignal.any([stop, over]),
    onDegraded: ({ error }) => {
      if (once) broken.abort(error);
    },
    onLines: (count) => life.wrote(count),
    vitals: vitals?.log,
    beforeSwitch: async (_from, to, takeOver) => {
      while (!isQuiet()) {
        // Not only waited out: after its signal a delay is no pause at all.
        over.throwIfAborted();
        await delay(QUIET_CHECK_MS, over);
      }
      await options.onSwitch(to, takeOver);
    },
  });
  const isQuiet = (): boolean =>
    logFile.readableLength === 0 && router.quiet && router.readableLength === 0 && settler.writableLength === 0;
  /** The batch that waits was read under the configuration of then, and would wait for its file for ever. */
  const giveUpOldFile = (): void => {
    const { lastError, config } = logFile.status();
    if (lastError === null || isDeepStrictEqual(config, regime().config.logFile) || !isQuiet()) return;
    const message = `another logfile is configured while the one before cannot be written: ${lastError.message}; starting afresh`;
    broken.abort(new TailraceError('START_AFRESH', message, { exitCode: EXIT.tryAgain, cause: lastError }));
  };
  /** `run --once` leaves what waits for a destination that takes nothing now to another run. */
  const isOut = (destinationId: number): boolean =>
    desk.isPaused(destinationId) || router.lanes.of(destinationId)?.worthWaiting === false;
  const gaps = new Gaps();
  const sleep = new Sleep(options.nudge, () => vitals?.rested());
  const batches = readQueue({
    rights,
    inFlight,
    due,
    gaps,
    sleep,
    regime: () => {
      life.looked();
      return regime();
    },
    settle,
    finished: once
      ? async (session) => !(await anythingDue(session, rights.table.shard, regime(), dueBefore, isOut))
      : null,
    logger,
    signal: AbortSignal.any([stop, ended.signal]),
  });
  const reader = Readable.from(vitals?.counted(batches) ?? batches, {
    objectMode: true,
    highWaterMark: READ_AHEAD,
  });

  life.begins({
    epoch: rights.epoch,
    held: () => rights.held,
    generation: () => regime().generation,
    logFile: () => {
      const { path, lastError } = logFile.status();
      return { path, error: lastError && messageOf(lastError) };
    },
    lanes: () => statusOfLanes(router.lanes.open, router.lanes.regime, (destinationId) => desk.isPaused(destinationId)),
    gaps: () => gaps.size,
    inFlight: () => inFlight.size,
    isHeldBack: () => reader.readableLength > 0,
    reopen: () => Promise.all([logFile.reopen(), deliveryLog.reopen()]),
  });

  const endPumping = onBeat(PUMP_MS, () => {
    router.lanes.pump();
    giveUpOldFile();
  });
  try {
    await pipeline(reader, logFile, router, settler, { signal: over });
    return inFlight.size === 0 && logFile.unsettled() === 0;
  } catch (error) {
    if (over.aborted) throw over.reason;
    if (stop.aborted) return false;
    throw error;
  } finally {
    endPumping();
    stop.removeEventListener('abort', onStop);
    ended.abort();
    sleep.end();
    await Promise.all([feeder.ended(), desk.ended()]);
    await deliveryLog.close();
    await logFile.close();
  }
}

/** The delivery log's file is made as the log file is. */
function deliveryLogOf({ deliveryLog, logFile }: Config): DeliveryLogTarget | null {
  return (
    deliveryLog && {
      filename: deliveryLog.filename,
      mode: logFile?.mode ?? DEFAULT_LOG_MODE,
      createDirectory: logFile?.createDirectory ?? false,
    }
  );
}
