// How long a page may wait for room in healthy lanes that are full. What overflows is settled as waiting, fetched again
// and settled again, which is far more work than a short wait. A destination whose answers say that it can take up
// what is left in time is waited for, at most 0.2 ms an event of the page: so the file is never held below 5,000 events a
// second. One whose answers say that it is slower is not waited for. One that gave too few answers lately to tell, new
// or very slow, is waited for 50 ms, within the same bound, and once a second when that was in vain.

import type { Lane } from './lane.ts';
import type { LaneEvent } from './lane-queue.ts';

const PATIENCE_MS_PER_EVENT = 0.2;
const UNKNOWN_MS = 50;
const LOOK_MS = 10;

/** What each lane refused of a page, in its order; undefined: what has no lane. */
export type Refused = Map<Lane | undefined, LaneEvent[]>;

export interface PatienceOptions {
  readonly refused: Refused;
  readonly offer: (lane: Lane, event: LaneEvent) => boolean;
  /** Events of the whole page; null: it waits as long as a lane is healthy. */
  readonly pageEvents: number | null;
}

export class Patience {
  readonly #offer: PatienceOptions['offer'];
  readonly #queues: ReadonlyMap<Lane | undefined, { readonly events: readonly LaneEvent[]; taken: number }>;
  readonly #mostMs: number;
  readonly #beganMs = performance.now();
  readonly #over = new AbortController();

  constructor({ refused, offer, pageEvents }: PatienceOptions) {
    this.#offer = offer;
    this.#queues = new Map([...refused].map(([lane, events]) => [lane, { events, taken: 0 }]));
    this.#mostMs = pageEvents === null ? Number.POSITIVE_INFINITY : pageEvents * PATIENCE_MS_PER_EVENT;
  }

  /** Waits while it is worth it, at most until `end`. @returns what found no room. */
  async wait(): Promise<readonly LaneEvent[]> {
    const { signal } = this.#over;
    this.#look();
    if (!signal.aborted) {
      const looks = setInterval(() => this.#look(), LOOK_MS);
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      clearInterval(looks);
      this.#noteVain();
    }
    return [...this.#queues.values()].flatMap(({ events, taken }) => events.slice(taken));
  }

  /** A lane has room: it is offered what comes next. */
  onRoom(): void {
    if (this.#over.signal.aborted) return;
    let hasAll = false;
    for (const [lane, queue] of this.#queues) {
      if (!lane || queue.taken === queue.events.length) continue;
      for (let next = queue.events[queue.taken]; next; next = queue.events[queue.taken]) {
        if (!this.#offer(lane, next)) break;
        queue.taken += 1;
      }
      if (queue.taken === queue.events.length) hasAll = true;
    }
    // What is left may be of lanes that are not waited for: then the next page must not wait for a look.
    if (hasAll) this.#look();
  }

  /** What has found no room by now finds none. */
  end(): void {
    this.#over.abort();
  }

  #noteVain(): void {
    for (const [lane, { taken }] of this.#queues) if (taken === 0) lane?.uptake.waitedInVain(performance.now());
  }

  #look(): void {
    const waitedMs = performance.now() - this.#beganMs;
    for (const [lane, { events, taken }] of this.#queues) {
      if (lane && taken < events.length && this.#isWorthIt(lane, events.length - taken, waitedMs)) return;
    }
    this.end();
  }

  #isWorthIt({ healthy, uptake, config }: Lane, events: number, waitedMs: number): boolean {
    if (!healthy || this.#mostMs === Number.POSITIVE_INFINITY) return healthy;
    const perSecond = uptake.perSecond(config.concurrency, performance.now());
    if (perSecond === null) return waitedMs < Math.min(UNKNOWN_MS, this.#mostMs);
    return (perSecond / 1_000) * (this.#mostMs - waitedMs) >= events;
  }
}
