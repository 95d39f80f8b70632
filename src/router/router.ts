// The router: takes a batch whose lines are on disk, finds each event's route and offers it to the lane there. It never
// waits for a destination: what a lane cannot take, and what it took but has not answered 250 ms after the fsync, is
// settled as waiting. The one exception is short: a healthy lane that is merely full may delay a page by 50 ms, since
// overflow costs PostgreSQL 12 ms per 1,000 events (QUEUE A4).

import { Transform, type TransformCallback } from 'node:stream';
import type { DeliveryResult } from '../destinations/destination.ts';
import type { Batch, BatchEvent, Regime } from '../flow/batch.ts';
import type { Settled, Settlement } from '../flow/settlement.ts';
import { backoffMs } from '../lib/backoff.ts';
import { createNudge } from '../lib/nudge.ts';
import type { Lane, LaneEvent } from './lane.ts';
import { Lanes, type LanesOptions, type Way } from './lanes.ts';
import { firstMatch } from './match.ts';
import { failed, failureAt, gone, left, lineOnly, stillParked, unchanged, waiting } from './transitions.ts';

/** After the fsync: then an unanswered event is settled as waiting while its lane keeps it. */
const HAND_OFF_MS = 250;
const HAND_OFF_CHECK_MS = 50;
/** How long a page may wait for room in a healthy lane. */
const PATIENCE_MS = 50;
/** Answers are collected for this long, then settled together. */
const COLLECT_MS = 2;
const COLLECT_EVENTS = 500;

export interface RouterOptions extends Pick<LanesOptions, 'createDestination' | 'mayDeliver' | 'onLane' | 'logger'> {
  /** A lane refused an event, or an event failed: it is due there after `waitMs`. */
  readonly onDueLater: (destinationId: number, waitMs: number) => void;
  /** A lane has room again. */
  readonly onRoom: () => void;
  /** Nothing more is read: no page may wait for room in a lane any longer. */
  readonly stop: AbortSignal;
  /** Time that requests under way get when the stream ends. */
  readonly graceMs: number;
}

export class Router extends Transform {
  readonly lanes: Lanes;
  readonly #options: RouterOptions;
  readonly #room = createNudge();
  readonly #handOff: NodeJS.Timeout;
  #offered: LaneEvent[] = [];
  #answers: Settled[] = [];
  #answersRegime: Regime | null = null;
  #collecting: NodeJS.Timeout | undefined;

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
      onRoom: () => {
        this.#room.nudge();
        options.onRoom();
      },
    });
    this.#handOff = setInterval(() => this.#handOffUnanswered(), HAND_OFF_CHECK_MS);
  }

  override _transform(batch: Batch, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#route(batch).then(() => callback(), callback);
  }

  override _flush(callback: TransformCallback): void {
    this.lanes.stop(AbortSignal.timeout(this.#options.graceMs)).then(() => {
      this.#pushAnswers();
      callback();
    }, callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearInterval(this.#handOff);
    clearTimeout(this.#collecting);
    this.lanes.stop(AbortSignal.abort()).then(
      () => callback(error),
      () => callback(error),
    );
  }

  /** Nothing that was passed on is still without a settlement: answered, or handed off. */
  get quiet(): boolean {
    const unsettled = this.#offered.some(({ answered, handedOff }) => !answered && !handedOff);
    return this.writableLength === 0 && this.#answers.length === 0 && !unsettled;
  }

  /** Gives a lane an event that was due there. @returns false when it has no room. */
  offerDue(lane: Lane, batchEvent: BatchEvent, regime: Regime): boolean {
    return lane.offer(this.#laneEvent(batchEvent, regime, lane, true, performance.now()));
  }

  async #route(batch: Batch): Promise<void> {
    const { regime } = batch;
    const ways = this.lanes.waysOf(regime);
    const items: Settled[] = [];
    let refused: LaneEvent[] = [];
    for (const event of batch.events) {
      const way = event.logOnly ? null : wayOf(event, regime, ways);
      if (way === null) items.push(lineOnly(event));
      else if (way.lane === null)
        items.push(way.outcome === 'left' ? left(event, regime.generation) : gone(event, way.outcome));
      else if (failureAt(event.stored, way.lane.destinationId)?.parked) items.push(stillParked(event));
      else {
        const laneEvent = this.#laneEvent(event, regime, way.lane, false, batch.loggedAtMs || performance.now());
        if (!this.#offer(way.lane, laneEvent)) refused.push(laneEvent);
      }
    }
    this.#push(items, regime);
    if (refused.length > 0) refused = await this.#offerAgain(refused, regime);
    for (const { destinationId } of refused) this.#options.onDueLater(destinationId, 0);
    this.#push(
      refused.map(({ batchEvent, destinationId }) => waiting(batchEvent, destinationId, regime.generation, false)),
      regime,
    );
  }

  #laneEvent(batchEvent: BatchEvent, regime: Regime, lane: Lane, due: boolean, offeredMs: number): LaneEvent {
    return { batchEvent, regime, destinationId: lane.destinationId, offeredMs, due, handedOff: false, answered: false };
  }

  #offer(lane: Lane, event: LaneEvent): boolean {
    if (!lane.offer(event)) return false;
    this.#offered.push(event);
    return true;
  }

  /** Waits a moment for room in lanes that are delivering. @returns what found none. */
  async #offerAgain(refused: readonly LaneEvent[], regime: Regime): Promise<LaneEvent[]> {
    const lanes = new Map(this.lanes.open.map((lane) => [lane.destinationId, lane]));
    // Without a log file and with a single lane nothing overflows: its back-pressure goes all the way to the reader.
    const patient = regime.config.logFile === null && lanes.size === 1;
    const deadline = performance.now() + PATIENCE_MS;
    const { stop } = this.#options;
    let rest = [...refused];
    while (!this.destroyed && !stop.aborted && rest.some(({ destinationId }) => lanes.get(destinationId)?.healthy)) {
      const waitMs = patient ? PATIENCE_MS : deadline - performance.now();
      if (waitMs <= 0) break;
      await this.#room.wait(waitMs, stop);
      const full = new Set<Lane | undefined>();
      rest = rest.filter((event) => {
        const lane = lanes.get(event.destinationId);
        if (!lane || full.has(lane)) return true;
        if (this.#offer(lane, event)) return false;
        full.add(lane);
        return true;
      });
    }
    return rest;
  }

  #onAnswer(event: LaneEvent, result: DeliveryResult, lane: Lane): void {
    const { batchEvent, regime, destinationId } = event;
    if (result.ok) {
      this.#answer(gone(batchEvent, 'delivered'), regime);
      return;
    }
    // Aborted by us: nobody knows whether it arrived, so it is due again under the same key, not one attempt older.
    if (lane.aborted) {
      this.#onGivenBack([event]);
      return;
    }
    const { retry } = lane.config;
    const attempts = (failureAt(batchEvent.stored, destinationId)?.attempts ?? 0) + 1;
    const parked = retry.maxAttempts !== null && attempts >= retry.maxAttempts;
    const waitMs = Math.max(backoffMs(attempts, retry), Math.min(result.retryAfterMs ?? 0, retry.maxRetryAfterMs));
    if (!parked) this.#options.onDueLater(destinationId, waitMs);
    const { generation } = regime;
    this.#answer(
      failed(batchEvent, { destinationId, generation, attempts, waitMs, parked, error: result.error }),
      regime,
    );
  }

  /** Queued or aborted in a lane that stops: settled as waiting, or as it stands where PostgreSQL says so already. */
  #onGivenBack(events: readonly LaneEvent[]): void {
    for (const event of events) {
      event.answered = true;
      const { batchEvent, regime, destinationId, due, handedOff } = event;
      const item =
        due || handedOff ? unchanged(batchEvent) : waiting(batchEvent, destinationId, regime.generation, false);
      this.#answer(item, regime);
    }
  }

  #handOffUnanswered(): void {
    const before = performance.now() - HAND_OFF_MS;
    const items = new Map<Regime, Settled[]>();
    let at = 0;
    for (; at < this.#offered.length; at += 1) {
      const event = this.#offered[at];
      if (!event || event.answered) continue;
      if (event.offeredMs > before) break;
      const item = waiting(event.batchEvent, event.destinationId, event.regime.generation, true);
      event.handedOff = true;
      event.batchEvent.stored = item.to ?? event.batchEvent.stored;
      items.set(event.regime, [...(items.get(event.regime) ?? []), item]);
    }
    this.#offered = this.#offered.slice(at);
    for (const [regime, settled] of items) this.#push(settled, regime);
  }

  #answer(item: Settled, regime: Regime): void {
    if (this.#answersRegime !== regime) this.#pushAnswers();
    this.#answersRegime = regime;
    this.#answers.push(item);
    if (this.#answers.length >= COLLECT_EVENTS) this.#pushAnswers();
    else this.#collecting ??= setTimeout(() => this.#pushAnswers(), COLLECT_MS);
  }

  #pushAnswers(): void {
    clearTimeout(this.#collecting);
    this.#collecting = undefined;
    const answers = this.#answers;
    this.#answers = [];
    if (this.#answersRegime) this.#push(answers, this.#answersRegime);
  }

  #push(items: readonly Settled[], regime: Regime): void {
    if (items.length === 0 || this.destroyed) return;
    const settlement: Settlement = { onDelivered: regime.config.onDelivered, items };
    this.push(settlement);
  }
}

/** The way of an event: of the first route that matches, or delivered where the file is the only destination. */
function wayOf({ event }: BatchEvent, regime: Regime, ways: readonly Way[]): Way {
  const { shape, values } = event;
  const at = firstMatch(regime.routes, values[shape.eventTypeAt] ?? null, values[shape.mailclassAt] ?? null);
  return ways[at] ?? { outcome: 'delivered', lane: null };
}
