// The circuit breaker of a lane: a destination that keeps failing is probed, not hammered.
//
//   closed ──▶ open (10 requests in a row failed, or Retry-After) ──▶ its time is over: one probe ──▶ accepted: closed
//                 ▲                                                                             └─▶ failed: open, longer
//
// It counts requests, not events, and only failures of the destination itself: one that refuses a certain event (400,
// 413, 422, a data error) works. A pure state machine: the lane asks it and tells it, with the monotonic clock's time.

import { backoffMs } from '../lib/backoff.ts';

/** Requests that must fail in a row. A receiver that fails one in five gets there once in ten million. */
export const FAILURES_TO_OPEN = 10;

/** Why it is not closed: the destination keeps failing, or it asked to wait (Retry-After). */
export type BreakerCause = 'failing' | 'asked';

export interface BreakerOptions {
  readonly initialMs: number;
  readonly maxMs: number;
}

export interface FailedRequest {
  /** What `begin` returned for it. */
  readonly probe: boolean;
  /** One of its events had never been tried at this destination before. */
  readonly untried: boolean;
  /** Retry-After, capped; 0 = none. */
  readonly holdMs: number;
}

export class Breaker {
  readonly #random: () => number;
  #cause: BreakerCause | null = null;
  #untilMs = 0;
  #probing = false;
  /** Requests in a row. */
  #failures = 0;
  /** Openings in a row, with no acceptance between. */
  #openings = 0;
  #onlyRepeatsFailed = true;

  /** @param random uniform in [0, 1); a test gives its own. */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** null = closed. */
  get cause(): BreakerCause | null {
    return this.#cause;
  }

  get failures(): number {
    return this.#failures;
  }

  get openings(): number {
    return this.#openings;
  }

  /** Monotonic milliseconds until which nothing is sent; may be past while the probe is under way or has nothing to send. */
  get untilMs(): number {
    return this.#untilMs;
  }

  /** Milliseconds until a request may begin: 0 = now, infinite while a probe is under way. */
  waitMs(nowMs: number): number {
    if (this.#cause === null) return 0;
    return this.#probing ? Number.POSITIVE_INFINITY : Math.max(0, this.#untilMs - nowMs);
  }

  /**
   * An event that was never tried may always probe a destination at which only repeated ones have failed: a handful of
   * events that a receiver cannot digest must not hold up the others.
   */
  get admitsUntried(): boolean {
    return this.#cause === 'failing' && !this.#probing && this.#onlyRepeatsFailed;
  }

  /** Lets the next probe go at once: a person asked, or the settings are new. */
  probeNow(): void {
    this.#untilMs = 0;
  }

  /** A request begins, which `waitMs` has permitted. @returns true when it is the probe. */
  begin(): boolean {
    if (this.#cause === null) return false;
    this.#probing = true;
    return true;
  }

  /** The destination works. @returns why it was not closed until now. */
  accepted(): BreakerCause | null {
    const cause = this.#cause;
    this.#cause = null;
    this.#probing = false;
    this.#failures = 0;
    this.#openings = 0;
    this.#onlyRepeatsFailed = true;
    return cause;
  }

  /** The destination failed. */
  failed({ probe, untried, holdMs }: FailedRequest, options: BreakerOptions, nowMs: number): void {
    const wasClosed = this.#cause === null;
    if (probe) this.#probing = false;
    if (untried) this.#onlyRepeatsFailed = false;
    this.#failures += 1;
    // What was under way when it opened fails too, and says nothing new.
    if (probe || (wasClosed && this.#failures >= FAILURES_TO_OPEN)) {
      this.#openings += 1;
      this.#cause = 'failing';
      this.#untilMs = nowMs + backoffMs(this.#openings, options, () => (1 + this.#random()) / 2);
    }
    if (holdMs > 0) {
      this.#untilMs = this.#cause === null ? nowMs + holdMs : Math.max(this.#untilMs, nowMs + holdMs);
      this.#cause ??= 'asked';
    }
  }

  /** A request ended that says nothing about the destination: we aborted it. */
  ended(probe: boolean): void {
    if (probe) this.#probing = false;
  }
}
