// One destination's queue in memory. A lane never makes anybody wait: what it has no room for it refuses, and the
// router settles that as waiting. It holds the events' own rows, never slices of a batch.
//
//   offered ──▶ queued (fresh │ due, taken in turn) ──▶ under way, at most `concurrency` requests ──▶ answered
//      └─▶ refused: full, stopped, disabled, paused, or its breaker is open
//
// Paused, disabled, stopped or with its breaker open it gives back what it had not begun. While the breaker's time is
// over and no probe is under way it takes just enough for one.

import type { LaneConfig } from '../config/config.ts';
import type { DeliveryResult, Destination } from '../destinations/destination.ts';
import type { DueRoom } from '../flow/due.ts';
import type { LaneReport, ReportingLane } from '../flow/lane-report.ts';
import type { DestinationVitals } from '../flow/vitals.ts';
import type { Logger } from '../lib/logger.ts';
import type { Breaker } from './breaker.ts';
import type { Budget } from './budget.ts';
import { Deliveries } from './deliveries.ts';
import { Health } from './health.ts';
import { attemptsOf, type LaneEvent, LaneQueue } from './lane-queue.ts';
import { measure } from './measure.ts';
import { Pace } from './pace.ts';
import { Rate } from './rate.ts';
import { Uptake } from './uptake.ts';

/** Asked for a probe: a due event that failed before, and one that was never tried, which is preferred. */
const PROBE_CHOICE = 2;
/** A timer is set anew after this; Node's own limit is 24 days. */
const MAX_TIMER_MS = 60_000;

export interface LaneOptions {
  readonly destinationId: number;
  /** The destination's key, for messages. */
  readonly key: string;
  readonly destination: Destination;
  readonly config: LaneConfig;
  readonly enabled: boolean;
  /** Shared by all lanes. */
  readonly budget: Budget;
  /** False while our right to write is in doubt: nothing is sent then. */
  readonly mayDeliver: () => boolean;
  readonly onAnswer: (event: LaneEvent, result: DeliveryResult, lane: Lane) => void;
  /** Called when room has become free. */
  readonly onRoom: () => void;
  /** Events were queued here when the lane was paused or its breaker opened. */
  readonly onGivenBack: (events: readonly LaneEvent[]) => void;
  readonly logger: Logger;
}

export class Lane implements ReportingLane {
  readonly destinationId: number;
  readonly uptake = new Uptake();
  /** Counted when somebody watches. */
  vitals: DestinationVitals | null = null;
  readonly #options: LaneOptions;
  readonly #deliveries: Deliveries;
  readonly #queue: LaneQueue;
  readonly #health: Health;
  readonly #breaker: Breaker;
  readonly #rate: Rate;
  readonly #pace = new Pace(performance.now());
  #config: LaneConfig;
  #enabled: boolean;
  #paused = false;
  #stopped = false;
  /** Requests under way. */
  #requests = 0;
  /** An event found no room since the last request began. */
  #refused = false;
  #pumpsSoon = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.destinationId = options.destinationId;
    this.#deliveries = new Deliveries(options.destination);
    this.#config = options.config;
    this.#enabled = options.enabled;
    this.#queue = new LaneQueue(options.budget);
    this.#rate = new Rate(options.config.maxPerSecond, performance.now());
    this.#health = new Health({ key: options.key, logger: options.logger, onProbe: options.onRoom });
    this.#breaker = this.#health.breaker;
  }

  get config(): LaneConfig {
    return this.#config;
  }

  /** Takes events at all. */
  get open(): boolean {
    return this.#enabled && !this.#paused && !this.#stopped;
  }

  /** Open, delivering, and within its rate: worth a short wait for room. */
  get healthy(): boolean {
    return this.open && this.#breaker.failures === 0 && this.#rate.waitMs(performance.now()) <= 0;
  }

  /** It delivers now or in a moment; `run --once` does not wait for others. */
  get worthWaiting(): boolean {
    return this.open && this.#health.worthWaiting;
  }

  /** How often its breaker has opened since anything was last accepted. */
  get openings(): number {
    return this.#breaker.openings;
  }

  /** Wants what one request takes, to see whether the destination works again. */
  get wantsProbe(): boolean {
    return this.open && this.#breaker.cause !== null && this.#breaker.waitMs(performance.now()) <= 0;
  }

  /** Events queued or under way. */
  get size(): number {
    return this.#queue.size;
  }

  /** Room for events from PostgreSQL, as far as it is worth asking for them. */
  get roomForDue(): DueRoom {
    return { events: this.open ? this.#placesForDue : 0, bytes: this.#queue.freeBytes, held: this.size };
  }

  get #placesForDue(): number {
    if (this.wantsProbe) return Math.max(0, PROBE_CHOICE * this.#mostInBatch - this.#queue.queued);
    if (this.#breaker.cause !== null) return 0;
    return this.#queue.placesForDue(this.#inRequests, this.#pace.perSecond(performance.now()));
  }

  get #mostInBatch(): number {
    return this.#deliveries.destination.maxBatchEvents;
  }

  /** Events that may be under way. */
  get #inRequests(): number {
    return this.#config.concurrency * this.#mostInBatch;
  }

  /** @returns false when the lane has no room; the event is the router's again. */
  offer(event: LaneEvent): boolean {
    if (!this.open) return false;
    if (!this.#hasRoom(event)) {
      this.#refused = true;
      return false;
    }
    this.#queue.add(event);
    // More may be offered in this very turn: to fill a batch, or to choose the probe from.
    if (this.#mostInBatch > 1 || this.#breaker.cause !== null) this.#pumpSoon();
    else this.pump();
    return true;
  }

  #hasRoom(event: LaneEvent): boolean {
    if (!this.#queue.hasBytesFor(event)) return false;
    if (this.#breaker.cause === null) return this.#queue.hasPlaceFor(event, this.#inRequests);
    if (!this.wantsProbe) {
      if (event.due || !this.#breaker.admitsUntried || attemptsOf(event) > 0) return false;
      this.#breaker.probeNow();
    }
    return this.#queue.queued < this.#mostInBatch * (event.due ? PROBE_CHOICE : 1);
  }

  /** Starts what may be started; called when something was offered, has ended, or the right to write is back. */
  pump(): void {
    clearTimeout(this.#timer);
    let waitMs = 0;
    while (waitMs <= 0 && this.#requests < this.#config.concurrency && this.#options.mayDeliver()) {
      const nowMs = performance.now();
      waitMs = this.#waitMs(nowMs);
      if (waitMs > 0) this.#pumpIn(waitMs);
      else this.#start(nowMs);
    }
  }

  #pumpSoon(): void {
    if (this.#pumpsSoon) return;
    this.#pumpsSoon = true;
    queueMicrotask(() => {
      this.#pumpsSoon = false;
      this.pump();
    });
  }

  /** Milliseconds until the next request may begin; infinite when something else has to happen first. */
  #waitMs(nowMs: number): number {
    const { oldestMs } = this.#queue;
    if (oldestMs === undefined) return Number.POSITIVE_INFINITY;
    const rateMs = this.#rate.waitMs(nowMs);
    if (this.#breaker.cause !== null) return Math.max(rateMs, this.#breaker.waitMs(nowMs));
    const { batch } = this.#config;
    if (batch === null || this.#queue.queued >= this.#mostInBatch || this.#refused || this.#queue.isFull) return rateMs;
    return Math.max(rateMs, oldestMs + batch.maxWaitMs - nowMs);
  }

  /** @param waitMs infinite: something else will happen first, and pump then. */
  #pumpIn(waitMs: number): void {
    if (waitMs === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.pump(), Math.ceil(Math.min(waitMs, MAX_TIMER_MS))).unref();
  }

  /**
   * A new configuration of the same destination: applies from the next delivery. It may be what mends the destination,
   * so one whose breaker is open is probed.
   *
   * @returns what was queued and not begun, when the lane is disabled now.
   */
  replace(destination: Destination, config: LaneConfig, enabled: boolean): readonly LaneEvent[] {
    this.#deliveries.replace(destination);
    this.#config = config;
    this.#enabled = enabled;
    this.#rate.change(config.maxPerSecond, performance.now());
    if (!enabled) return this.#giveBack();
    this.probeNow();
    this.pump();
    this.#options.onRoom();
    return [];
  }

  setPaused(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#options.onGivenBack(this.#giveBack());
    else this.#options.onRoom();
  }

  probeNow(): void {
    if (this.#breaker.cause === null) return;
    this.#breaker.probeNow();
    this.#options.onRoom();
  }

  report(): LaneReport {
    const nowMs = performance.now();
    const perSecond = this.#pace.perSecond(nowMs);
    if (!this.#enabled) return { state: 'disabled', waitMs: null, perSecond };
    const failing = this.#health.report(nowMs);
    if (failing !== null) return { ...failing, perSecond };
    const limited = this.#queue.queued > 0 && this.#rate.waitMs(nowMs) > 0;
    return { state: limited ? 'rate_limited' : 'ok', waitMs: null, perSecond };
  }

  /** Refuses from now on and gives back what was queued and not begun. */
  stop(): readonly LaneEvent[] {
    this.#stopped = true;
    this.#health.stop();
    return this.#giveBack();
  }

  #giveBack(): readonly LaneEvent[] {
    clearTimeout(this.#timer);
    return this.#queue.clear();
  }

  /** True after `abort`: an answer says nothing about the event any more. */
  get aborted(): boolean {
    return this.#deliveries.aborted;
  }

  /** Aborts what is under way: each is answered as a failure at once. */
  abort(): void {
    this.#deliveries.abort();
  }

  /** Resolves when nothing is under way any more and the connections are closed; call after `stop`. */
  ended(): Promise<void> {
    return this.#deliveries.ended();
  }

  #start(nowMs: number): void {
    const probe = this.#breaker.begin();
    const batch = probe ? this.#queue.takeForProbe(this.#mostInBatch) : this.#queue.take(this.#mostInBatch);
    this.#rate.take(batch.length, nowMs);
    this.#refused = false;
    this.#requests += 1;
    for (const event of batch) event.startedMs = nowMs;
    const events = batch.map(({ batchEvent }) => batchEvent.event);
    this.#deliveries.start(events, (results, speaks) => this.#onResults(batch, results, probe, speaks));
  }

  #onResults(batch: readonly LaneEvent[], results: readonly DeliveryResult[], probe: boolean, speaks: boolean): void {
    this.#requests -= 1;
    const nowMs = performance.now();
    this.#pace.add(results.filter(({ ok }) => ok).length, nowMs);
    this.uptake.answered(batch.length, nowMs - (batch[0]?.startedMs ?? nowMs), nowMs);
    if (this.vitals && !this.aborted) measure(this.vitals, batch, results, this.#config.retry.maxAttempts, nowMs);
    const untried = batch.some((event) => attemptsOf(event) === 0);
    if (speaks) this.#health.judge(results, { probe, untried }, this.#config.retry);
    else this.#breaker.ended(probe);
    for (const [at, result] of results.entries()) {
      const event = batch[at];
      if (!event) continue;
      this.#queue.end(event);
      event.answered = true;
      this.#options.onAnswer(event, result, this);
    }
    if (this.#breaker.cause !== null && this.#queue.queued > 0) this.#options.onGivenBack(this.#giveBack());
    this.pump();
    this.#options.onRoom();
  }
}
