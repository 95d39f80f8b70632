// Puts rows into the queue table, a batch at a time. When PostgreSQL refuses a batch because of what is in it, the batch
// is halved until the bad row stands alone; the others are stored.

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

/** Writes rows into `events`, all of them or none. @throws what PostgreSQL says. */
export type RowWriter<Client> = (client: Client, rows: readonly Row[]) => Promise<void>;

/** One statement, hence one transaction where none is open. */
export const insertAtOnce: RowWriter<QueryClient> = async (client, rows) => {
  await client.query(...insertStatement(rows));
};

/**
 * Inserts rows into `events`.
 *
 * @param write how; each call of it is a transaction, unless the caller's one is open and `inTransaction` says so.
 * @returns the rows that PostgreSQL refused for their content; all others are stored.
 * @throws what `client` throws for any other reason.
 */
export async function insertRows<Client extends QueryClient>(
  client: Client,
  rows: readonly Row[],
  write: RowWriter<Client> = insertAtOnce,
  inTransaction = false,
): Promise<Refusal[]> {
  if (rows.length === 0) return [];
  try {
    if (inTransaction) await client.query('SAVEPOINT rows');
    await write(client, rows);
    if (inTransaction) await client.query('RELEASE rows');
    return [];
  } catch (error) {
    if (!isDataError(error)) throw error;
    if (inTransaction) await client.query('ROLLBACK TO rows; RELEASE rows');
    if (rows.length === 1) return [{ at: 0, error: messageOf(error) }];
  }
  const half = Math.ceil(rows.length / 2);
  const first = await insertRows(client, rows.slice(0, half), write, inTransaction);
  const second = await insertRows(client, rows.slice(half), write, inTransaction);
  return [...first, ...second.map(({ at, error }) => ({ at: at + half, error }))];
}

/**
 * All rows as one JSON parameter, which PostgreSQL takes apart by the table's own types. Only columns that some row has
 * are named, so that the others get their default.
 */
function insertStatement(rows: readonly Row[]): [sql: string, params: [string]] {
  const names = columnsOf(rows).map(quoteIdentifier).join(', ');
  const sql = `INSERT INTO events (${names}) SELECT ${names} FROM json_populate_recordset(NULL::events, $1::json)`;
  return [sql, [`[${rows.map(jsonOfRow).join(',')}]`]];
}

/** Every value is a string: PostgreSQL reads it as the text of the column's type, so that no digit is lost. */
function jsonOfRow(row: Row): string {
  const members = Array.from(row, ([name, text]) => `${jsonString(name)}:${jsonString(text)}`);
  return `{${members.join(',')}}`;
}

/** The columns that some row has a value for. */
export function columnsOf(rows: readonly Row[]): string[] {
  const names = new Set<string>();
  for (const row of rows) for (const name of row.keys()) names.add(name);
  return [...names];
}

/** A column's name for SQL. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** SQLSTATE classes that speak of a row's content: data exception, constraint violation, RAISE in a trigger, a value too large. */
export function isDataError(error: unknown): boolean {
  return /^(?:22|23|P0001|54000)/.test(codeOf(error) ?? '');
}
