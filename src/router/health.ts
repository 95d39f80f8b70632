// What a lane knows of its destination's health: judges each request for the breaker, says in the diagnostics when the
// destination is probed from now on and when it accepts again, and calls when the time for a probe has come.

import type { RetryConfig } from '../config/config.ts';
import type { DeliveryResult } from '../destinations/destination.ts';
import type { LaneReport } from '../flow/lane-report.ts';
import type { Logger } from '../lib/logger.ts';
import { Breaker } from './breaker.ts';

/** Each destination is in the diagnostics no more than once in this time; one that flaps shows in `status`. */
const NEWS_INTERVAL_MS = 60_000;
/** `run --once` waits this long for a destination that has begun to fail, not longer. */
const WORTH_WAITING_MS = 5_000;
/** Node's own limit is 24 days. */
const MAX_TIMER_MS = 60 * 60_000;

export interface HealthOptions {
  /** The destination's key, for messages. */
  readonly key: string;
  readonly logger: Logger;
  /** A probe may go. */
  readonly onProbe: () => void;
}

export class Health {
  readonly breaker = new Breaker();
  readonly #options: HealthOptions;
  #timer: NodeJS.Timeout | undefined;
  #saidMs = Number.NEGATIVE_INFINITY;
  #isSaid = false;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  /**
   * Tells the breaker how a request went, by the results of all its events.
   *
   * @param request `untried`: one of them was never tried here before.
   */
  judge(
    results: readonly DeliveryResult[],
    request: { readonly probe: boolean; readonly untried: boolean },
    retry: RetryConfig,
  ): void {
    if (results.some((result) => result.ok || result.blame === 'event')) {
      this.#accepted();
      return;
    }
    let askedMs = 0;
    let error = '';
    for (const result of results) {
      if (result.ok) continue;
      askedMs = Math.max(askedMs, result.retryAfterMs ?? 0);
      error ||= result.error;
    }
    this.#failed({ ...request, holdMs: Math.min(askedMs, retry.maxRetryAfterMs) }, retry, error);
  }

  /** It accepts, or has only begun to fail and is tried again in a moment. */
  get worthWaiting(): boolean {
    const { cause, openings, untilMs } = this.breaker;
    return cause === null || (openings <= 1 && untilMs - performance.now() <= WORTH_WAITING_MS);
  }

  /** What `status` says while the destination fails; null = it accepts. */
  report(nowMs: number): Pick<LaneReport, 'state' | 'waitMs'> | null {
    const { cause, untilMs } = this.breaker;
    if (cause === null) return null;
    return { state: cause === 'asked' ? 'asked_to_wait' : 'open', waitMs: Math.max(0, untilMs - nowMs) };
  }

  /** Forgets about probes. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #accepted(): void {
    if (this.breaker.accepted() === null) return;
    clearTimeout(this.#timer);
    if (this.#isSaid)
      this.#options.logger.info({ destination: this.#options.key }, 'a destination accepts events again');
    this.#isSaid = false;
  }

  #failed(request: Parameters<Breaker['failed']>[0], retry: RetryConfig, error: string): void {
    const nowMs = performance.now();
    this.breaker.failed(request, retry, nowMs);
    if (this.breaker.cause === null) return;
    const waitMs = this.breaker.untilMs - nowMs;
    clearTimeout(this.#timer);
    // Node's timers come up to a millisecond early, and nobody would ask again.
    this.#timer = setTimeout(this.#options.onProbe, Math.min(waitMs, MAX_TIMER_MS) + 2).unref();
    if (!this.#isSaid && nowMs - this.#saidMs >= NEWS_INTERVAL_MS) this.#say(error, waitMs);
  }

  #say(error: string, waitMs: number): void {
    this.#saidMs = performance.now();
    this.#isSaid = true;
    const { key, logger } = this.#options;
    const { cause, failures } = this.breaker;
    const fields = { destination: key, error, failures, wait_ms: Math.round(waitMs) };
    if (cause === 'asked') logger.warn({ ...fields }, 'a destination asks to wait; its events wait until then');
    else
      logger.warn({ ...fields }, 'a destination keeps failing; its events wait, and one request at a time probes it');
  }
}
