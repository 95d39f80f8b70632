// What happened in each second of the last five minutes, in fixed memory: rates and latencies as the differences of the
// counts, for the page's curves.

import type { Life } from '../flow/life.ts';
import { DELIVERY_BOUNDS, QUICK_BOUNDS, type Vitals } from '../flow/vitals.ts';
import { type Histogram, quantile } from '../lib/histogram.ts';

const SECONDS = 300;
const TICK_MS = 1_000;

const CURVES = ['logged', 'delivered', 'failed', 'latency_p50', 'latency_p99', 'sync_p99', 'queued'] as const;
type Curve = (typeof CURVES)[number];

/** Seconds after a moment. */
export interface Stretch {
  /** Number of the newest second; 0 = none yet. */
  readonly tick: number;
  /** Events a second, seconds of latency, rows in the queue: oldest first; null = nothing to tell of that second. */
  readonly curves: Readonly<Record<string, readonly (number | null)[]>>;
}

export interface History {
  /** What came after the second with this number, at most five minutes of it. */
  after(tick: number): Stretch;
  stop(): void;
}

/** @param queued rows in the queue as far as that is known; it is not asked for the sake of the curve. */
export function createHistory(life: Life, vitals: Vitals, queued: () => number | null): History {
  const rings = new Map(CURVES.map((curve) => [curve, new Float64Array(SECONDS).fill(Number.NaN)]));
  let tick = 0;
  let before = countsOf(life, vitals);
  let beforeMs = performance.now();
  const timer = setInterval(() => {
    const nowMs = performance.now();
    const now = countsOf(life, vitals);
    const rate = (from: number, to: number): number => Math.max(0, to - from) * (1_000 / Math.max(1, nowMs - beforeMs));
    const latency = differences(now.latency, before.latency);
    const values: Record<Curve, number | null> = {
      logged: rate(before.logged, now.logged),
      delivered: rate(before.delivered, now.delivered),
      failed: rate(before.failed, now.failed),
      latency_p50: quantile(DELIVERY_BOUNDS, latency, 0.5),
      latency_p99: quantile(DELIVERY_BOUNDS, latency, 0.99),
      sync_p99: quantile(QUICK_BOUNDS, differences(now.sync, before.sync), 0.99),
      queued: queued(),
    };
    tick += 1;
    for (const curve of CURVES)
      rings.get(curve)?.fill(values[curve] ?? Number.NaN, tick % SECONDS, (tick % SECONDS) + 1);
    before = now;
    beforeMs = nowMs;
  }, TICK_MS).unref();

  const valuesOf = (curve: Curve, count: number): (number | null)[] => {
    const ring = rings.get(curve) ?? new Float64Array();
    return Array.from({ length: count }, (_, at) => {
      const value = ring[(tick - count + 1 + at) % SECONDS] ?? Number.NaN;
      return Number.isNaN(value) ? null : Number(value.toPrecision(4));
    });
  };
  return {
    after(seen) {
      // One of a process before this one, or none.
      const count = Math.min(tick, SECONDS, seen > tick || seen < 0 ? tick : tick - seen);
      const entries = CURVES.map((curve) => [curve, valuesOf(curve, count)] as const);
      return { tick, curves: Object.fromEntries(entries) };
    },
    stop: () => clearInterval(timer),
  };
}

interface Counts {
  readonly logged: number;
  readonly delivered: number;
  readonly failed: number;
  readonly latency: readonly number[];
  readonly sync: readonly number[];
}

function countsOf({ summary }: Life, { destinations, log }: Vitals): Counts {
  let attempts = 0;
  let accepted = 0;
  const latency = new Array<number>(DELIVERY_BOUNDS.length + 1).fill(0);
  for (const each of destinations.values()) {
    accepted += each.answers.accepted;
    for (const count of Object.values(each.answers)) attempts += count;
    addTo(latency, each.latency);
  }
  const { logged, delivered } = summary;
  return {
    logged,
    delivered,
    failed: attempts - accepted,
    latency,
    sync: [...log.sync.counts],
  };
}

function addTo(sum: number[], { counts }: Histogram): void {
  for (const [at, count] of counts.entries()) sum[at] = (sum[at] ?? 0) + count;
}

/** Not below zero: the series of a destination may have been forgotten. */
const differences = (now: readonly number[], before: readonly number[]): number[] =>
  now.map((count, at) => Math.max(0, count - (before[at] ?? 0)));
