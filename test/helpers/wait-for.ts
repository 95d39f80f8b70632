// Waiting for a condition instead of a time: a test is as quick as the machine and fails with what it waited for.

import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Default 30,000: for a condition that comes at all, however busy the machine is. */
  readonly timeoutMs?: number;
  /** What is waited for, for the message: "a second line in the file". */
  readonly what?: string;
  /** Default 20. */
  readonly intervalMs?: number;
}

const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_INTERVAL_MS = 20;

/**
 * Asks again and again until the condition is truthy, and returns its value. A condition that throws is asked again.
 *
 * @throws {Error} after `timeoutMs`, with what the condition last threw as `cause`.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, false | null | undefined | 0 | ''>> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, intervalMs = DEFAULT_INTERVAL_MS } = options;
  const what = options.what ?? condition.toString();
  const deadline = performance.now() + timeoutMs;
  let thrown: unknown;
  do {
    try {
      thrown = undefined;
      const value = await condition();
      if (value) return value as Exclude<T, false | null | undefined | 0 | ''>; // truthy, which TypeScript cannot say
    } catch (error) {
      thrown = error;
    }
    await sleep(intervalMs);
  } while (performance.now() < deadline);
  throw new Error(`waited ${timeoutMs} ms in vain for ${what}`, { cause: thrown });
}
