// What PostgreSQL says of lines in the log file, to be held against the files themselves: which events have their line
// and are still in the queue, and which rows look new.

import { IdBitmap, type IdRange, placeOf } from '../lib/id-bitmap.ts';
import { checkSchema, QUEUE_TABLE } from './schema.ts';
import { numbers, type Session } from './session.ts';
import { LOGGED_SQL, uniqueIdsSql, youngRowsSql } from './sql/log-state.ts';
import { nextIdSql } from './sql/read.ts';
import { alignDown, compareWindow, lesser, Span } from './sweep.ts';
import { type QueueTable, readQueueTable } from './table.ts';
import { readWriters, type Writer } from './writers.ts';

/** Before the first block that there can be. */
const NO_BLOCK = '-9007199254740993';
const ROWS_AT_ONCE = 10_000;
/** Whatever keeps a row from being read as new. */
const SETTLED_KINDS = ['L', 'X', 'S'];

/** A row of the queue whose event has its line, as the state says. */
export interface LoggedRow {
  readonly id: string;
  readonly eventType: string | null;
  /** Seconds since the epoch. */
  readonly eventTime: number;
}

export class LogState {
  readonly #session: Session;
  readonly #table: QueueTable;

  private constructor(session: Session, table: QueueTable) {
    this.#session = session;
    this.#table = table;
  }

  /** @throws {TailraceError} those of `readQueueTable` and `checkSchema`. */
  static async open(session: Session): Promise<LogState> {
    const table = await readQueueTable(session, QUEUE_TABLE, false);
    await checkSchema(session, table.oid);
    return new LogState(session, table);
  }

  /** The queue table's name, for a person. */
  get table(): string {
    return this.#table.name;
  }

  /** Whether rows say when their event happened. */
  get hasTimes(): boolean {
    const kind = this.#table.shape.columns[this.#table.shape.eventTimeAt]?.kind;
    return kind === 'integer' || kind === 'double';
  }

  writers(): Promise<readonly Writer[]> {
    return readWriters(this.#session, this.#table);
  }

  /** The events that have their line and are still in the queue. */
  async logged(): Promise<IdBitmap> {
    const ids = new IdBitmap();
    for (let last = NO_BLOCK; ; ) {
      const rows = await this.#session.query(LOGGED_SQL, [last]);
      for (const [block, bits] of rows) {
        const text = String(bits);
        for (let bit = text.indexOf('1'); bit >= 0; bit = text.indexOf('1', bit + 1)) ids.add(Number(block), bit);
      }
      const [block] = rows.at(-1) ?? [];
      if (block == null) return ids;
      last = block;
    }
  }

  /** Of some ids, the rows that are in the queue and whose event happened after a time (seconds since the epoch). */
  async *rowsSince(ids: Iterable<bigint>, since: number): AsyncGenerator<LoggedRow> {
    for (const portion of portionsOf(ids)) {
      for (const [id, type, time] of await this.#session.query(youngRowsSql(this.#table), [numbers(portion), since])) {
        yield { id: String(id), eventType: type ?? null, eventTime: Number(time) };
      }
    }
  }

  /** The ids of a range whose rows look as if nobody had read them, and for which `isWanted` says yes. */
  async unread({ from, to }: IdRange, isWanted: (id: bigint) => boolean): Promise<IdBitmap> {
    const found = new IdBitmap();
    const span = new Span();
    for (let at = from; at <= to; ) {
      const [next] = await this.#session.query(nextIdSql(this.#table), [at.toString()]);
      if (next?.[0] == null || BigInt(next[0]) > to) break;
      const started = performance.now();
      const start = alignDown(BigInt(next[0]));
      const last = lesser(start + span.value - 1n, to);
      const { fresh, end } = await compareWindow(this.#session, this.#table, start, last, SETTLED_KINDS);
      span.learn(performance.now() - started);
      for (const id of fresh.map(BigInt)) {
        const { block, bit } = placeOf(id);
        if (isWanted(id)) found.add(block, bit);
      }
      at = end;
    }
    return found;
  }

  /** The unique ids of rows that are in the queue; those without one are left out. */
  async uniqueIds(ids: Iterable<bigint>): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    if (this.#table.shape.eventUniqueIdAt < 0) return found;
    for (const portion of portionsOf(ids)) {
      for (const [id, uniqueId] of await this.#session.query(uniqueIdsSql(this.#table), [numbers(portion)])) {
        if (uniqueId != null) found.set(String(id), uniqueId);
      }
    }
    return found;
  }
}

function* portionsOf(ids: Iterable<bigint>): Generator<readonly string[]> {
  let portion: string[] = [];
  for (const id of ids) {
    portion.push(id.toString());
    if (portion.length < ROWS_AT_ONCE) continue;
    yield portion;
    portion = [];
  }
  if (portion.length > 0) yield portion;
}
