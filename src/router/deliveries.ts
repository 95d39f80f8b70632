// The requests of a lane that are under way, and the destinations that they belong to: more than one after a new
// configuration. A replaced destination is closed when its last request has ended.

import { setMaxListeners } from 'node:events';
import type { DeliveryResult, Destination } from '../destinations/destination.ts';
import type { QueuedEvent } from '../event/event.ts';
import { messageOf } from '../lib/errors.ts';

const NO_ANSWER: DeliveryResult = { ok: false, error: 'internal error: the destination gave no answer' };

export class Deliveries {
  readonly #abort = new AbortController();
  readonly #underWay = new Set<Promise<unknown>>();
  /** Requests under way by destination. */
  readonly #users = new Map<Destination, number>();
  #destination: Destination;

  constructor(destination: Destination) {
    this.#destination = destination;
    // Each request under way listens, and how many that may be is the configuration's business.
    setMaxListeners(0, this.#abort.signal);
  }

  /** Where the next request goes. */
  get destination(): Destination {
    return this.#destination;
  }

  /** True after `abort`: an answer says nothing about its events any more. */
  get aborted(): boolean {
    return this.#abort.signal.aborted;
  }

  replace(destination: Destination): void {
    if (!this.#users.has(this.#destination)) this.#users.set(this.#destination, 0);
    this.#destination = destination;
    this.#closeUnused();
  }

  /**
   * Hands events over, and calls back with one result for each before the destination may be closed; whatever the
   * destination does, a missing answer is a failure.
   *
   * @param onResults `speaks`: the answer says something about the destination now in force.
   */
  start(
    events: readonly QueuedEvent[],
    onResults: (results: readonly DeliveryResult[], speaks: boolean) => void,
  ): void {
    const destination = this.#destination;
    this.#users.set(destination, (this.#users.get(destination) ?? 0) + 1);
    const delivery = this.#deliver(destination, events)
      .then((results) => onResults(results, !this.aborted && destination === this.#destination))
      .finally(() => {
        this.#underWay.delete(delivery);
        this.#users.set(destination, (this.#users.get(destination) ?? 1) - 1);
        this.#closeUnused();
      });
    this.#underWay.add(delivery);
  }

  /** Aborts what is under way: each is answered as a failure at once. */
  abort(): void {
    this.#abort.abort(new Error('stopped before an answer came'));
  }

  /** Resolves when nothing is under way any more and the connections are closed. */
  async ended(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
    await this.#destination.close();
  }

  async #deliver(destination: Destination, events: readonly QueuedEvent[]): Promise<readonly DeliveryResult[]> {
    try {
      const results = await destination.deliver(events, { signal: this.#abort.signal });
      return events.map((_, at) => results[at] ?? NO_ANSWER);
    } catch (error) {
      return events.map(() => ({ ok: false, error: `internal error: ${messageOf(error)}` }));
    }
  }

  #closeUnused(): void {
    for (const [destination, users] of this.#users) {
      if (users > 0 || destination === this.#destination) continue;
      this.#users.delete(destination);
      void destination.close();
    }
  }
}
