// Puts rows into the queue table: one statement, hence one transaction, a batch. When PostgreSQL refuses a batch
// because of what is in it, the batch is halved until the bad row stands alone; the others are stored.

import { jsonString } from '../event/json-value.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import type { Row } from './normalize.ts';
import type { QueryClient } from './queue-table.ts';

export interface Refusal {
  /** Index into the rows. */
  readonly at: number;
  /** What PostgreSQL said. */
  readonly error: string;
}

/**
 * Inserts rows into `events`.
 *
 * @returns the rows that PostgreSQL refused for their content; all others are committed.
 * @throws what `client.query` throws for any other reason.
 */
export async function insertRows(client: QueryClient, rows: readonly Row[]): Promise<Refusal[]> {
  if (rows.length === 0) return [];
  try {
    await client.query(...insertStatement(rows));
    return [];
  } catch (error) {
    if (!isDataError(error)) throw error;
    if (rows.length === 1) return [{ at: 0, error: messageOf(error) }];
  }
  const half = Math.ceil(rows.length / 2);
  const first = await insertRows(client, rows.slice(0, half));
  const second = await insertRows(client, rows.slice(half));
  return [...first, ...second.map(({ at, error }) => ({ at: at + half, error }))];
}

/**
 * All rows as one JSON parameter, which PostgreSQL takes apart by the table's own types. Only columns that some row has
 * are named, so that the others get their default.
 */
function insertStatement(rows: readonly Row[]): [sql: string, params: [string]] {
  const names = [...new Set(rows.flatMap((row) => [...row.keys()]))].map(quoteIdentifier).join(', ');
  const sql = `INSERT INTO events (${names}) SELECT ${names} FROM json_populate_recordset(NULL::events, $1::json)`;
  return [sql, [`[${rows.map(jsonOfRow).join(',')}]`]];
}

/** Every value is a string: PostgreSQL reads it as the text of the column's type, so that no digit is lost. */
function jsonOfRow(row: Row): string {
  const members = Array.from(row, ([name, text]) => `${jsonString(name)}:${jsonString(text)}`);
  return `{${members.join(',')}}`;
}

function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** SQLSTATE classes that speak of a row's content: data exception, constraint violation, RAISE in a trigger, a value too large. */
function isDataError(error: unknown): boolean {
  return /^(?:22|23|P0001|54000)/.test(codeOf(error) ?? '');
}
