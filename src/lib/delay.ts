// Waiting that ends with its signal, without an exception: loops ask the signal themselves.

import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves after `ms` milliseconds or as soon as `signal` aborts, whichever comes first; never rejects. */
export async function delay(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
