// One destination of a replay: what waits for room in its lane, what waits to be tried again, and when to give up. The
// lane is the one of `run`, with its concurrency, rate, batches and breaker; the waiting, which PostgreSQL does there, is
// done here, in memory that the replay bounds.
//
//   waiting ──▶ in the lane ──▶ accepted                       given up on: every event goes to the reject file
//      ▲            ├─▶ refused ──▶ its time has come: due ──▶ in the lane, up to `attempts` times ──▶ rejected
//      └────────────┴─▶ given back: the breaker has opened

import type { DeliveryResult } from '../destinations/destination.ts';
import { failureAt } from '../flow/standing.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Lane } from '../router/lane.ts';
import type { LaneEvent } from '../router/lane-queue.ts';
import { fail } from '../router/transitions.ts';
import type { PendingEvent } from './pending.ts';

/** Node's own limit is 24 days. */
const MAX_TIMER_MS = 24 * 60 * 60_000;

export interface OutletOptions {
  readonly lane: Lane;
  readonly key: string;
  /** Most attempts of one event, and most openings of the breaker in a row. */
  readonly attempts: number;
  readonly laneEventOf: (event: PendingEvent, due: boolean) => LaneEvent;
  readonly onAccepted: (event: PendingEvent) => void;
  /** It is not tried here any more. */
  readonly onRejected: (event: PendingEvent, error: string) => void;
  /** Nothing is tried here any more. */
  readonly onGivenUp: (error: string) => void;
}

/** An event on its way to the destination. */
interface Passage {
  readonly event: PendingEvent;
  readonly laneEvent: LaneEvent;
}

export class Outlet {
  readonly lane: Lane;
  readonly key: string;
  readonly #options: OutletOptions;
  /** Not tried yet. */
  #waiting: Passage[] = [];
  /** Tried before, and their time has come. */
  #due: Passage[] = [];
  readonly #retries = new Map<Passage, NodeJS.Timeout>();
  readonly #inLane = new Map<LaneEvent, Passage>();
  /** Why nothing is tried here any more. */
  #givenUp: string | null = null;
  #stopped = false;

  constructor(options: OutletOptions) {
    this.#options = options;
    this.lane = options.lane;
    this.key = options.key;
  }

  /** Events that were refused and wait for their next attempt. */
  get retrying(): number {
    return this.#retries.size + this.#due.length;
  }

  /** Why nothing is tried here any more; null: it is. */
  get givenUp(): string | null {
    return this.#givenUp;
  }

  add(event: PendingEvent): void {
    if (this.#givenUp !== null) {
      this.#options.onRejected(event, this.#givenUp);
      return;
    }
    this.#waiting.push(this.#passage(event, false));
    if (this.#waiting.length === 1) this.pump();
  }

  /** Fills the lane; to be called when it has room. */
  pump(): void {
    if (this.#stopped) return;
    // What has been refused before may have been so for a reason of its own, and would say nothing as a probe.
    const first = this.lane.wantsProbe ? this.#waiting : this.#due;
    this.#offer(first);
    this.#offer(first === this.#due ? this.#waiting : this.#due);
  }

  #offer(queue: Passage[]): void {
    let taken = 0;
    for (const passage of queue) {
      passage.laneEvent.offeredMs = performance.now();
      // It is answered in a later turn at the earliest.
      if (!this.lane.offer(passage.laneEvent)) break;
      this.#inLane.set(passage.laneEvent, passage);
      taken += 1;
    }
    // One is the rule, and the cheapest.
    if (taken === 1) queue.shift();
    else if (taken > 0) queue.splice(0, taken);
  }

  onAnswer(laneEvent: LaneEvent, result: DeliveryResult): void {
    const passage = this.#inLane.get(laneEvent);
    if (!passage) return;
    this.#inLane.delete(laneEvent);
    if (result.ok) {
      this.#options.onAccepted(passage.event);
      return;
    }
    // Aborted by us: nobody knows whether it arrived. It stays unsettled, as what is given back at the end.
    if (this.lane.aborted) return;
    this.#refused(passage, result);
  }

  /** The lane has not begun them. */
  onGivenBack(laneEvents: readonly LaneEvent[]): void {
    const passages = laneEvents.flatMap((laneEvent) => this.#inLane.get(laneEvent) ?? []);
    for (const { laneEvent } of passages) this.#inLane.delete(laneEvent);
    this.#waiting.unshift(...passages.filter(({ laneEvent }) => !laneEvent.due));
    this.#due.unshift(...passages.filter(({ laneEvent }) => laneEvent.due));
  }

  /** Nothing is begun or tried again any more. */
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#retries.values()) clearTimeout(timer);
  }

  #refused({ event }: Passage, result: Exclude<DeliveryResult, { readonly ok: true }>): void {
    const { attempts: most, onRejected } = this.#options;
    const { retry } = this.lane.config;
    const { destinationId } = this.lane;
    const { error } = result;
    const attempts = (failureAt(event.batchEvent.standing, destinationId)?.attempts ?? 0) + 1;
    const waitMs = Math.max(backoffMs(attempts, retry), Math.min(result.retryAfterMs ?? 0, retry.maxRetryAfterMs));
    fail(event.batchEvent, { destinationId, generation: 0, attempts, waitMs, parked: false, error });
    if (attempts >= most || this.#givenUp !== null) onRejected(event, error);
    else if (this.#stopped) return;
    else if (this.lane.openings >= most) {
      this.#giveUp(error);
      onRejected(event, error);
    } else this.#retryIn(waitMs, this.#passage(event, true));
  }

  #retryIn(waitMs: number, passage: Passage): void {
    const onDue = (): void => {
      this.#retries.delete(passage);
      this.#due.push(passage);
      this.pump();
    };
    this.#retries.set(passage, setTimeout(onDue, Math.min(waitMs, MAX_TIMER_MS)));
  }

  #giveUp(error: string): void {
    this.#givenUp = error;
    this.#options.onGivenUp(error);
    for (const timer of this.#retries.values()) clearTimeout(timer);
    const passages = [...this.#due, ...this.#retries.keys(), ...this.#waiting];
    this.#due = [];
    this.#waiting = [];
    this.#retries.clear();
    for (const { event } of passages) this.#options.onRejected(event, error);
  }

  #passage(event: PendingEvent, due: boolean): Passage {
    return { event, laneEvent: this.#options.laneEventOf(event, due) };
  }
}
