// Collects settlements that come one by one for a moment, so that PostgreSQL gets them together, in the order in which
// they were made.

import type { Regime } from '../flow/batch.ts';
import type { Settled } from '../flow/settlement.ts';

const COLLECT_MS = 10;
const COLLECT_EVENTS = 500;

export class Collector {
  readonly #push: (items: readonly Settled[], regime: Regime) => void;
  #items: Settled[] = [];
  #regime: Regime | null = null;
  #timer: NodeJS.Timeout | undefined;

  /** @param push takes what was collected under one regime. */
  constructor(push: (items: readonly Settled[], regime: Regime) => void) {
    this.#push = push;
  }

  /** Nothing is held back. */
  get empty(): boolean {
    return this.#items.length === 0;
  }

  add(item: Settled, regime: Regime): void {
    if (this.#regime !== regime) this.flush();
    this.#regime = regime;
    this.#items.push(item);
    if (this.#items.length >= COLLECT_EVENTS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), COLLECT_MS);
  }

  /** Passes on what was collected, now. */
  flush(): void {
    this.stop();
    const items = this.#items;
    this.#items = [];
    if (this.#regime && items.length > 0) this.#push(items, this.#regime);
  }

  /** Nothing is passed on by itself any more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
