// One destination's queue in memory. A lane never makes anybody wait: what it has no room for it refuses, and the
// router settles that as waiting. It holds the events' own rows, never slices of a batch.
//
//   offered ──▶ queued (fresh │ due, taken in turn) ──▶ under way, at most `concurrency` ──▶ answered
//      └─▶ refused: full, stopped or disabled

import { setMaxListeners } from 'node:events';
import type { LaneConfig } from '../config/config.ts';
import type { DeliveryResult, Destination } from '../destinations/destination.ts';
import type { BatchEvent, Regime } from '../flow/batch.ts';
import { messageOf } from '../lib/errors.ts';
import type { Budget } from './budget.ts';

/** Events that a lane holds beyond its concurrency. */
const QUEUE_EVENTS = 100;
/** New events leave a quarter of the lane to due ones, or under steady traffic no retry would ever find room. */
const SHARE_OF_FRESH = 3 / 4;
/** Bytes that a lane holds, queued and under way; one larger event is taken when the lane is empty. */
const MAX_LANE_BYTES = 1024 * 1024;

/** An event in a lane, and the regime that sent it there. */
export interface LaneEvent {
  readonly batchEvent: BatchEvent;
  readonly regime: Regime;
  readonly destinationId: number;
  /** Monotonic milliseconds: when it was offered. */
  readonly offeredMs: number;
  /** It came from PostgreSQL, not from a new batch. */
  readonly due: boolean;
  /** Monotonic milliseconds at which the attempt began. */
  startedMs: number;
  answered: boolean;
}

export interface LaneOptions {
  readonly destinationId: number;
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
}

export class Lane {
  readonly destinationId: number;
  readonly #budget: Budget;
  readonly #options: LaneOptions;
  readonly #abort = new AbortController();
  readonly #deliveries = new Set<Promise<void>>();
  /** Requests under way by destination: more than one after `replace`. */
  readonly #users = new Map<Destination, number>();
  #destination: Destination;
  #config: LaneConfig;
  #enabled: boolean;
  #fresh: LaneEvent[] = [];
  #due: LaneEvent[] = [];
  #underWay = 0;
  #bytes = 0;
  #failuresInARow = 0;
  #dueNext = false;
  #stopped = false;

  constructor(options: LaneOptions) {
    this.#options = options;
    this.destinationId = options.destinationId;
    this.#destination = options.destination;
    this.#config = options.config;
    this.#enabled = options.enabled;
    this.#budget = options.budget;
    // Each request under way listens, and how many that may be is the configuration's business.
    setMaxListeners(0, this.#abort.signal);
  }

  get config(): LaneConfig {
    return this.#config;
  }

  /** Takes new events at all. */
  get open(): boolean {
    return this.#enabled && !this.#stopped;
  }

  /** Open and delivering: worth a short wait for room. */
  get healthy(): boolean {
    return this.open && this.#failuresInARow === 0;
  }

  /** Events queued or under way. */
  get size(): number {
    return this.#fresh.length + this.#due.length + this.#underWay;
  }

  /** Room for events from PostgreSQL: half of the queue stays free for new ones. */
  get roomForDue(): { readonly events: number; readonly bytes: number } {
    const used = this.#due.length + this.#underWay;
    const most = this.#config.concurrency + Math.min(QUEUE_EVENTS / 2 - used, QUEUE_EVENTS - this.size);
    const events = this.open ? Math.max(0, most) : 0;
    return { events, bytes: Math.max(0, Math.min(MAX_LANE_BYTES - this.#bytes, this.#budget.free)) };
  }

  /** @returns false when the lane has no room; the event is the router's again. */
  offer(event: LaneEvent): boolean {
    const { bytes } = event.batchEvent.event;
    if (!this.open) return false;
    const share = event.due ? 1 : SHARE_OF_FRESH;
    if (this.size >= this.#config.concurrency + QUEUE_EVENTS * share) return false;
    if (this.#bytes > 0 && (this.#bytes + bytes > MAX_LANE_BYTES * share || bytes > this.#budget.free)) return false;
    this.#bytes += bytes;
    this.#budget.take(bytes);
    (event.due ? this.#due : this.#fresh).push(event);
    this.pump();
    return true;
  }

  /** Starts what may be started; called when something was offered, has ended, or the right to write is back. */
  pump(): void {
    while (this.#underWay < this.#config.concurrency && this.#options.mayDeliver()) {
      const batch = this.#next(this.#destination.maxBatchEvents);
      if (batch.length === 0) return;
      this.#underWay += batch.length;
      this.#start(this.#destination, batch);
    }
  }

  /**
   * A new configuration of the same destination: applies from the next delivery.
   *
   * @returns what was queued and not begun, when the lane is disabled now.
   */
  replace(destination: Destination, config: LaneConfig, enabled: boolean): readonly LaneEvent[] {
    if (!this.#users.has(this.#destination)) this.#users.set(this.#destination, 0);
    this.#destination = destination;
    this.#config = config;
    this.#enabled = enabled;
    this.#closeUnused();
    if (!enabled) return this.#giveBack();
    this.pump();
    return [];
  }

  /** Refuses from now on and gives back what was queued and not begun. */
  stop(): readonly LaneEvent[] {
    this.#stopped = true;
    return this.#giveBack();
  }

  #giveBack(): readonly LaneEvent[] {
    const queued = [...this.#fresh, ...this.#due];
    this.#fresh = [];
    this.#due = [];
    for (const { batchEvent } of queued) this.#release(batchEvent.event.bytes);
    return queued;
  }

  /** True after `abort`: an answer says nothing about the event any more. */
  get aborted(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Aborts what is under way: each is answered as a failure at once. */
  abort(): void {
    this.#abort.abort(new Error('stopped before an answer came'));
  }

  /** Resolves when nothing is under way any more and the connections are closed; call after `stop`. */
  async ended(): Promise<void> {
    while (this.#deliveries.size > 0) await Promise.all(this.#deliveries);
    await this.#destination.close();
  }

  /** New and due events in turn, so that neither a backlog nor fresh traffic starves the other. */
  #next(most: number): LaneEvent[] {
    const batch: LaneEvent[] = [];
    while (batch.length < most) {
      const [first, second] = this.#dueNext ? [this.#due, this.#fresh] : [this.#fresh, this.#due];
      const event = first.shift() ?? second.shift();
      if (!event) break;
      this.#dueNext = !this.#dueNext;
      batch.push(event);
    }
    return batch;
  }

  #start(destination: Destination, batch: readonly LaneEvent[]): void {
    const delivery = this.#deliver(destination, batch).finally(() => {
      this.#deliveries.delete(delivery);
      this.#users.set(destination, (this.#users.get(destination) ?? 1) - 1);
      this.#closeUnused();
    });
    this.#deliveries.add(delivery);
    this.#users.set(destination, (this.#users.get(destination) ?? 0) + 1);
  }

  /** A replaced destination is closed when its last request has ended. */
  #closeUnused(): void {
    for (const [destination, users] of this.#users) {
      if (users > 0 || destination === this.#destination) continue;
      this.#users.delete(destination);
      void destination.close();
    }
  }

  async #deliver(destination: Destination, batch: readonly LaneEvent[]): Promise<void> {
    let results: readonly DeliveryResult[];
    const startedMs = performance.now();
    for (const event of batch) event.startedMs = startedMs;
    try {
      results = await destination.deliver(
        batch.map(({ batchEvent }) => batchEvent.event),
        { signal: this.#abort.signal },
      );
    } catch (error) {
      results = batch.map(() => ({ ok: false, error: `internal error: ${messageOf(error)}` }));
    }
    this.#underWay -= batch.length;
    for (const [at, event] of batch.entries()) {
      const result = results[at] ?? { ok: false, error: 'internal error: the destination gave no answer' };
      this.#failuresInARow = result.ok ? 0 : this.#failuresInARow + 1;
      this.#release(event.batchEvent.event.bytes);
      event.answered = true;
      this.#options.onAnswer(event, result, this);
    }
    this.pump();
    this.#options.onRoom();
  }

  #release(bytes: number): void {
    this.#bytes -= bytes;
    this.#budget.give(bytes);
  }
}
