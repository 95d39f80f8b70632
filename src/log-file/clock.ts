// Where `time_written_to_logfile` comes from: microsecond stamps that grow strictly, within a run and, with the last
// line of an existing file, across restarts. A clock that steps back a little is bridged, one that steps far is followed.

/** A clock may be this far behind the last line before the lines follow it back (SPEC 4). */
const BRIDGED_STEP_US = 5_000_000;

export interface LineClock {
  /** The stamp, in microseconds since the epoch, that the next line would bear now. */
  peek(): number;
  /** Takes `count` consecutive stamps and returns the first; the rest follow 1 µs apart. */
  reserve(count: number): number;
  /** Continues after the last line of an existing file, unless that lies too far in the future to be waited for. */
  startAfter(lastUs: number): void;
}

/**
 * @param options.now wall clock in microseconds since the epoch; a test gives its own.
 * @param options.onStepBack told when the lines follow the clock back, and by how many microseconds.
 */
export function createLineClock(options: {
  readonly now?: (() => number) | undefined;
  readonly onStepBack: (stepUs: number) => void;
}): LineClock {
  const now = options.now ?? (() => Date.now() * 1_000);
  let lastUs = Number.NEGATIVE_INFINITY;

  const after = (wallUs: number): number => (lastUs - wallUs > BRIDGED_STEP_US ? wallUs : Math.max(wallUs, lastUs + 1));

  return {
    peek: () => after(now()),
    reserve(count) {
      const firstUs = after(now());
      if (firstUs <= lastUs) options.onStepBack(lastUs - firstUs);
      lastUs = firstUs + count - 1;
      return firstUs;
    },
    startAfter(fileUs) {
      const aheadUs = fileUs - now();
      if (aheadUs > BRIDGED_STEP_US) options.onStepBack(aheadUs);
      else lastUs = Math.max(lastUs, fileUs);
    },
  };
}
