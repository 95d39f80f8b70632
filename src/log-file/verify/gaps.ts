// What lies between the ids of a log. A gap is no lost event, since ids are not dense by nature; the largest ones are
// worth a look.

import type { IdBitmap, IdRange } from '../../lib/id-bitmap.ts';

const MOST_TOLD = 5;

/** The ids between those of a log that are not in it. */
export interface Gaps {
  readonly count: number;
  /** Ids in them. */
  readonly ids: bigint;
  /** The largest first. */
  readonly largest: readonly IdRange[];
}

/** Sums up what lies between the ids of a log. */
export function gapsOf(seen: IdBitmap, most = MOST_TOLD): Gaps {
  let count = 0;
  let ids = 0n;
  const largest: IdRange[] = [];
  const sizeOf = ({ from, to }: IdRange): bigint => to - from + 1n;
  for (const gap of seen.gaps()) {
    count += 1;
    ids += sizeOf(gap);
    const last = largest.at(-1);
    if (largest.length === most && last && sizeOf(gap) <= sizeOf(last)) continue;
    largest.push(gap);
    largest.sort((a, b) => (sizeOf(b) > sizeOf(a) ? 1 : sizeOf(b) < sizeOf(a) ? -1 : 0));
    if (largest.length > most) largest.pop();
  }
  return { count, ids, largest };
}
