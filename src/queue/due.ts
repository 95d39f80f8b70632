// What is due again, from PostgreSQL: for the lanes the retries and waiting events of one destination, for the reader
// whatever an older generation decided. Ids come from tailrace's own tables; those without a row are orphans and are
// settled as such, so that they never hide what stands behind them.

import { type BatchEvent, MAX_BATCH_EVENTS, type Regime, toBatchEvent } from '../flow/batch.ts';
import type { DueRoom, DueSource } from '../flow/due.ts';
import type { Settlement } from '../flow/settlement.ts';
import { FRESH, isPendingAt, type Standing } from '../flow/standing.ts';
import { idsOfBits } from '../lib/id-set.ts';
import type { Ask, InFlight } from './in-flight.ts';
import type { Rights } from './rights.ts';
import { fetchRows, findRows } from './rows.ts';
import type { Session } from './session.ts';
import { dueRetriesSql, dueWaitingSql, olderSql } from './sql/due.ts';
import { MIN_ID } from './sql/read.ts';
import { readStandings } from './standings.ts';

/** Due rows that are answered are found again until they are settled: asked for on top of the room. */
const IN_FLIGHT_ALLOWANCE = 500;
/** Blocks that one look returns: LIMIT of the statements. */
const BLOCKS = 8;

export interface DueOptions {
  readonly rights: Rights;
  readonly inFlight: InFlight;
  /** Takes an event that is in flight at other destinations only for one more of them; null = it is not to be had. */
  readonly takeShared: (id: string, destinationId: number, regime: Regime) => BatchEvent | null;
  /** Takes orphans to the settler. */
  readonly settle: (settlement: Settlement) => void;
  /** `run --once`: only what was due when it began, as a timestamp of PostgreSQL; null = what is due by now. */
  readonly dueBefore: string | null;
  readonly signal: AbortSignal;
}

export class Due implements DueSource {
  readonly #options: DueOptions;
  /** Where each lane's walk over its waiting blocks stands. */
  readonly #waitingAt = new Map<string, string>();

  constructor(options: DueOptions) {
    this.#options = options;
  }

  async take(regime: Regime, destinationId: number, room: DueRoom): Promise<readonly BatchEvent[]> {
    const { rights, inFlight, dueBefore, signal } = this.#options;
    const session = await rights.session(signal);
    const ask = inFlight.ask();
    try {
      const { generation } = regime;
      const limit = room.events + room.held + IN_FLIGHT_ALLOWANCE;
      const sql = dueRetriesSql(rights.table.shard);
      const rows = await session.query(sql, [destinationId, generation, dueBefore, limit], 'due_retries');
      const found = rows.map(([id]) => String(id));
      const retries = found.filter((id) => !ask.seen(id));
      const elsewhere = found.filter((id) => ask.held(id));
      const waiting = await this.#waiting(session, destinationId, generation, ask, room.events, elsewhere);
      const ids = inTurn(retries, waiting).slice(0, room.events);
      const isDue = (standing: Standing): boolean =>
        // Without its line it is the reader's first: an event is routed only after its line is on disk.
        (standing.logged || regime.config.logFile === null) && isPendingAt(standing, destinationId, generation);
      const taken = await this.#fetch(session, regime, ids, ask, room.bytes, isDue);
      return [...taken, ...this.#shared(elsewhere, regime, destinationId, ask, room, taken)];
    } finally {
      ask.close();
    }
  }

  /** Those that are in flight at another destination: to the caller without a pause, since they are promised to the lane. */
  #shared(
    ids: readonly string[],
    regime: Regime,
    destinationId: number,
    ask: Ask,
    room: DueRoom,
    before: readonly BatchEvent[],
  ): readonly BatchEvent[] {
    const shared: BatchEvent[] = [];
    let bytes = before.reduce((sum, { event }) => sum + event.bytes, 0);
    for (const id of ids) {
      if (before.length + shared.length >= room.events || bytes >= room.bytes) break;
      const event = ask.held(id) ? this.#options.takeShared(id, destinationId, regime) : null;
      if (event === null) continue;
      bytes += event.event.bytes;
      shared.push(event);
    }
    return shared;
  }

  /**
   * Takes events that an older generation left, kept waiting or failed, to be decided anew as a whole.
   *
   * @returns null when there are none; an empty list when all that were found are in flight: ask again.
   */
  async takeOlder(regime: Regime, maxBytes: number): Promise<readonly BatchEvent[] | null> {
    const { rights, inFlight, signal } = this.#options;
    const session = await rights.session(signal);
    const ask = inFlight.ask();
    try {
      const ids = new Set<string>();
      for (const [number, bits] of await session.query(olderSql(rights.table.shard), [regime.generation])) {
        for (const id of bits === null ? [String(number)] : idsOfBits(String(number), String(bits))) ids.add(id);
      }
      if (ids.size === 0) return null;
      const wanted = [...ids].filter((id) => !ask.seen(id)).slice(0, MAX_BATCH_EVENTS);
      return await this.#fetch(session, regime, wanted, ask, maxBytes, () => true);
    } finally {
      ask.close();
    }
  }

  /** Clears what the ledger says of events whose rows are gone. */
  async clearOrphans(session: Session, regime: Regime, ids: readonly string[], ask: Ask): Promise<void> {
    const { inFlight, settle, signal } = this.#options;
    const standings = await readStandings(session, ids);
    // The settler may have ended meanwhile; an orphan can wait for the next start.
    if (signal.aborted) return;
    const items = ids
      .filter((id) => standings.has(id) && !ask.seen(id))
      .map((id) => ({
        id,
        from: standings.get(id) ?? FRESH,
        to: null,
        outcome: 'orphan' as const,
        inFlight: false,
      }));
    for (const { id } of items) inFlight.add(id);
    if (items.length > 0) settle({ onDelivered: regime.config.onDelivered, items });
  }

  async #waiting(
    session: Session,
    destinationId: number,
    generation: number,
    ask: Ask,
    room: number,
    elsewhere: string[],
  ): Promise<string[]> {
    const lane = `${destinationId}/${generation}`;
    const from = this.#waitingAt.get(lane) ?? MIN_ID;
    const sql = dueWaitingSql(this.#options.rights.table.shard);
    const blocks = await session.query(sql, [destinationId, generation, from], 'due_waiting');
    const ids: string[] = [];
    for (const [block, bits] of blocks) {
      for (const id of idsOfBits(String(block), String(bits))) {
        if (ask.held(id)) elsewhere.push(id);
        else if (!ask.seen(id)) ids.push(id);
      }
      // The block is looked at again: its other events come next.
      if (ids.length > 0) this.#waitingAt.set(lane, String(block));
      if (ids.length >= room) return ids.slice(0, room);
    }
    const last = blocks.at(-1)?.[0];
    if (ids.length > 0) return ids;
    if (last !== undefined && blocks.length >= BLOCKS) this.#waitingAt.set(lane, (BigInt(last ?? 0) + 1n).toString());
    else this.#waitingAt.delete(lane);
    return ids;
  }

  async #fetch(
    session: Session,
    regime: Regime,
    ids: readonly string[],
    ask: Ask,
    maxBytes: number,
    isDue: (standing: Standing) => boolean,
  ): Promise<BatchEvent[]> {
    if (ids.length === 0) return [];
    const { rights, inFlight } = this.#options;
    const { table } = rights;
    const found = await findRows(session, table, ids, Number.POSITIVE_INFINITY);
    if (found.missing.length > 0) await this.clearOrphans(session, regime, found.missing, ask);
    const fetched: BatchEvent[] = [];
    let bytes = 0;
    for (const chunk of found.chunks) {
      if (fetched.length > 0 && bytes >= maxBytes) break;
      const events = await fetchRows(session, table, chunk);
      const standings = await readStandings(session, chunk);
      for (const event of events) {
        const standing = standings.get(event.id);
        if (!standing || !isDue(standing)) continue;
        bytes += event.bytes;
        fetched.push(toBatchEvent(event, standing, false));
      }
    }
    // Only now: had a later chunk failed, the earlier ones would stay in flight for ever.
    const taken = fetched.filter(({ event }) => !ask.seen(event.id));
    for (const { event } of taken) inFlight.add(event.id);
    return taken;
  }
}

/** a1 b1 a2 b2 …, then the rest of the longer one. */
function inTurn(a: readonly string[], b: readonly string[]): string[] {
  const merged: string[] = [];
  for (let at = 0; at < Math.max(a.length, b.length); at += 1) {
    const [first, second] = [a[at], b[at]];
    if (first !== undefined) merged.push(first);
    if (second !== undefined) merged.push(second);
  }
  return [...new Set(merged)];
}
