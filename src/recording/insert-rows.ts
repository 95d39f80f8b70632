// Puts rows into the queue table, a batch at a time. When PostgreSQL refuses a batch because of what is in it, the batch
// is halved until the bad row stands alone; the others are stored.

import { jsonString } from '../event/json-string.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import type { Row } from './normalize.ts';
import type { QueryClient } from './queue-table.ts';

export interface Refusal {
  /** Index into the rows. */
  readonly at: number;
  /** What PostgreSQL said. */
  readonly error: string;
}

/** A row as it is sent: made at once, since thousands of rows waiting as maps are what a garbage collector suffers from. */
export interface EncodedRow {
  /** Names of the columns that are sent. */
  readonly columns: readonly string[];
}

/** A way of getting rows into `events`. */
export interface RowWriter<Client, Encoded extends EncodedRow> {
  encode(row: Row): Encoded;
  /** The row is stored and its memory needed no longer; to be called once. */
  letGo?(row: Encoded): void;
  /** Sends rows, all of them or none. @throws what PostgreSQL says. */
  write(client: Client, rows: readonly Encoded[]): Promise<void>;
}

/** A row as an object of texts, so that no digit is lost. */
export interface JsonRow extends EncodedRow {
  readonly json: string;
}

/**
 * INSERT of all rows as one JSON parameter, which PostgreSQL takes apart by the table's own types. Only columns that
 * some row has are named, so that the others get their default.
 */
export const INSERT_WRITER: RowWriter<QueryClient, JsonRow> = {
  encode(row) {
    // Every value is a string: PostgreSQL reads it as the text of the column's type, so that no digit is lost.
    const members = Array.from(row, ([name, text]) => `${jsonString(name)}:${jsonString(text)}`);
    return { json: `{${members.join(',')}}`, columns: [...row.keys()] };
  },
  async write(client, rows) {
    const names = [...new Set(rows.flatMap(({ columns }) => columns))].map(quoteIdentifier).join(', ');
    const sql = `INSERT INTO events (${names}) SELECT ${names} FROM json_populate_recordset(NULL::events, $1::json)`;
    await client.query(sql, [`[${rows.map(({ json }) => json).join(',')}]`]);
  },
};

/**
 * Inserts rows into `events`; each attempt is a transaction where none is open.
 *
 * @returns the rows that PostgreSQL refused for their content; all others are committed.
 * @throws what `client.query` throws for any other reason.
 */
export async function insertRows(client: QueryClient, rows: readonly Row[]): Promise<Refusal[]> {
  return writeHalving(client, rows.map(INSERT_WRITER.encode), INSERT_WRITER, false);
}

/**
 * Writes rows; where PostgreSQL refuses them, each half of them.
 *
 * @param inTransaction a transaction is open and must outlive the refusals.
 * @returns the rows that PostgreSQL refused for their content.
 */
export async function writeHalving<Client extends QueryClient, Encoded extends EncodedRow>(
  client: Client,
  rows: readonly Encoded[],
  writer: Pick<RowWriter<Client, Encoded>, 'write'>,
  inTransaction: boolean,
): Promise<Refusal[]> {
  if (rows.length === 0) return [];
  try {
    if (inTransaction) await client.query('SAVEPOINT rows');
    await writer.write(client, rows);
    if (inTransaction) await client.query('RELEASE rows');
    return [];
  } catch (error) {
    if (!isDataError(error)) throw error;
    if (inTransaction) await client.query('ROLLBACK TO rows; RELEASE rows');
    if (rows.length === 1) return [{ at: 0, error: messageOf(error) }];
  }
  const half = Math.ceil(rows.length / 2);
  const first = await writeHalving(client, rows.slice(0, half), writer, inTransaction);
  const second = await writeHalving(client, rows.slice(half), writer, inTransaction);
  return [...first, ...second.map(({ at, error }) => ({ at: at + half, error }))];
}

/** A column's name for SQL. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** SQLSTATE classes that speak of a row's content: data exception, constraint violation, RAISE in a trigger, a value too large. */
export function isDataError(error: unknown): boolean {
  return /^(?:22|23|P0001|54000)/.test(codeOf(error) ?? '');
}
