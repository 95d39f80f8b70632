// What a row of the bench has found: figures of ours, those of the other side where there is one, and the goal.

import type { Bench } from './scene.ts';

/** What was measured, one value a round. */
export interface Figure {
  readonly label: string;
  readonly unit: string;
  readonly values: readonly number[];
}

/** Of the ratio to the other side, or of our own figure where there is none. */
export interface Goal {
  readonly of: 'ratio' | 'value';
  readonly sign: '>=' | '<=';
  readonly limit: number;
}

/** One line of the table. */
export interface Finding {
  readonly what: string;
  readonly ours: Figure | null;
  /** The baseline or the peer; value for value taken right before or after ours. */
  readonly against: Figure | null;
  readonly goal: Goal | null;
  /** Of tailrace, one value a round. */
  readonly cpuSeconds: readonly number[];
  readonly peakMiB: readonly number[];
  /** Settings, what is lacking, what to mind. */
  readonly notes: readonly string[];
  /** Why this was not measured, or not against anything. */
  readonly skipped: string | null;
}

export interface Row {
  readonly name: string;
  /** Of the goals table; null: none of it. */
  readonly number: number | null;
  readonly title: string;
  run(bench: Bench): Promise<readonly Finding[]>;
}

/** A finding with what most of them lack left out. */
export function finding(known: Partial<Finding> & Pick<Finding, 'what'>): Finding {
  return { ours: null, against: null, goal: null, cpuSeconds: [], peakMiB: [], notes: [], skipped: null, ...known };
}

/** @returns NaN for none. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** @param part from 0 to 1. @returns NaN for none. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  const at = part * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** Ours to theirs, round by round: what a noisy machine does to both of a round cancels out. */
export function ratios({ ours, against }: Finding): number[] {
  if (!ours || !against) return [];
  return ours.values.flatMap((value, at) => {
    const other = against.values[at];
    return other === undefined ? [] : [value / other];
  });
}

/** @returns null when there is no goal, or nothing to hold against it. */
export function isReached(found: Finding): boolean | null {
  const { goal, ours } = found;
  if (!goal) return null;
  const value = goal.of === 'ratio' ? median(ratios(found)) : median(ours?.values ?? []);
  if (Number.isNaN(value)) return null;
  return goal.sign === '>=' ? value >= goal.limit : value <= goal.limit;
}
