// `max_per_second`: a token bucket on the monotonic clock. It fills at the rate, up to a tenth of a second's worth and at
// least one event; a request may begin while one whole token is there and takes one for each of its events. A batch
// may so run into debt, and the next one waits until that is paid: over any stretch of time no more than
// rate × time + bucket + one batch go out.

const BUCKET_SECONDS = 0.1;

export class Rate {
  #perSecond: number | null;
  #tokens: number;
  #countedMs: number;

  /** @param perSecond fractions too; null = no limit. */
  constructor(perSecond: number | null, nowMs: number) {
    this.#perSecond = perSecond;
    this.#countedMs = nowMs;
    this.#tokens = this.#most;
  }

  /** Another rate from now on; a debt stays one. */
  change(perSecond: number | null, nowMs: number): void {
    this.#fill(nowMs);
    this.#perSecond = perSecond;
    this.#tokens = Math.min(this.#tokens, this.#most);
  }

  /** Milliseconds until a request may begin; 0 = now. */
  waitMs(nowMs: number): number {
    if (this.#perSecond === null) return 0;
    this.#fill(nowMs);
    return this.#tokens >= 1 ? 0 : ((1 - this.#tokens) / this.#perSecond) * 1_000;
  }

  /** A request with so many events begins. */
  take(events: number, nowMs: number): void {
    if (this.#perSecond === null) return;
    this.#fill(nowMs);
    this.#tokens -= events;
  }

  get #most(): number {
    return Math.max(1, (this.#perSecond ?? 0) * BUCKET_SECONDS);
  }

  #fill(nowMs: number): void {
    const elapsedMs = Math.max(0, nowMs - this.#countedMs);
    this.#countedMs = nowMs;
    this.#tokens = Math.min(this.#most, this.#tokens + (elapsedMs / 1_000) * (this.#perSecond ?? 0));
  }
}
