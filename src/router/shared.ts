// Events that one lane has while another of their destinations is still owed: so that a retry at one destination need
// not wait for a slow answer of another. The lanes share one object for the event, so that each answer is put on top of
// the one before it, in whatever order they come.

import type { BatchEvent, Regime } from '../flow/batch.ts';
import { isPendingAt } from '../flow/standing.ts';

interface Entry {
  readonly event: BatchEvent;
  /** Monotonic milliseconds before which it is not to be tried again, by destination: PostgreSQL may not know it yet. */
  readonly notBeforeMs: Map<number, number>;
}

export class Shared {
  readonly #entries = new Map<string, Entry>();

  /** Remembers an event as long as lanes have it; free of cost for one with a single destination. */
  track(event: BatchEvent): void {
    const { waiting, failed } = event.standing;
    if (!event.handedOff || waiting.length + failed.length < 2) return;
    if (this.#entries.get(event.event.id)?.event === event) return;
    this.#entries.set(event.event.id, { event, notBeforeMs: new Map() });
  }

  /** No lane has it any more. */
  forget(event: BatchEvent): void {
    if (this.#entries.size > 0) this.#entries.delete(event.event.id);
  }

  /** It failed at a destination and is not due there before `waitMs` have passed. */
  failed(event: BatchEvent, destinationId: number, waitMs: number): void {
    this.#entries.get(event.event.id)?.notBeforeMs.set(destinationId, performance.now() + waitMs);
  }

  /**
   * Takes an event for one more lane, which has to be offered it or give it back.
   *
   * @returns null when no lane has it, this one has it already, or it is not due at this destination.
   */
  take(id: string, destinationId: number, { generation, config }: Regime): BatchEvent | null {
    const entry = this.#entries.get(id);
    if (!entry) return null;
    const { event, notBeforeMs } = entry;
    if (event.lanes.length === 0 || event.lanes.includes(destinationId)) return null;
    if (!event.standing.logged && config.logFile !== null) return null;
    if (!isPendingAt(event.standing, destinationId, generation)) return null;
    if (performance.now() < (notBeforeMs.get(destinationId) ?? 0)) return null;
    event.lanes = [...event.lanes, destinationId];
    return event;
  }
}
