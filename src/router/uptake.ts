// What a destination can take up, told from its quickest answer of the last second or two: however busy we are ourselves,
// that one says how long the destination takes, and the requests that may be under way give the rest (Little's law).

const SLOT_MS = 1_000;
/** Answers to fewer events say nothing: the first ones also had to connect, and waited for us. */
const ENOUGH_EVENTS = 32;
/** One that gives too few answers was waited for, and took nothing: it is slow, or silent. */
const IN_VAIN_MS = 1_000;

const NONE = { msPerEvent: Number.POSITIVE_INFINITY, events: 0 };

export class Uptake {
  #slot = 0;
  #now = NONE;
  #before = NONE;
  #inVainUntilMs = 0;

  /** A request with so many events was answered. */
  answered(events: number, tookMs: number, nowMs: number): void {
    this.#turn(nowMs);
    const msPerEvent = Math.min(this.#now.msPerEvent, tookMs / events);
    this.#now = { msPerEvent, events: this.#now.events + events };
  }

  /** It was waited for and took nothing. */
  waitedInVain(nowMs: number): void {
    this.#inVainUntilMs = nowMs + IN_VAIN_MS;
  }

  /** Events a second when so many requests may be under way; null = there were too few answers lately to tell. */
  perSecond(requests: number, nowMs: number): number | null {
    this.#turn(nowMs);
    if (this.#now.events + this.#before.events < ENOUGH_EVENTS) return nowMs < this.#inVainUntilMs ? 0 : null;
    return (requests * 1_000) / Math.min(this.#now.msPerEvent, this.#before.msPerEvent);
  }

  #turn(nowMs: number): void {
    const slot = Math.floor(nowMs / SLOT_MS);
    if (slot === this.#slot) return;
    this.#before = slot === this.#slot + 1 ? this.#now : NONE;
    this.#now = NONE;
    this.#slot = slot;
  }
}
