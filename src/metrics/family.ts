// One metric family: its name, what it means, and how its samples are read from what the process knows. Nothing is kept
// in step with the data path; all is collected when somebody asks.

import type { Life } from '../flow/life.ts';
import type { Vitals } from '../flow/vitals.ts';
import type { Histogram } from '../lib/histogram.ts';
import type { Status } from '../queue/status.ts';

/** What PostgreSQL said last, and when. */
export interface Reading {
  readonly status: Status;
  /** Seconds that have passed since. */
  readonly ageS: number;
  /** Seconds that the question took. */
  readonly tookS: number;
}

/** What the samples are read from. */
export interface Measured {
  readonly life: Life;
  readonly vitals: Vitals;
  /** null = PostgreSQL has not answered lately. */
  readonly reading: Reading | null;
  readonly databaseUp: boolean;
  readonly ready: boolean;
  readonly version: string;
}

export interface Sample {
  readonly value: number;
  readonly labels?: Readonly<Record<string, string | number>>;
  /** Of a histogram's parts: the family's name with `_bucket`, `_sum` or `_count`. */
  readonly metricName?: string;
}

export interface Family {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly samples: (measured: Measured) => readonly Sample[];
}

/** A single sample without labels; null = there is none now. */
export const one = (value: number | null | undefined): readonly Sample[] => (value == null ? [] : [{ value }]);

/** 1 or 0. */
export const flag = (isSo: boolean): readonly Sample[] => [{ value: Number(isSo) }];

/** The samples of a histogram, cumulated as Prometheus wants them. */
export function histogramSamples(
  name: string,
  { bounds, counts, sum }: Histogram,
  labels: Readonly<Record<string, string>> = {},
): readonly Sample[] {
  let below = 0;
  const buckets = counts.map((count, at) => {
    below += count;
    return { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[at] ?? '+Inf' }, value: below };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: below },
  ];
}
