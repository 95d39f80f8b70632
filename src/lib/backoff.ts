// Exponential back-off with full jitter: the wait before attempt n+1 is uniform in [0, min(max, initial · 2^(n-1))],
// so that a thousand events that failed together do not come back together.
// https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/

export interface BackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
}

/**
 * @param attempts how many have failed so far, at least 1.
 * @param random uniform in [0, 1); a test gives its own.
 * @returns milliseconds to wait before the next attempt.
 */
export function backoffMs(attempts: number, options: BackoffOptions, random: () => number = Math.random): number {
  const ceiling = Math.min(options.maxMs, options.initialMs * 2 ** Math.min(attempts - 1, 52));
  return Math.round(ceiling * random());
}
