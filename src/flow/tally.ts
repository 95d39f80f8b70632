// Counts what became of events, each once and by its final state: one that waits now and is delivered a second later
// counts as delivered. What can still change is remembered as a bitmap, so that a run may be as long as it likes.

import { IdSet } from '../lib/id-set.ts';
import type { Outcome, Settled } from './settlement.ts';

/** The summary of `run --once` (SPEC 8). `logged` counts new lines. */
export interface Summary {
  read: number;
  logged: number;
  delivered: number;
  dropped: number;
  left: number;
  waiting: number;
  failed: number;
  parked: number;
}

type Counted = Exclude<Outcome, 'orphan'>;

/** States that an event can leave again within a run. */
const PASSING: readonly Counted[] = ['waiting', 'failed', 'left', 'parked'];

export class Tally {
  readonly #summary: Summary = {
    read: 0,
    logged: 0,
    delivered: 0,
    dropped: 0,
    left: 0,
    waiting: 0,
    failed: 0,
    parked: 0,
  };
  readonly #passing = new Map<Counted, IdSet>(PASSING.map((outcome) => [outcome, new IdSet()]));

  get summary(): Readonly<Summary> {
    return this.#summary;
  }

  /** New lines in the log file: an event that was logged before a crash has none. */
  addLines(count: number): void {
    this.#summary.logged += count;
  }

  /** Takes in a committed settlement. */
  add(items: readonly Settled[]): void {
    for (const { id, outcome } of items) {
      if (outcome === 'orphan') continue;
      const before = PASSING.find((state) => this.#passing.get(state)?.delete(id));
      if (before) this.#summary[before] -= 1;
      else this.#summary.read += 1;
      this.#summary[outcome] += 1;
      this.#passing.get(outcome)?.add(id);
    }
  }
}
