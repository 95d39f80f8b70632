// A destination's quickest answer of the last second or two. However busy we are ourselves, the quickest one tells how
// long the destination takes; from it and the requests that may be under way follows what it can take up (Little's law).

const SLOT_MS = 1_000;
/** Fewer say nothing: the first ones also had to connect, and waited for us. */
const ENOUGH = 32;

const NONE = { ms: Number.POSITIVE_INFINITY, answers: 0 };

export class Quickest {
  #slot = 0;
  #now = NONE;
  #before = NONE;

  add(answerMs: number, nowMs: number): void {
    this.#turn(nowMs);
    this.#now = { ms: Math.min(this.#now.ms, answerMs), answers: this.#now.answers + 1 };
  }

  /** Milliseconds; null when there were too few answers lately. */
  ms(nowMs: number): number | null {
    this.#turn(nowMs);
    if (this.#now.answers + this.#before.answers < ENOUGH) return null;
    return Math.min(this.#now.ms, this.#before.ms);
  }

  /** Events a second that can be taken up when so many may be under way; null when there were too few answers lately. */
  capacity(underWay: number, nowMs: number): number | null {
    const quickestMs = this.ms(nowMs);
    return quickestMs === null ? null : (underWay * 1_000) / quickestMs;
  }

  #turn(nowMs: number): void {
    const slot = Math.floor(nowMs / SLOT_MS);
    if (slot === this.#slot) return;
    this.#before = slot === this.#slot + 1 ? this.#now : NONE;
    this.#now = NONE;
    this.#slot = slot;
  }
}
