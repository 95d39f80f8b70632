// The router: takes a batch whose lines are on disk, finds each event's routes and offers it to the lanes there. It
// never waits for a destination: what a lane cannot take, and what it took but has not answered 250 ms later,
// is settled as waiting. The one exception is short: a healthy lane that is merely full may delay a page (patience.ts).
//
// An event of several destinations is settled once when all of them accept it in time. Else it is handed off: settled as
// it stands by then, and again with each answer.

import { Transform, type TransformCallback } from 'node:stream';
import type { DeliveryResult } from '../destinations/destination.ts';
import type { Attempt } from '../flow/attempt.ts';
import type { Batch, BatchEvent, Regime } from '../flow/batch.ts';
import { endPage } from '../flow/page-buffers.ts';
import type { Settled, Settlement } from '../flow/settlement.ts';
import { FRESH, failureAt } from '../flow/standing.ts';
import { backoffMs } from '../lib/backoff.ts';
import { attemptOf } from './attempts.ts';
import { Collector } from './collector.ts';
import type { Lane } from './lane.ts';
import type { LaneEvent } from './lane-queue.ts';
import { Lanes, type LanesOptions } from './lanes.ts';
import { Patience, type Refused } from './patience.ts';
import { Shared } from './shared.ts';
import { decide, deliver, fail, gone, lineOnly, settle } from './transitions.ts';
import { isDropped, wantedOf, waysOf } from './ways.ts';

/** After a lane took it: then an unanswered event is settled as waiting while its lane keeps it. */
const HAND_OFF_MS = 250;
const HAND_OFF_CHECK_MS = 50;

export interface RouterOptions extends Pick<LanesOptions, 'createDestination' | 'mayDeliver' | 'onLane' | 'logger'> {
  /** A lane refused an event, or an event failed: it is due there after `waitMs`. */
  readonly onDueLater: (destinationId: number, waitMs: number) => void;
  /** The lane of this destination has room again. */
  readonly onRoom: (destinationId: number) => void;
  /** An attempt has ended; called only under a configuration with a delivery log. */
  readonly onAttempt: (attempt: Attempt) => void;
  /** Nothing more is read: no page may wait for room in a lane any longer. */
  readonly stop: AbortSignal;
  /** Time that requests under way get when the stream ends. */
  readonly graceMs: number;
}

export class Router extends Transform {
  readonly lanes: Lanes;
  readonly #options: RouterOptions;
  readonly #shared = new Shared();
  /** Of a page that waits for room. */
  #patience: Patience | null = null;
  #handOff: NodeJS.Timeout | undefined;
  #offered: LaneEvent[] = [];
  readonly #answers = new Collector((items, regime) => this.#push(items, regime));
  #flushed = false;

  constructor(options: RouterOptions) {
    super({ objectMode: true, readableHighWaterMark: 8, writableHighWaterMark: 1 });
    this.#options = options;
    this.lanes = new Lanes({
      createDestination: options.createDestination,
      mayDeliver: options.mayDeliver,
      onLane: options.onLane,
      logger: options.logger,
      onAnswer: (event, result, lane) => this.#onAnswer(event, result, lane),
      onGivenBack: (events) => this.#onGivenBack(events),
      onRoom: (destinationId) => {
        this.#patience?.onRoom();
        options.onRoom(destinationId);
      },
    });
  }

  override _transform(batch: Batch, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#route(batch).then(() => callback(), callback);
  }

  override _flush(callback: TransformCallback): void {
    this.lanes.stop(AbortSignal.timeout(this.#options.graceMs)).then(() => {
      this.#answers.flush();
      this.#flushed = true;
      callback();
    }, callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearInterval(this.#handOff);
    this.#answers.stop();
    this.#patience?.end();
    this.lanes.stop(AbortSignal.abort()).then(
      () => callback(error),
      () => callback(error),
    );
  }

  /** Nothing that was passed on is still without a settlement: answered, or handed off. */
  get quiet(): boolean {
    const unsettled = this.#offered.some(({ answered, batchEvent }) => !answered && !batchEvent.handedOff);
    return this.writableLength === 0 && this.#answers.empty && !unsettled;
  }

  /** More is answered than PostgreSQL settles. */
  get congested(): boolean {
    return this.readableLength >= this.readableHighWaterMark;
  }

  /** An event in flight at other destinations that is due at this one as well: to be offered with `offerDue`. */
  takeShared(id: string, destinationId: number, regime: Regime): BatchEvent | null {
    return this.#shared.take(id, destinationId, regime);
  }

  /**
   * Gives a lane an event that was due there.
   *
   * @returns false when it has no room. One that is not handed off then is nobody's, and has to be given back.
   */
  offerDue(lane: Lane, event: BatchEvent, regime: Regime): boolean {
    const { destinationId } = lane;
    if (!event.lanes.includes(destinationId)) event.lanes = [...event.lanes, destinationId];
    // An answer that comes at once is settled at once.
    const wasHandedOff = event.handedOff;
    event.handedOff = true;
    if (lane.offer(laneEventOf(event, regime, destinationId, true))) {
      event.event.keepAlone();
      this.#shared.track(event);
      return true;
    }
    this.#leave(event, destinationId);
    event.handedOff = wasHandedOff;
    if (wasHandedOff) this.#conclude(event, regime);
    return false;
  }

  async #route(batch: Batch): Promise<void> {
    const { regime } = batch;
    const ways = this.lanes.waysOf(regime);
    const lanes = new Map(this.lanes.open.map((lane) => [lane.destinationId, lane]));
    const items: Settled[] = [];
    const refused: Refused = new Map();
    for (const event of batch.events) {
      const taken = event.logOnly ? null : waysOf(event, regime, ways);
      if (taken === null) items.push(lineOnly(event));
      // Where the file is the only destination its line is all there is to it.
      else if (taken.length === 0) items.push(gone(event, 'delivered'));
      else if (event.stored === FRESH && isDropped(taken)) items.push(gone(event, 'dropped'));
      else {
        event.lanes = decide(event, wantedOf(taken), regime.generation);
        if (event.lanes.length === 0) items.push(settle(event));
        for (const destinationId of event.lanes) {
          const lane = lanes.get(destinationId);
          const laneEvent = laneEventOf(event, regime, destinationId, false);
          if (lane && this.#offer(lane, laneEvent)) continue;
          if (refused.get(lane)?.push(laneEvent) === undefined) refused.set(lane, [laneEvent]);
        }
      }
    }
    this.#push(items, regime);
    if (refused.size > 0) this.#refuse(await this.#offerAgain(refused, lanes.size, batch), regime);
    endPage(batch.events);
  }

  #offer(lane: Lane, event: LaneEvent): boolean {
    event.offeredMs = performance.now();
    if (!lane.offer(event)) return false;
    event.batchEvent.event.keep();
    this.#offered.push(event);
    this.#handOff ??= setInterval(() => this.#handOffUnanswered(), HAND_OFF_CHECK_MS);
    return true;
  }

  /** Settles what no lane had room for as waiting there, whatever its other destinations will say. */
  #refuse(refused: readonly LaneEvent[], regime: Regime): void {
    const events = new Set<BatchEvent>();
    for (const { batchEvent, destinationId } of refused) {
      this.#leave(batchEvent, destinationId);
      this.#options.onDueLater(destinationId, 0);
      events.add(batchEvent);
    }
    this.#answers.flush();
    this.#push([...events].map(settleNow), regime);
    for (const event of events) {
      if (event.lanes.length > 0) this.#shared.track(event);
      else this.#shared.forget(event);
    }
  }

  /** Waits a moment for room in lanes that are delivering. @returns what found none. */
  async #offerAgain(refused: Refused, lanes: number, { regime, events }: Batch): Promise<readonly LaneEvent[]> {
    const { stop } = this.#options;
    const patience = new Patience({
      refused,
      offer: (lane, event) => this.#offer(lane, event),
      // Without a log file and with a single lane nothing overflows: its back-pressure goes all the way to the reader.
      pageEvents: regime.config.logFile === null && lanes === 1 ? null : events.length,
    });
    const end = (): void => patience.end();
    if (this.destroyed || stop.aborted) end();
    stop.addEventListener('abort', end, { once: true });
    this.#patience = patience;
    const rest = await patience.wait();
    this.#patience = null;
    stop.removeEventListener('abort', end);
    return rest;
  }

  #onAnswer(laneEvent: LaneEvent, result: DeliveryResult, lane: Lane): void {
    const { batchEvent: event, regime, destinationId } = laneEvent;
    const attempts = (failureAt(event.standing, destinationId)?.attempts ?? 0) + 1;
    // Aborted by us: nobody knows whether it arrived, so it is due again under the same key, not one attempt older.
    if (!result.ok && lane.aborted) {
      this.#report(laneEvent, result, attempts, 'aborted', null);
      this.#onGivenBack([laneEvent]);
      return;
    }
    this.#leave(event, destinationId);
    if (result.ok) {
      this.#report(laneEvent, result, attempts, 'delivered', null);
      deliver(event, destinationId);
    } else {
      const { retry } = lane.config;
      const parked = retry.maxAttempts !== null && attempts >= retry.maxAttempts;
      const waitMs = Math.max(backoffMs(attempts, retry), Math.min(result.retryAfterMs ?? 0, retry.maxRetryAfterMs));
      this.#report(laneEvent, result, attempts, parked ? 'parked' : 'failed', parked ? null : waitMs);
      if (!parked) this.#options.onDueLater(destinationId, waitMs);
      const { generation } = regime;
      fail(event, { destinationId, generation, attempts, waitMs, parked, error: result.error });
      // Not held back for the others' answers: its next attempt counts from the settling.
      event.handedOff = true;
      if (event.lanes.length > 0) this.#shared.track(event);
      this.#shared.failed(event, destinationId, waitMs);
    }
    this.#conclude(event, regime);
  }

  #report(...attempt: Parameters<typeof attemptOf>): void {
    const [{ regime }] = attempt;
    if (regime.config.deliveryLog !== null) this.#options.onAttempt(attemptOf(...attempt));
  }

  /** Queued or aborted in a lane that stops: it stands as before, waiting or failed there. */
  #onGivenBack(events: readonly LaneEvent[]): void {
    for (const laneEvent of events) {
      laneEvent.answered = true;
      this.#leave(laneEvent.batchEvent, laneEvent.destinationId);
      this.#conclude(laneEvent.batchEvent, laneEvent.regime);
    }
  }

  #leave(event: BatchEvent, destinationId: number): void {
    event.lanes = event.lanes.filter((each) => each !== destinationId);
  }

  /** A lane has done with an event: settled now, or while its other destinations may still answer in time, with them. */
  #conclude(event: BatchEvent, regime: Regime): void {
    if (event.lanes.length === 0) this.#shared.forget(event);
    else if (!event.handedOff) return;
    this.#answers.add(settle(event), regime);
  }

  #handOffUnanswered(): void {
    const before = performance.now() - HAND_OFF_MS;
    const items = new Map<Regime, Settled[]>();
    let at = 0;
    for (; at < this.#offered.length; at += 1) {
      const event = this.#offered[at];
      if (!event || event.answered) continue;
      if (event.offeredMs > before) break;
      event.batchEvent.event.keepAlone();
      if (event.batchEvent.handedOff) continue;
      const item = settleNow(event.batchEvent);
      const settled = items.get(event.regime);
      if (settled) settled.push(item);
      else items.set(event.regime, [item]);
      this.#shared.track(event.batchEvent);
    }
    this.#offered = this.#offered.slice(at);
    if (this.#offered.length === 0) this.#handOff = void clearInterval(this.#handOff);
    for (const [regime, settled] of items) this.#push(settled, regime);
  }

  #push(items: readonly Settled[], regime: Regime): void {
    if (items.length === 0 || this.destroyed || this.#flushed) return;
    const settlement: Settlement = { onDelivered: regime.config.onDelivered, items };
    this.push(settlement);
  }
}

/** Settles an event while lanes may still have it; their answers are settled as they come. */
function settleNow(event: BatchEvent): Settled {
  event.handedOff = true;
  return settle(event);
}

const laneEventOf = (batchEvent: BatchEvent, regime: Regime, destinationId: number, due: boolean): LaneEvent => ({
  batchEvent,
  regime,
  destinationId,
  offeredMs: performance.now(),
  due,
  startedMs: 0,
  answered: false,
});
