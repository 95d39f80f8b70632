// Time for the checks: so much for each, so much for all. What does not answer is left behind, and said.

import { type Finding, notSeen, warning } from './finding.ts';

const ALL_MS = 60_000;
const EACH_MS = 12_000;

export type Outcome<T> = { readonly value: T } | { readonly failure: Finding; readonly cause?: unknown };

export interface Stopwatch {
  /** Runs something for a check; never throws. */
  within<T>(check: string, work: () => Promise<T>): Promise<Outcome<T>>;
  /** The findings of a check, or the one that says why there are none. */
  all(check: string, work: () => Promise<readonly Finding[]>): Promise<readonly Finding[]>;
}

/** Starts the time of all checks. */
export function createStopwatch({ allMs = ALL_MS, eachMs = EACH_MS } = {}): Stopwatch {
  const end = performance.now() + allMs;
  const within = async <T>(check: string, work: () => Promise<T>): Promise<Outcome<T>> => {
    const leftMs = end - performance.now();
    if (leftMs <= 0) {
      return { failure: warning(check, `not looked at: the ${allMs / 1_000} s for all checks are over`) };
    }
    const ms = Math.min(leftMs, eachMs);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<Outcome<T>>((resolve) => {
      const failure = warning(check, `not looked at: no answer within ${Math.round(ms / 1_000)} s`);
      timer = setTimeout(() => resolve({ failure }), ms);
    });
    try {
      return await Promise.race([work().then((value) => ({ value })), late]);
    } catch (cause) {
      return { failure: notSeen(check, cause), cause };
    } finally {
      clearTimeout(timer);
    }
  };
  return {
    within,
    async all(check, work) {
      const outcome = await within(check, work);
      return 'value' in outcome ? outcome.value : [outcome.failure];
    },
  };
}
