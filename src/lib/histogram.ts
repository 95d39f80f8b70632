// How often values fell into which range, in fixed memory and a few nanoseconds a value. Cumulative, as Prometheus
// wants it; what happened between two moments is the difference of two copies of the counts.

export class Histogram {
  /** Upper bounds, ascending; what is above the last one is counted behind it. */
  readonly bounds: readonly number[];
  /** One a bound and one for what is above; not cumulated. */
  readonly counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  get sum(): number {
    return this.#sum;
  }

  observe(value: number): void {
    let at = 0;
    while (at < this.bounds.length && value > (this.bounds[at] ?? 0)) at += 1;
    this.counts[at] = (this.counts[at] ?? 0) + 1;
    this.#sum += value;
  }
}

/**
 * The value below which a share of the counted ones lies, interpolated within its range.
 *
 * @param counts as `Histogram.counts`, of several histograms with the same bounds added up too.
 * @param share from 0 to 1.
 * @returns null when nothing was counted; the last bound for what is above it.
 */
export function quantile(bounds: readonly number[], counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = share * total;
  let below = 0;
  for (const [at, upper] of bounds.entries()) {
    const count = counts[at] ?? 0;
    if (count > 0 && below + count >= rank) {
      const lower = bounds[at - 1] ?? 0;
      return lower + (upper - lower) * Math.max(0, (rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1) ?? null;
}
