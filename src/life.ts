// What this process is doing and whether it still does it, in words and as a yes or no, for whoever watches over it.
//
//   starting ──▶ waiting (for PostgreSQL, a disk, a right) ──▶ standing by ──▶ writer ──▶ starting …
//
// Alive is what a restart could not do better. A process that waits is alive, whatever it waits for and for however long:
// another process, PostgreSQL, a full disk, a slow destination. A writer is not when nothing holds its reader back and
// the reader has not looked at the queue for minutes: that can only be a bug. (A blocked event loop says nothing at all.)

import type { Summary } from './flow/tally.ts';
import type { Report } from './lib/service-manager.ts';

/** Each query of the reader has a deadline of one minute, and an error is followed by another look. */
const STALLED_MS = 5 * 60_000;

/** A running pipeline, from outside. */
export interface Engine {
  /** Opens the files anew; resolves when nothing more is written to one that had left its path. */
  reopen(): Promise<unknown>;
  /** What it waits for because something is wrong; null = nothing is. */
  trouble(): string | null;
  /** It has read what the next stages do not take yet: no look at the queue is due. */
  isHeldBack(): boolean;
}

export class Life {
  readonly #now: () => number;
  #state = 'starting';
  #settled = false;
  #engine: Engine | null = null;
  #epoch = '';
  #lookedMs = 0;

  /** @param now milliseconds of a clock that is never set; a test gives its own. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Not the writer, and why: it tries again by itself. */
  waits(why: string): void {
    this.#state = why;
    this.#settled = true;
  }

  /** Has become the writer. */
  writes(epoch: string): void {
    this.#epoch = epoch;
    this.#settled = true;
  }

  /** The pipeline of the writer; null = it has ended. */
  runs(engine: Engine | null): void {
    this.#engine = engine;
    if (engine === null) this.#state = 'starting';
    this.looked();
  }

  /** The reader looked at the queue, or something went all the way through. */
  looked(): void {
    this.#lookedMs = this.#now();
  }

  /** @param summary what became of events so far. */
  report(summary: Readonly<Summary>): Report {
    const engine = this.#engine;
    if (engine === null) return { ready: this.#settled, alive: true, state: this.#state, details: '' };
    const { logged, delivered, dropped, left, waiting, failed, parked } = summary;
    const trouble = engine.trouble();
    const isStalled = this.#now() - this.#lookedMs > STALLED_MS && trouble === null && !engine.isHeldBack();
    const counts = { logged, delivered, dropped, left, waiting, failed, parked };
    return {
      ready: this.#settled,
      alive: !isStalled,
      state: `writer, epoch ${this.#epoch}${trouble === null ? '' : `; ${trouble}`}${isStalled ? '; stalled' : ''}`,
      details: Object.entries(counts)
        .filter(([name, count]) => count > 0 || name === 'logged')
        .map(([name, count]) => `${count} ${name}`)
        .join(', '),
    };
  }
}
