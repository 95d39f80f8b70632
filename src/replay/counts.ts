// What became of the lines of a replay. Kept in the checkpoint, so that the sum at the end is that of all runs together.

import type { Nowhere } from './routes.ts';

export interface Counts {
  /** Lines read, blank ones left out. Each is one of those below, or not settled yet. */
  lines: number;
  /** Accepted by all its destinations. */
  sent: number;
  /** Not accepted by one of them at least; in the reject file. */
  failed: number;
  /** No events. */
  bad: number;
  /** Left out by a filter. */
  skipped: number;
  /** Goes nowhere, by the reason. */
  readonly nowhere: Record<Nowhere, number>;
  /** By the destination's key: accepted there, and given up on. */
  readonly destinations: Record<string, { sent: number; failed: number }>;
}

/** @param keys the destinations that are sent to, so that one with nothing to do is shown as well. */
export function createCounts(keys: readonly string[]): Counts {
  return {
    lines: 0,
    sent: 0,
    failed: 0,
    bad: 0,
    skipped: 0,
    nowhere: { dropped: 0, left: 0, disabled: 0, other: 0, unmatched: 0 },
    destinations: Object.fromEntries(keys.map((key) => [key, { sent: 0, failed: 0 }])),
  };
}

/** Counts an event that no destination owes an answer for any more. */
export function countSettled(counts: Counts, done: Iterable<string>, failed: ReadonlySet<string>): void {
  counts[failed.size > 0 ? 'failed' : 'sent'] += 1;
  for (const key of done) countAt(counts, key, 'sent');
  for (const key of failed) countAt(counts, key, 'failed');
}

function countAt({ destinations }: Counts, key: string, what: 'sent' | 'failed'): void {
  const at = destinations[key] ?? { sent: 0, failed: 0 };
  destinations[key] = at;
  at[what] += 1;
}
