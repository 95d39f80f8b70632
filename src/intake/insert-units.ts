// Rows into the queue table, with their ids as the answer. A unit is what is recorded as a whole or not at all: all
// events of a request, or each on its own. Units share one statement, hence one COMMIT; when PostgreSQL refuses it for
// what is in it, the units are halved until the bad one stands alone, and the others are stored.

import { createHash } from 'node:crypto';
import { EXIT, messageOf, TailraceError } from '../lib/errors.ts';
import type { RecordingConnection } from '../recording/connection.ts';
import { isDataError, type JsonRow, quoteIdentifier } from '../recording/insert-rows.ts';
import type { QueryClient } from '../recording/queue-table.ts';

export interface Unit {
  readonly rows: readonly JsonRow[];
  /** Called when all of it is committed. */
  readonly stored: (ids: readonly string[]) => void;
  /** Called when PostgreSQL refused some of its rows for their content: none of it is stored. */
  readonly refused: (rows: readonly RefusedRow[]) => void;
  /** Called when PostgreSQL refused it for another reason; none of it is stored, and trying again may help. */
  readonly failed: (error: unknown) => void;
}

export interface RefusedRow {
  /** Index into the unit's rows. */
  readonly at: number;
  readonly error: string;
}

/** The statement of one table; on each connection it is prepared once for the columns that have been seen. */
export interface Insertion {
  /**
   * Stores units; each is told what became of it.
   *
   * @returns PostgreSQL's error for the last unit that failed, or null.
   * @throws {TailraceError} `DATABASE_UNAVAILABLE`: it is not known what became of the units that were not told.
   */
  insert(connection: RecordingConnection, units: readonly Unit[]): Promise<unknown>;
}

/** So many bad rows of one request are looked for; each costs some statements. */
const MAX_REFUSED_ROWS = 20;

/** Column → SQL of its default, as PostgreSQL prints it. */
const DEFAULTS_SQL = `
SELECT a.attname AS name, CASE WHEN a.attidentity <> ''
  THEN format('nextval(%L::regclass)', pg_get_serial_sequence(a.attrelid::regclass::text, a.attname))
  ELSE pg_get_expr(d.adbin, d.adrelid) END AS sql
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = to_regclass('events') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''`;

/**
 * Looks at the table `events` once and makes its statement.
 *
 * @throws {TailraceError} `QUEUE_TABLE_UNUSABLE`.
 */
export async function createInsertion(client: QueryClient): Promise<Insertion> {
  const { rows } = await client.query(DEFAULTS_SQL);
  const defaults = new Map((rows as { name: string; sql: string | null }[]).map(({ name, sql }) => [name, sql]));
  const nextId = defaults.get('id');
  if (typeof nextId !== 'string') {
    const message =
      'the column "id" of the table "events" is missing or has no default, so that no event can get an id';
    throw new TailraceError('QUEUE_TABLE_UNUSABLE', message, { exitCode: EXIT.problem });
  }
  /** Only columns that some event had are named: the rights of the role may not cover others. */
  const seen = new Set<string>();
  let statement = '';
  let name = '';

  const prepare = (given: readonly Unit[]): void => {
    const before = seen.size;
    for (const { rows } of given) for (const { columns } of rows) for (const column of columns) seen.add(column);
    if (seen.size === before) return;
    statement = statementFor(seen, nextId, defaults);
    name = createHash('sha256').update(statement).digest('hex').slice(0, 32);
  };

  const insertOnce = async (connection: RecordingConnection, units: readonly Unit[]): Promise<string[]> => {
    prepare(units);
    const json = `[${units.flatMap(({ rows }) => rows.map((row) => row.json)).join()}]`;
    const { rows } = await connection.query(statement, [json], name);
    return (rows as { ids: string }[])[0]?.ids.split(',') ?? []; // what the statement selects
  };

  const insert = async (connection: RecordingConnection, units: readonly Unit[]): Promise<unknown> => {
    const [first] = units;
    if (first === undefined) return null;
    try {
      const ids = await insertOnce(connection, units);
      let at = 0;
      for (const { rows, stored } of units) {
        stored(ids.slice(at, at + rows.length));
        at += rows.length;
      }
      return null;
    } catch (error) {
      if (error instanceof TailraceError) throw error;
      if (units.length === 1) return await settleRefused(connection, first, error);
    }
    const half = Math.ceil(units.length / 2);
    const before = await insert(connection, units.slice(0, half));
    return (await insert(connection, units.slice(half))) ?? before;
  };

  const settleRefused = async (connection: RecordingConnection, unit: Unit, error: unknown): Promise<unknown> => {
    if (!isDataError(error)) {
      unit.failed(error);
      return error;
    }
    unit.refused(unit.rows.length === 1 ? [{ at: 0, error: messageOf(error) }] : await diagnose(connection, unit));
    return null;
  };

  /** Finds the rows of a unit that PostgreSQL refuses, in a transaction that is rolled back. */
  const diagnose = async (connection: RecordingConnection, unit: Unit): Promise<RefusedRow[]> => {
    const refused: RefusedRow[] = [];
    const look = async (from: number, to: number): Promise<void> => {
      if (refused.length >= MAX_REFUSED_ROWS) return;
      await connection.query('SAVEPOINT look');
      try {
        await insertOnce(connection, [{ ...unit, rows: unit.rows.slice(from, to) }]);
        return;
      } catch (error) {
        if (!isDataError(error)) throw error;
        await connection.query('ROLLBACK TO SAVEPOINT look');
        if (to - from === 1) refused.push({ at: from, error: messageOf(error) });
      }
      if (to - from === 1) return;
      const middle = from + Math.ceil((to - from) / 2);
      await look(from, middle);
      await look(middle, to);
    };
    await connection.query('BEGIN');
    await look(0, unit.rows.length);
    await connection.query('ROLLBACK');
    // What is refused only at COMMIT, or only together, has no row of its own.
    return refused.length > 0 ? refused : [{ at: 0, error: 'refused together with the other events of the request' }];
  };

  return { insert };
}

/**
 * All rows as one JSON parameter, which PostgreSQL takes apart by the table's own types. The ids are taken first, since
 * RETURNING would want the right to read the queue. What a row lacks gets its default, whatever others of the round have.
 */
function statementFor(
  columns: ReadonlySet<string>,
  nextId: string,
  defaults: ReadonlyMap<string, string | null>,
): string {
  const names = [...columns].map(quoteIdentifier);
  const values = [...columns].map((column) => {
    const value = `r.${quoteIdentifier(column)}`;
    const sql = defaults.get(column);
    return sql ? `coalesce(${value}, ${sql}) AS ${quoteIdentifier(column)}` : value;
  });
  return `
WITH given AS MATERIALIZED (
  SELECT (${nextId})::bigint AS "tailrace id", r.ordinality AS "tailrace at", ${values.join(', ')}
  FROM json_populate_recordset(NULL::events, $1::json) WITH ORDINALITY AS r
), stored AS (
  INSERT INTO events (id, ${names.join(', ')}) OVERRIDING SYSTEM VALUE SELECT "tailrace id", ${names.join(', ')} FROM given
)
SELECT string_agg("tailrace id"::text, ',' ORDER BY "tailrace at") AS ids FROM given`;
}
