// Many small stagings side by side, as many as there are cores.

import { availableParallelism } from 'node:os';

/** Runs `work` on every item, in order of the items but several at a time. @throws the first error. */
export async function inParallel<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  width = availableParallelism(),
): Promise<void> {
  const waiting = items.values();
  const worker = async (): Promise<void> => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
