// What a lane says of itself to PostgreSQL, and what PostgreSQL may tell it: seen from both, so that neither stage knows
// the other.

/**
 * `disabled`: by the configuration. `open`: the destination keeps failing and is probed. `asked_to_wait`: it sent
 * Retry-After. `rate_limited`: events wait for `max_per_second`.
 */
export type LaneState = 'ok' | 'disabled' | 'open' | 'asked_to_wait' | 'rate_limited';

export interface LaneReport {
  readonly state: LaneState;
  /** Milliseconds until the state ends or is tried to; null = it does not end by itself. */
  readonly waitMs: number | null;
  /** Events delivered per second, over the last minute. */
  readonly perSecond: number;
}

/** A lane as PostgreSQL's side of the program sees it. */
export interface ReportingLane {
  readonly destinationId: number;
  /** `tailrace pause` and `resume`. */
  setPaused(paused: boolean): void;
  /** `tailrace retry`: a destination that was given up on for a while is probed at once. */
  probeNow(): void;
  report(): LaneReport;
}
