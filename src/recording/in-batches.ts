// Gathers items into batches for one transaction each. A batch ends when it is full, and soon after its first item when no
// more come: an event of a producer that writes into a pipe is in the queue when it happens, not a thousand later.

import { setTimeout as delay } from 'node:timers/promises';

export interface BatchLimits<Item> {
  readonly maxItems: number;
  readonly maxBytes: number;
  /** Longest time from the first item of a batch to its end. */
  readonly maxWaitMs: number;
  readonly bytesOf: (item: Item) => number;
}

/**
 * Yields batches of at least one item, in order.
 *
 * @param source items as they come, any number at a time; what comes at once stays together, so that a batch may exceed
 * its limits by that.
 */
export async function* inBatches<Item>(
  source: AsyncIterable<readonly Item[]>,
  { maxItems, maxBytes, maxWaitMs, bytesOf }: BatchLimits<Item>,
): AsyncGenerator<Item[]> {
  const chunks = source[Symbol.asyncIterator]();
  try {
    let next = chunks.next();
    for (;;) {
      const first = await next;
      if (first.done) return;
      const batch = [...first.value];
      let bytes = sum(first.value, bytesOf);
      next = chunks.next();
      const timer = new AbortController();
      const time = delay(maxWaitMs, undefined, { signal: timer.signal }).catch(() => undefined);
      while (batch.length < maxItems && bytes < maxBytes) {
        // When the source fails, what it gave before comes first; the loop's next turn throws.
        const result = await Promise.race([next, time]).catch(() => undefined);
        if (result === undefined || result.done) break;
        for (const item of result.value) batch.push(item);
        bytes += sum(result.value, bytesOf);
        next = chunks.next();
      }
      timer.abort();
      next.catch(() => {}); // it may fail while the consumer is busy
      if (batch.length > 0) yield batch;
    }
  } finally {
    // Not waited for: the source may itself be waiting for a pipe that says nothing more.
    chunks.return?.(undefined).catch(() => {});
  }
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
