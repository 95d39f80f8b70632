// What is done again and again while nothing comes is done on common beats, multiples of its interval on the monotonic
// clock: to wake up costs a process that idles as much as what it wakes up for.

/** Timers fire a moment early or late: a beat that is nearer than this share of the interval is the one of now. */
const TOLERANCE = 1 / 40;

/**
 * Milliseconds until the next multiple of an interval, or the one behind it if that is as good as now.
 *
 * @param nowMs of the monotonic clock; a test gives its own.
 */
export function untilBeat(intervalMs: number, nowMs = performance.now()): number {
  const leftMs = intervalMs - (nowMs % intervalMs);
  return Math.ceil(leftMs < intervalMs * TOLERANCE ? leftMs + intervalMs : leftMs);
}

/**
 * Calls `work` with each beat. Keeps no process alive.
 *
 * @param work must not throw.
 * @returns what ends it; safe to call twice.
 */
export function onBeat(intervalMs: number, work: () => void): () => void {
  let timer: NodeJS.Timeout;
  const next = (): void => {
    timer = setTimeout(() => {
      next();
      work();
    }, untilBeat(intervalMs)).unref();
  };
  next();
  return () => clearTimeout(timer);
}
