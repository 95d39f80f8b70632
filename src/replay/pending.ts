// The events of a replay that are not settled yet, bounded in number and in bytes: what the reader waits for, and what
// the checkpoint lists. Each holds its line as it was, for the reject file, in memory of its own: a piece of a chunk would
// keep the whole chunk.

import type { BatchEvent } from '../flow/batch.ts';
import { createNudge } from '../lib/nudge.ts';
import type { Mark } from './lines.ts';

/** What lanes hold, many times over: each at most 1 MiB. */
const MAX_EVENTS = 4_000;
/** Of their lines; an event costs about three times its line. A single larger one is taken all the same. */
const MAX_BYTES = 8 * 1024 * 1024;
const LOOK_AGAIN_MS = 1_000;

/** Where a line stands. */
export interface Place {
  /** Index of its file. */
  readonly file: number;
  /** From 1. */
  readonly line: number;
  /** From where it can be found again. */
  readonly mark: Mark;
}

export interface PendingEvent {
  readonly place: Place;
  /** The line without its line feed. */
  readonly text: Buffer;
  readonly batchEvent: BatchEvent;
  /** Destinations that have neither accepted nor been given up on. */
  readonly open: Set<number>;
  /** Keys of the destinations that have it, in earlier runs too. */
  readonly done: Set<string>;
  /** Keys of the destinations that were given up on for it. */
  readonly failed: Set<string>;
}

export class Pending {
  readonly #events = new Set<PendingEvent>();
  readonly #room = createNudge();
  #bytes = 0;

  get size(): number {
    return this.#events.size;
  }

  /** Of their lines. */
  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#events.size >= MAX_EVENTS || this.#bytes >= MAX_BYTES;
  }

  /** In the order of their places, but for those that an earlier run left, which come when their lines do. */
  get all(): Iterable<PendingEvent> {
    return this.#events;
  }

  /** Where reading would have to begin again; undefined: nothing is pending. */
  get oldest(): Place | undefined {
    const [first] = this.#events;
    return first?.place;
  }

  add(event: PendingEvent): void {
    this.#events.add(event);
    this.#bytes += event.text.length;
  }

  /** It is settled. */
  delete(event: PendingEvent): void {
    if (!this.#events.delete(event)) return;
    this.#bytes -= event.text.length;
    this.#room.nudge();
  }

  /** Resolves when there is room or nothing is left, as `enough` asks, or the signal aborts. */
  async wait(enough: 'room' | 'empty', signal: AbortSignal): Promise<void> {
    const isEnough = (): boolean => (enough === 'room' ? !this.isFull : this.size === 0);
    while (!isEnough() && !signal.aborted) await this.#room.wait(LOOK_AGAIN_MS, signal);
  }
}
