// Reads the queue table beside the process that empties it: no lock, no epoch, no ledger, nothing but SELECT. Each event
// is returned once: pages only go forward, and an id that was missing leaves the gap list when its row is found.
// What is deleted before it is looked at is not seen, only counted.

import type { Config } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import { MAX_BATCH_EVENTS } from '../flow/batch.ts';
import { Gaps } from './gaps.ts';
import { nextPage, type PagePosition } from './pages.ts';
import { fetchRows, findRows } from './rows.ts';
import { QUEUE_TABLE } from './schema.ts';
import type { Session } from './session.ts';
import { boundsSql, MIN_ID, SNAPSHOT_SQL } from './sql/read.ts';
import { type QueueTable, readQueueTable } from './table.ts';

/** Before this many ids below the first row, missing ones may still be in a transaction that is open. */
const LATE_BEFORE_START = 1_000n;
/** Before this many ids below the table's end at the start, missing ids are history. */
const GAPS_BEFORE_START = 10_000n;
const FORGET_INTERVAL_MS = 1_000;
/** How often the catalog is asked for a changed table. */
const LOOK_INTERVAL_MS = 5_000;

export interface Glance {
  readonly events: readonly QueuedEvent[];
  /** Rows above `max_event_bytes`, which are not fetched. */
  readonly tooLarge: number;
}

/** Remembers where it is from one connection to the next. */
export class Onlooker {
  readonly #position: PagePosition = { after: null, gapsFrom: null, isTableEmpty: false };
  readonly #gaps = new Gaps();
  #table: QueueTable | null = null;
  #tableOf: Session | null = null;
  #lookedMs = 0;
  #forgotMs = 0;
  #idle = false;
  #sawEmpty = false;
  /** Ids above this one came while we looked on. */
  #start: bigint | null = null;
  #last = 0n;
  #seenSinceStart = 0;

  /** Ids handed out since the start whose rows were never seen: deleted before we looked, rolled back, or not ours. */
  get notSeen(): number {
    return this.#start === null ? 0 : Number(this.#last - this.#start) - this.#seenSinceStart;
  }

  /**
   * Looks everywhere once: behind the last id read, and for ids that were missing.
   *
   * @throws the server's error or that of the lost session; the next call goes on where this one was.
   */
  async *look(session: Session, config: Config): AsyncGenerator<Glance> {
    const table = await this.#tableFor(session, config);
    if (this.#position.after === null && !(await this.#begin(session, table))) return;
    const page = await nextPage(session, table, this.#position, config, this.#gaps, this.#idle);
    this.#idle = page === null;
    if (page !== null) {
      this.#position.after = page.after;
      for (const { id } of page.events) this.#note(id);
      for (const [id] of page.tooLarge) this.#note(id);
      yield { events: page.events, tooLarge: page.tooLarge.length };
    }
    yield* this.#late(session, table, config);
    await this.#forget(session);
  }

  async #tableFor(session: Session, config: Config): Promise<QueueTable> {
    const now = performance.now();
    if (this.#table === null || this.#tableOf !== session || now - this.#lookedMs > LOOK_INTERVAL_MS) {
      this.#table = await readQueueTable(session, QUEUE_TABLE, config.onDelivered === 'mark_processed');
      this.#tableOf = session;
      this.#lookedMs = now;
    }
    return this.#table;
  }

  /** @returns false while the table is empty. */
  async #begin(session: Session, table: QueueTable): Promise<boolean> {
    const [bounds] = await session.query(boundsSql(table), [MIN_ID]);
    const [next, last] = bounds ?? [];
    if (next == null || last == null) {
      this.#sawEmpty = true;
      return false;
    }
    const first = BigInt(next);
    // All that is in a table that was empty came since.
    this.#start = this.#sawEmpty ? first - 1n : BigInt(last);
    this.#last = this.#start;
    const after = first - 1n - LATE_BEFORE_START;
    this.#position.after = (after < BigInt(MIN_ID) ? BigInt(MIN_ID) : after).toString();
    this.#position.gapsFrom = BigInt(last) - GAPS_BEFORE_START;
    return true;
  }

  async *#late(session: Session, table: QueueTable, config: Config): AsyncGenerator<Glance> {
    const ids = this.#gaps.due(performance.now());
    for (let at = 0; at < ids.length; at += MAX_BATCH_EVENTS) {
      const found = await findRows(session, table, ids.slice(at, at + MAX_BATCH_EVENTS), config.maxEventBytes);
      for (const [id] of found.tooLarge) this.#found(id);
      if (found.tooLarge.length > 0) yield { events: [], tooLarge: found.tooLarge.length };
      for (const chunk of found.chunks) {
        const events = await fetchRows(session, table, chunk);
        for (const { id } of events) this.#found(id);
        yield { events, tooLarge: 0 };
      }
    }
  }

  #found(id: string): void {
    this.#gaps.delete(id);
    this.#note(id);
  }

  #note(id: string): void {
    const number = BigInt(id);
    if (this.#start === null || number <= this.#start) return;
    this.#seenSinceStart += 1;
    if (number > this.#last) this.#last = number;
  }

  async #forget(session: Session): Promise<void> {
    const now = performance.now();
    if (this.#gaps.size === 0 || now - this.#forgotMs < FORGET_INTERVAL_MS) return;
    this.#forgotMs = now;
    const [row] = await session.query(SNAPSHOT_SQL, [], 'snapshot');
    if (row) this.#gaps.forget(now, { xmin: BigInt(row[0] ?? 0), xmax: BigInt(row[1] ?? 0) });
  }
}
