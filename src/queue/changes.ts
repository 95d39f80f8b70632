// What a settlement changes in PostgreSQL: the difference between where its events stood and where they shall stand, as
// the parallel arrays that the statements take. Pure; the settler runs it.

import type { Settled } from '../flow/settlement.ts';
import { FRESH, type Standing } from '../flow/standing.ts';

/** Bits of tailrace.ledger, one per index. */
export interface Bits {
  readonly kinds: string[];
  readonly destinations: number[];
  readonly generations: number[];
  readonly ids: string[];
}

export interface Changes {
  /** Rows that go away or are marked. */
  readonly gone: string[];
  readonly set: Bits;
  readonly clear: Bits;
  readonly fail: {
    readonly destinations: number[];
    readonly ids: string[];
    readonly parked: boolean[];
    readonly generations: number[];
    readonly attempts: number[];
    readonly waitsMs: number[];
    readonly errors: string[];
  };
  readonly unfail: { readonly destinations: number[]; readonly ids: string[] };
}

type Bit = readonly [kind: string, destinationId: number, generation: number];

const NOWHERE: readonly Bit[] = [];
const LOGGED_BIT: Bit = ['L', 0, 0];
const UNLOGGED_BIT: Bit = ['S', 0, 0];
const TOO_LARGE_BIT: Bit = ['X', 0, 0];

/** Puts the changes of all items together; an id stands in at most one item. */
export function changesOf(items: readonly Settled[]): Changes {
  const changes: Changes = {
    gone: [],
    set: { kinds: [], destinations: [], generations: [], ids: [] },
    clear: { kinds: [], destinations: [], generations: [], ids: [] },
    fail: { destinations: [], ids: [], parked: [], generations: [], attempts: [], waitsMs: [], errors: [] },
    unfail: { destinations: [], ids: [] },
  };
  for (const { id, from, to, outcome } of items) {
    // An orphan's row is gone already, or is not ours any more: then it is somebody else's to delete.
    if (to === null && outcome !== 'orphan') changes.gone.push(id);
    if (to === null && from === FRESH) continue;
    const before = bitsOf(from);
    const after = to === null ? NOWHERE : bitsOf(to);
    for (const bit of after) if (!has(before, bit)) push(changes.set, bit, id);
    for (const bit of before) if (!has(after, bit)) push(changes.clear, bit, id);
    addFailures(changes, id, from, to);
  }
  return changes;
}

/**
 * Puts two settlements of one event, one after the other, into one.
 *
 * @returns from where the first began to where the second ends.
 */
export const compose = (first: Settled, second: Settled): Settled => ({ ...second, from: first.from });

function addFailures(changes: Changes, id: string, from: Standing, to: Standing | null): void {
  for (const failure of to?.failed ?? []) {
    if (from.failed.includes(failure)) continue;
    changes.fail.destinations.push(failure.destinationId);
    changes.fail.ids.push(id);
    changes.fail.parked.push(failure.parked);
    changes.fail.generations.push(failure.generation);
    changes.fail.attempts.push(failure.attempts);
    changes.fail.waitsMs.push(failure.waitMs);
    changes.fail.errors.push(storable(failure.error));
  }
  for (const { destinationId } of from.failed) {
    if (to?.failed.some((failure) => failure.destinationId === destinationId)) continue;
    changes.unfail.destinations.push(destinationId);
    changes.unfail.ids.push(id);
  }
}

/** PostgreSQL's text takes no U+0000. */
const storable = (text: string): string => text.replaceAll('\u0000', '\uFFFD').toWellFormed();

function bitsOf(standing: Standing): readonly Bit[] {
  if (standing === FRESH) return NOWHERE;
  const bits: Bit[] = [];
  if (standing.logged) bits.push(LOGGED_BIT);
  if (standing.unlogged) bits.push(UNLOGGED_BIT);
  if (standing.tooLarge) bits.push(TOO_LARGE_BIT);
  for (const generation of standing.left) bits.push(['l', 0, generation]);
  for (const { destinationId, generation } of standing.waiting) bits.push(['w', destinationId, generation]);
  for (const destinationId of standing.done) bits.push(['d', destinationId, 0]);
  return bits;
}

const has = (bits: readonly Bit[], [kind, destinationId, generation]: Bit): boolean =>
  bits.some((bit) => bit[0] === kind && bit[1] === destinationId && bit[2] === generation);

function push(bits: Bits, [kind, destinationId, generation]: Bit, id: string): void {
  bits.kinds.push(kind);
  bits.destinations.push(destinationId);
  bits.generations.push(generation);
  bits.ids.push(id);
}
