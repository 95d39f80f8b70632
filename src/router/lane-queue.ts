// What a lane holds: events under way and, not begun yet, new ones and due ones, taken in turn, so that neither a backlog
// nor fresh traffic starves the other. Bounded in events and in bytes.

import type { BatchEvent, Regime } from '../flow/batch.ts';
import { failureAt } from '../flow/standing.ts';
import type { Budget } from './budget.ts';

/** An event in a lane, and the regime that sent it there. */
export interface LaneEvent {
  readonly batchEvent: BatchEvent;
  readonly regime: Regime;
  readonly destinationId: number;
  /** Monotonic milliseconds: when the lane took it. */
  offeredMs: number;
  /** It came from PostgreSQL, not from a new batch. */
  readonly due: boolean;
  /** Monotonic milliseconds at which the attempt began. */
  startedMs: number;
  answered: boolean;
}

/** How often it was tried, in vain, at the destination it stands at. */
export const attemptsOf = ({ batchEvent, destinationId }: LaneEvent): number =>
  failureAt(batchEvent.standing, destinationId)?.attempts ?? 0;

/** Events that a lane holds beyond what may be under way. */
const QUEUE_EVENTS = 100;
/** And due ones beyond these: what it delivers in a tenth of a second, since each look for more has its price. */
const DUE_AHEAD_MS = 100;
const MAX_DUE_AHEAD = 500;
/** Asking PostgreSQL is worth it from this much room on, and a quarter of what is held ahead. */
const WORTH_EVENTS = 25;
/** New events leave a quarter of the lane to due ones, or under steady traffic no retry would ever find room. */
const SHARE_OF_FRESH = 3 / 4;
/** Bytes that a lane holds, queued and under way; of larger events it takes one at a time, and then nothing else. */
const MAX_LANE_BYTES = 1024 * 1024;
/** A batch waits no longer for more once the lane holds this much. */
const FULL_BYTES = MAX_LANE_BYTES / 2;

export class LaneQueue {
  readonly #budget: Budget;
  #fresh: LaneEvent[] = [];
  #due: LaneEvent[] = [];
  #dueNext = false;
  #underWay = 0;
  #dueAhead = 0;
  #bytes = 0;

  /** @param budget shared by all lanes. */
  constructor(budget: Budget) {
    this.#budget = budget;
  }

  /** Events not begun. */
  get queued(): number {
    return this.#fresh.length + this.#due.length;
  }

  /** Events queued or under way. */
  get size(): number {
    return this.queued + this.#underWay;
  }

  /** There is so much that a batch need not wait for more. */
  get isFull(): boolean {
    return this.#bytes >= FULL_BYTES;
  }

  /** Monotonic milliseconds at which the longest waiting one was offered; undefined when none is queued. */
  get oldestMs(): number | undefined {
    const [fresh, due] = [this.#fresh[0]?.offeredMs, this.#due[0]?.offeredMs];
    return fresh === undefined || due === undefined ? (fresh ?? due) : Math.min(fresh, due);
  }

  /** Bytes for which there is room. */
  get freeBytes(): number {
    return Math.max(0, Math.min(MAX_LANE_BYTES - this.#bytes, this.#budget.free));
  }

  hasBytesFor({ batchEvent, due }: LaneEvent): boolean {
    const { bytes } = batchEvent.event;
    const most = MAX_LANE_BYTES * shareOf(due);
    // Were it to wait until the lane is empty, steady traffic would keep it away for good.
    if (bytes > most) return this.#bytes <= most;
    return this.#bytes === 0 || (this.#bytes + bytes <= most && bytes <= this.#budget.free);
  }

  /** @param inRequests events that may be under way. */
  hasPlaceFor({ due }: LaneEvent, inRequests: number): boolean {
    if (due) return this.size < inRequests + QUEUE_EVENTS + this.#dueAhead;
    const dueHere = Math.min(this.#due.length, QUEUE_EVENTS / 2);
    return this.#fresh.length + dueHere + this.#underWay < inRequests + QUEUE_EVENTS * SHARE_OF_FRESH;
  }

  /**
   * Places for events from PostgreSQL: half of the queue stays free for new ones.
   *
   * @param perSecond events delivered lately.
   * @returns none while there are too few to be worth asking for.
   */
  placesForDue(inRequests: number, perSecond: number): number {
    this.#dueAhead = Math.min(MAX_DUE_AHEAD, Math.floor((perSecond * DUE_AHEAD_MS) / 1_000));
    const used = this.#due.length + this.#underWay;
    const places = inRequests + this.#dueAhead + Math.min(QUEUE_EVENTS / 2 - used, QUEUE_EVENTS - this.size);
    return places < WORTH_EVENTS + this.#dueAhead / 4 ? 0 : places;
  }

  add(event: LaneEvent): void {
    const { bytes } = event.batchEvent.event;
    this.#bytes += bytes;
    this.#budget.take(bytes);
    (event.due ? this.#due : this.#fresh).push(event);
  }

  /** Begins up to `most`, new and due ones in turn. */
  take(most: number): LaneEvent[] {
    const taken: LaneEvent[] = [];
    while (taken.length < most) {
      const [first, second] = this.#dueNext ? [this.#due, this.#fresh] : [this.#fresh, this.#due];
      const event = first.shift() ?? second.shift();
      if (!event) break;
      this.#dueNext = !this.#dueNext;
      taken.push(event);
    }
    this.#underWay += taken.length;
    return taken;
  }

  /**
   * Begins up to `most` for a probe: new events, if there are any, else those tried least. An event that has failed
   * before may do so for a reason of its own, and would say nothing about the destination.
   */
  takeForProbe(most: number): LaneEvent[] {
    const byAttempts = [...this.#fresh, ...this.#due].sort((one, other) => attemptsOf(one) - attemptsOf(other));
    const [least] = byAttempts;
    const isNew = least !== undefined && attemptsOf(least) === 0;
    const taken = new Set(byAttempts.filter((event) => !isNew || attemptsOf(event) === 0).slice(0, most));
    this.#fresh = this.#fresh.filter((event) => !taken.has(event));
    this.#due = this.#due.filter((event) => !taken.has(event));
    this.#underWay += taken.size;
    return [...taken];
  }

  /** A begun event was answered. */
  end(event: LaneEvent): void {
    this.#underWay -= 1;
    this.#release(event);
  }

  /** Gives back all that is not begun. */
  clear(): LaneEvent[] {
    const all = [...this.#fresh, ...this.#due];
    this.#fresh = [];
    this.#due = [];
    for (const event of all) this.#release(event);
    return all;
  }

  #release({ batchEvent }: LaneEvent): void {
    this.#bytes -= batchEvent.event.bytes;
    this.#budget.give(batchEvent.event.bytes);
  }
}

const shareOf = (due: boolean): number => (due ? 1 : SHARE_OF_FRESH);
