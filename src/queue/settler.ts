// The last stage: commits in PostgreSQL what became of events, one settlement after the other on a connection of its
// own, each under our epoch. It never gives up on a settlement: a lost connection, a lock or a full disk of the server
// is waited out, and a COMMIT whose answer was lost is recognised by its sequence number. While it waits nothing is
// settled, so the stages before it fill up and stop. Settlements that queue up meanwhile are committed together.

import { Writable } from 'node:stream';
import type { Settled, Settlement } from '../flow/settlement.ts';
import { FRESH } from '../flow/standing.ts';
import { delay } from '../lib/delay.ts';
import { codeOf, EXIT, messageOf, TailraceError } from '../lib/errors.ts';
import type { Histogram } from '../lib/histogram.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import { applyChanges } from './apply-changes.ts';
import { changesOf, compose } from './changes.ts';
import type { InFlight } from './in-flight.ts';
import { endsTenure } from './rights.ts';
import { isConnectionLoss, numbers, type Session } from './session.ts';
import { FENCE_SQL, FENCE_STATE_SQL, settleGoneSql, tidySql } from './sql/settle.ts';
import type { QueueTable } from './table.ts';

/** Settlements taken before the router is held back. */
const HIGH_WATER_MARK = 8;
/** Most events of one transaction. */
const MAX_MERGED_EVENTS = 20_000;
const RETRY_MS = { first: 100, most: 5_000 };
const TIDY_INTERVAL_MS = 60_000;

export interface SettlerOptions {
  readonly epoch: string;
  readonly table: () => QueueTable;
  /** Opens a session; called again after each loss. */
  readonly open: () => Promise<Session>;
  readonly inFlight: InFlight;
  /** Called after COMMIT, in order. */
  readonly onSettled: (items: readonly Settled[]) => void;
  /** How long a settlement may fail before the stage does; null = for ever. */
  readonly patienceMs: number | null;
  /** Seconds of each settlement, when somebody watches. */
  readonly took?: Histogram | undefined;
  readonly logger: Logger;
  /** Ends the waiting for a database that does not come back; what is unsettled stays so. */
  readonly signal: AbortSignal;
}

export class Settler extends Writable {
  readonly #options: SettlerOptions;
  readonly #warn: ReturnType<typeof createThrottle>;
  #session: Session | null = null;
  #seq = 0n;
  #tidiedMs = performance.now();

  constructor(options: SettlerOptions) {
    super({ objectMode: true, highWaterMark: HIGH_WATER_MARK });
    this.#options = options;
    this.#warn = createThrottle((fields, message) => options.logger.error(fields, message));
  }

  override _write(settlement: Settlement, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#settleAll([settlement]).then(() => callback(), callback);
  }

  override _writev(chunks: { chunk: Settlement }[], callback: (error?: Error | null) => void): void {
    this.#settleAll(chunks.map(({ chunk }) => chunk)).then(() => callback(), callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    Promise.resolve(this.#session?.close()).then(
      () => callback(error),
      () => callback(error),
    );
  }

  async #settleAll(settlements: readonly Settlement[]): Promise<void> {
    for (const merged of merge(settlements)) {
      const beganMs = performance.now();
      await this.#settle(merged);
      this.#options.took?.observe((performance.now() - beganMs) / 1_000);
      this.#options.onSettled(merged.items);
      for (const { id, inFlight } of merged.items) if (!inFlight) this.#options.inFlight.release(id);
    }
    if (performance.now() - this.#tidiedMs > TIDY_INTERVAL_MS) await this.#tidy();
  }

  /**
   * @throws {TailraceError} `REVOKED` when another process has taken over, `SERVER_CHANGED` when PostgreSQL has forgotten
   * what was settled before; nothing was settled then.
   */
  async #settle(settlement: Settlement): Promise<void> {
    this.#seq += 1n;
    const seq = this.#seq.toString();
    const began = performance.now();
    for (let waitMs = RETRY_MS.first; ; waitMs = Math.min(waitMs * 2, RETRY_MS.most)) {
      try {
        if (!this.#session || this.#session.lost.aborted) this.#session = await this.#open();
        return await this.#commit(this.#session, seq, settlement);
      } catch (error) {
        if (endsTenure(error)) throw error;
        if (isConnectionLoss(error)) await this.#session?.close();
        this.#warn(
          { error: messageOf(error), code: codeOf(error), events: settlement.items.length },
          'cannot settle events in PostgreSQL; nothing is lost, trying again until it works',
        );
        const { patienceMs } = this.#options;
        if (patienceMs !== null && performance.now() - began > patienceMs) throw cannotSettle(error);
        await delay(waitMs, this.#options.signal);
        if (this.#options.signal.aborted) throw error;
      }
    }
  }

  /** A server that came back from a copy of itself, or from an unsynced disk, may not know the last settlements. */
  async #open(): Promise<Session> {
    const session = await this.#options.open();
    const committed = this.#seq - 1n;
    if (committed === 0n) return session;
    const [state] = await session.query(FENCE_STATE_SQL, [this.#options.epoch]).catch(async (error) => {
      await session.close();
      throw error;
    });
    if (!state || BigInt(state[1] ?? 0) >= committed) return session;
    await session.close();
    throw new TailraceError(
      'SERVER_CHANGED',
      `PostgreSQL has gone back in time: it knows settlement ${state[1]} of this process as the last one, and had confirmed ${committed}; starting afresh with what it knows`,
      { exitCode: EXIT.tryAgain },
    );
  }

  async #commit(session: Session, seq: string, { items, onDelivered }: Settlement): Promise<void> {
    const { epoch } = this.#options;
    const table = this.#options.table();
    if (
      onDelivered === 'delete' &&
      items.every(({ from, to, outcome }) => to === null && from === FRESH && outcome !== 'orphan')
    ) {
      const ids = numbers(items.map(({ id }) => id));
      const [fenced] = await session.query(settleGoneSql(table), [epoch, seq, ids], `settle_gone ${table.revision}`);
      if (fenced?.[0] !== '1') await this.#assertSettled(session, seq);
      return;
    }
    await session.query('BEGIN');
    try {
      if ((await session.query(FENCE_SQL, [epoch, seq], 'fence')).length === 0) {
        await this.#assertSettled(session, seq);
        await session.query('ROLLBACK');
        return;
      }
      await applyChanges(session, table, changesOf(items), onDelivered);
      await session.query('COMMIT');
    } catch (error) {
      if (!session.lost.aborted) await session.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }

  /** The fence let nothing through: either this very settlement was committed before, or our epoch is over. */
  async #assertSettled(session: Session, seq: string): Promise<void> {
    const [state] = await session.query(FENCE_STATE_SQL, [this.#options.epoch]);
    if (state && BigInt(state[1] ?? 0) >= BigInt(seq)) return;
    throw new TailraceError('REVOKED', 'another tailrace process has taken over this queue', {
      exitCode: EXIT.tryAgain,
    });
  }

  async #tidy(): Promise<void> {
    this.#tidiedMs = performance.now();
    await this.#session
      ?.query(tidySql(this.#options.table()))
      .catch((error) => this.#warn({ error: messageOf(error) }, 'cannot tidy the ledger'));
  }
}

const cannotSettle = (cause: unknown): TailraceError =>
  new TailraceError(
    'CANNOT_SETTLE',
    `cannot settle events in PostgreSQL: ${messageOf(cause)}; they stay in the queue`,
    {
      exitCode: EXIT.unavailable,
      cause,
    },
  );

/** Puts settlements into as few transactions as may be, each id once in each. */
function merge(settlements: readonly Settlement[]): Settlement[] {
  const [first, second] = settlements;
  if (first && !second) return [first];
  const merged: Settlement[] = [];
  let items = new Map<string, Settled>();
  let onDelivered = first?.onDelivered ?? 'delete';
  const flush = (): void => {
    if (items.size > 0) merged.push({ onDelivered, items: [...items.values()] });
    items = new Map();
  };
  for (const settlement of settlements) {
    if (settlement.onDelivered !== onDelivered || items.size + settlement.items.length > MAX_MERGED_EVENTS) flush();
    onDelivered = settlement.onDelivered;
    for (const item of settlement.items) {
      const earlier = items.get(item.id);
      items.set(item.id, earlier ? compose(earlier, item) : item);
    }
  }
  flush();
  return merged;
}
