// How long the reader sleeps when it found nothing. Polling is the truth: every 5 ms for a moment after activity, then
// every `poll_interval_ms`. With the trigger of `init --notify` an insert ends the sleep (QUEUE B3): the reader says
// that it sleeps by holding an advisory lock that inserting transactions take shared, so no wake-up can be lost.

import { dropFreePages } from '../flow/page-buffers.ts';
import { untilBeat } from '../lib/beat.ts';
import { collectWhenIdle } from '../lib/memory.ts';
import type { Nudge } from '../lib/nudge.ts';
import type { Session } from './session.ts';
import { AWAKE_SQL, TRY_SLEEP_SQL } from './sql/rights.ts';
import type { QueueTable } from './table.ts';

const ACTIVE_POLL_MS = 5;
const ACTIVE_FOR_MS = 300;

export class Sleep {
  readonly #nudge: Nudge;
  readonly #onRest: () => void;
  readonly #collecting = collectWhenIdle(dropFreePages);
  #activeUntilMs = 0;
  /** The session that holds the lock; another one does not. */
  #asleepOn: Session | null = null;

  /** @param nudge wakes the reader up: a NOTIFY, a new configuration. */
  constructor(nudge: Nudge, onRest: () => void = () => undefined) {
    this.#nudge = nudge;
    this.#onRest = onRest;
  }

  /** Something was found: more is likely to come. */
  active(): void {
    this.#activeUntilMs = performance.now() + ACTIVE_FOR_MS;
    this.#collecting.busy();
  }

  end(): void {
    this.#collecting.end();
  }

  /**
   * Rests after a look that found nothing. With the trigger the first rest only takes the lock and returns at once: one
   * more look must come between taking it and sleeping.
   */
  async rest(session: Session, table: QueueTable, pollIntervalMs: number, signal: AbortSignal): Promise<void> {
    this.#onRest();
    const asleep = this.#asleepOn === session;
    if (table.hasWakeTrigger && !asleep) {
      const [got] = await session.query(TRY_SLEEP_SQL, [table.oid], 'try_sleep');
      this.#asleepOn = got?.[0] === 't' ? session : null;
      if (this.#asleepOn) return;
      // A transaction that inserts is open: its rows come in a moment.
      await this.#nudge.wait(ACTIVE_POLL_MS, signal);
      return;
    }
    const active = !asleep && performance.now() < this.#activeUntilMs;
    await this.#nudge.wait(active ? Math.min(ACTIVE_POLL_MS, pollIntervalMs) : untilBeat(pollIntervalMs), signal);
  }

  /** Something was found: inserts need not notify. */
  async awake(session: Session, table: QueueTable): Promise<void> {
    const asleep = this.#asleepOn === session;
    this.#asleepOn = null;
    if (!asleep) return;
    await session.query(AWAKE_SQL, [table.oid], 'awake');
  }
}
