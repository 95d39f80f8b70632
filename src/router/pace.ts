// How many events a lane has delivered lately: a ring of five-second counts over one minute.

const SLOT_MS = 5_000;
const SLOTS = 12;

export class Pace {
  readonly #counts = new Array<number>(SLOTS).fill(0);
  readonly #beganMs: number;
  /** Number of the slot counted last. */
  #slot: number;

  constructor(nowMs: number) {
    this.#beganMs = nowMs;
    this.#slot = Math.floor(nowMs / SLOT_MS);
  }

  add(events: number, nowMs: number): void {
    this.#forget(nowMs);
    this.#counts[this.#slot % SLOTS] = (this.#counts[this.#slot % SLOTS] ?? 0) + events;
  }

  /** Over the last minute, or since the beginning where that is less long ago. */
  perSecond(nowMs: number): number {
    this.#forget(nowMs);
    const sum = this.#counts.reduce((all, count) => all + count, 0);
    // The slot under way is not full yet.
    const countedMs = (SLOTS - 1) * SLOT_MS + (nowMs % SLOT_MS);
    return sum / (Math.max(1_000, Math.min(nowMs - this.#beganMs, countedMs)) / 1_000);
  }

  #forget(nowMs: number): void {
    const slot = Math.floor(nowMs / SLOT_MS);
    for (let at = Math.max(this.#slot + 1, slot - SLOTS + 1); at <= slot; at += 1) this.#counts[at % SLOTS] = 0;
    this.#slot = Math.max(this.#slot, slot);
  }
}
