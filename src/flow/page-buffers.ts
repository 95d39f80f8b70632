// The memory of pages, used again and again. Left to the collector it is what makes it run: 44 collections of everything
// for 300,000 events, half of all CPU time.

import type { BatchEvent } from './batch.ts';

/** Pages of all stages: one that is read, one that waits, some in the file's stage and one that is routed. */
const MOST_FREE = 6;
/** What one huge row has asked for is not kept. */
const MOST_KEPT_BYTES = 8 * 1024 * 1024;

const free: Buffer[] = [];
/** Buffers that are lent, or were: no other one is ever taken in. */
const ours = new WeakSet<Buffer>();

/** Lends a buffer of at least so many bytes. One that is never given back is the collector's. */
export function lendPageBuffer(bytes: number): Buffer {
  const fits = free.findLastIndex(({ length }) => length >= bytes);
  const [known] = fits < 0 ? [] : free.splice(fits, 1);
  const buffer = known ?? Buffer.allocUnsafeSlow(bytes);
  ours.add(buffer);
  return buffer;
}

/** Takes a buffer back of which nobody has read anything yet, or will again. */
export function takeBack(buffer: Buffer): void {
  if (buffer.length > MOST_KEPT_BYTES || !ours.has(buffer) || free.includes(buffer)) return;
  if (free.length >= MOST_FREE) free.shift();
  free.push(buffer);
}

/** Nothing is read for a while: what is free is the collector's, up to 48 MB after a burst of large events. */
export function dropFreePages(): void {
  free.length = 0;
}

/** All has been done with these events that is done before they are in their lanes, which keep what is theirs. */
export function endPage(events: readonly BatchEvent[]): void {
  let page: Buffer | null = null;
  for (const { event } of events) {
    const { row } = event;
    if (row !== page && !ours.has(row)) continue;
    if (row !== page && page !== null) takeBack(page);
    page = row;
    event.forget();
  }
  if (page !== null) takeBack(page);
}
