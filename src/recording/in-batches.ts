// Gathers items into batches for one INSERT each. A batch ends when it is full, and soon after its first item when no
// more come: an event of a producer that writes into a pipe is in the queue when it happens, not a thousand later.

import { setTimeout as delay } from 'node:timers/promises';

export interface BatchLimits<Item> {
  readonly maxItems: number;
  readonly maxBytes: number;
  /** Longest time from the first item of a batch to its end. */
  readonly maxWaitMs: number;
  readonly bytesOf: (item: Item) => number;
}

/** Yields batches of at least one item. The last one may exceed `maxBytes`, by the size of its last item. */
export async function* inBatches<Item>(
  source: AsyncIterable<Item>,
  { maxItems, maxBytes, maxWaitMs, bytesOf }: BatchLimits<Item>,
): AsyncGenerator<Item[]> {
  const items = source[Symbol.asyncIterator]();
  try {
    let next = items.next();
    for (;;) {
      const first = await next;
      if (first.done) return;
      const batch = [first.value];
      let bytes = bytesOf(first.value);
      next = items.next();
      const timer = new AbortController();
      const time = delay(maxWaitMs, undefined, { signal: timer.signal }).catch(() => undefined);
      while (batch.length < maxItems && bytes < maxBytes) {
        // When the source fails, what it gave before comes first; the loop's next turn throws.
        const result = await Promise.race([next, time]).catch(() => undefined);
        if (result === undefined || result.done) break;
        batch.push(result.value);
        bytes += bytesOf(result.value);
        next = items.next();
      }
      timer.abort();
      next.catch(() => {}); // it may fail while the consumer is busy
      yield batch;
    }
  } finally {
    // Not waited for: the source may itself be waiting for a pipe that says nothing more.
    items.return?.(undefined).catch(() => {});
  }
}
