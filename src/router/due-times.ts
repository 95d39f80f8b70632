// When something is known to become due at a destination: the nearest moments, so that a retry need not wait for the
// next look. What is forgotten here is found by that look, within a second.

/** Moments that are remembered, no two nearer than a step. */
const MOST = 64;
const STEP_MS = 10;

export class DueTimes {
  /** Ascending, in monotonic milliseconds. */
  readonly #times: number[] = [];

  /** Infinite when none is known. */
  get nextMs(): number {
    return this.#times[0] ?? Number.POSITIVE_INFINITY;
  }

  /** @returns true when it is the nearest one now. */
  add(timeMs: number): boolean {
    const time = Math.ceil(timeMs / STEP_MS) * STEP_MS;
    const at = this.#times.findIndex((each) => each >= time);
    if (at >= 0 && this.#times[at] === time) return false;
    this.#times.splice(at < 0 ? this.#times.length : at, 0, time);
    if (this.#times.length > MOST) this.#times.pop();
    return at === 0 || this.#times.length === 1;
  }

  /** Forgets what has come. */
  pass(nowMs: number): void {
    while (this.nextMs <= nowMs) this.#times.shift();
  }
}
