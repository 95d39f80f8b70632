// What PostgreSQL knows of single events, for `tailrace trace`: the row, and where the event stands at each destination.

import { codeOf, TailraceError } from '../lib/errors.ts';
import { checkSchema, QUEUE_TABLE } from './schema.ts';
import { numbers, type Session } from './session.ts';
import { idsOfUniqueIdSql, TRACED_FAILURES_SQL, TRACED_SETS_SQL, tracedRowsSql } from './sql/trace.ts';
import { type QueueTable, readQueueTable } from './table.ts';

/** Rows that share one unique id: more are a fault of the producer, and all alike. */
const MAX_ROWS = 20;
/** SQLSTATE of a statement that took too long. */
const QUERY_CANCELED = '57014';

export interface TracedRow {
  readonly event_type: string | null;
  readonly event_time: string | null;
  readonly event_unique_id: string | null;
  /** Marked as done with (`mark_processed`). */
  readonly processed: boolean;
  /** false: its destination_id is another one than 1, so it is none of ours. */
  readonly ours: boolean;
}

/** Where an event stands at one destination. */
export type TracedPair =
  | { readonly destination: string; readonly state: 'waiting' | 'done' }
  | {
      readonly destination: string;
      readonly state: 'failed' | 'parked';
      readonly attempts: number;
      /** Seconds since the epoch; means nothing when parked. */
      readonly next_attempt: number;
      readonly first_failure: number;
      readonly error: string;
    };

export interface Traced {
  /** null: no row in the queue. */
  readonly row: TracedRow | null;
  /** Settled with its line; an event that is new or under way is not yet. */
  readonly logged: boolean;
  /** Its text exceeds `max_event_bytes`. */
  readonly tooLarge: boolean;
  readonly left: boolean;
  readonly destinations: readonly TracedPair[];
}

export class Tracer {
  readonly #session: Session;
  readonly #table: QueueTable;

  private constructor(session: Session, table: QueueTable) {
    this.#session = session;
    this.#table = table;
  }

  /** @throws {TailraceError} those of `readQueueTable` and `checkSchema`. */
  static async create(session: Session): Promise<Tracer> {
    const table = await readQueueTable(session, QUEUE_TABLE, false);
    await checkSchema(session, table.oid);
    return new Tracer(session, table);
  }

  /** The queue table's name, for a person. */
  get table(): string {
    return this.#table.name;
  }

  /**
   * Ids of the rows that bear a unique id.
   *
   * @throws {TailraceError} `QUEUE_TOO_LARGE` when the table has no index for it and is too large to be read whole.
   */
  async idsOf(uniqueId: string): Promise<readonly string[]> {
    if (this.#table.shape.eventUniqueIdAt < 0) return [];
    try {
      const rows = await this.#session.query(idsOfUniqueIdSql(this.#table), [uniqueId, MAX_ROWS]);
      return rows.map(([id]) => String(id));
    } catch (error) {
      if (codeOf(error) !== QUERY_CANCELED) throw error;
      throw new TailraceError(
        'QUEUE_TOO_LARGE',
        `the table ${this.#table.name} is too large to be searched for a unique id in time; name the event_id instead, or make an index on event_unique_id`,
        { cause: error },
      );
    }
  }

  /** What is known of the events, by id; all of them are in the answer. */
  async trace(ids: readonly string[]): Promise<ReadonlyMap<string, Traced>> {
    const wanted = numbers(ids);
    // First what is known, then the row: an event that is settled between the two is gone, not new.
    const failures = await this.#session.query(TRACED_FAILURES_SQL, [wanted]);
    const sets = await this.#session.query(TRACED_SETS_SQL, [wanted]);
    const rows = await this.#session.query(tracedRowsSql(this.#table), [wanted]);
    return new Map(
      ids.map((id) => {
        const row = rows.find(([each]) => each === id);
        const kinds = sets.filter(([each]) => each === id);
        const isIn = (kind: string): boolean => kinds.some((set) => set[1] === kind);
        const pairsOf = (kind: string, state: 'waiting' | 'done'): TracedPair[] =>
          kinds.filter((set) => set[1] === kind).map((set) => ({ destination: set[2] ?? '', state }));
        return [
          id,
          {
            row: row
              ? {
                  event_type: row[1] ?? null,
                  event_time: row[2] ?? null,
                  event_unique_id: row[3] ?? null,
                  processed: row[4] === 't',
                  ours: row[5] === 't',
                }
              : null,
            logged: isIn('L'),
            tooLarge: isIn('X'),
            left: isIn('l'),
            destinations: [
              ...failures.filter(([each]) => each === id).map(toFailure),
              ...pairsOf('w', 'waiting'),
              ...pairsOf('d', 'done'),
            ],
          },
        ];
      }),
    );
  }
}

function toFailure([, key, parked, attempts, next, first, error]: readonly (string | null)[]): TracedPair {
  return {
    destination: key ?? '(too large)',
    state: parked === 't' ? 'parked' : 'failed',
    attempts: Number(attempts),
    next_attempt: Number(next),
    first_failure: Number(first),
    error: error ?? '',
  };
}
