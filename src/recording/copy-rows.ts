// Rows into the queue table by COPY, in its text format: for PostgreSQL a fraction of the work of an INSERT of the same rows.
// Rows wait for their batch as bytes outside of the heap; thousands of strings would be moved about by each collection.

import type { CopyClient } from './connection.ts';
import { type EncodedRow, quoteIdentifier, type RowWriter } from './insert-rows.ts';
import type { Row } from './normalize.ts';
import type { TableColumn } from './queue-table.ts';

/** Bytes that rows share. PostgreSQL begins with the first while the next are sent. */
const PAGE_BYTES = 64 * 1024;
/** UTF-8 takes at most three bytes for a UTF-16 unit. */
const MAX_BYTES_PER_UNIT = 3;
const NULL = '\\N';
const SPECIAL = /[\\\n\r\t]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

interface CopyRow extends EncodedRow {
  readonly page: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Columns that are named together: all without a default, and some that have one. */
interface Combination {
  readonly names: readonly string[];
  readonly places: ReadonlyMap<string, number>;
  readonly nulls: readonly string[];
}

/**
 * Creates the writer for one table. All columns are named, but of those with a default the ones that a row has: COPY can
 * ask for a default only by not naming the column.
 */
export function createCopyWriter(columns: readonly TableColumn[]): RowWriter<CopyClient, CopyRow> {
  const always = columns.filter(({ hasDefault }) => !hasDefault).map(({ name }) => name);
  const defaulted = columns.filter(({ hasDefault }) => hasDefault).map(({ name }) => name);
  const combinations = new Map<string, Combination>();
  let page = Buffer.alloc(0);
  let used = 0;

  const combinationOf = (row: Row): Combination => {
    const named = defaulted.filter((name) => row.has(name));
    const key = named.join();
    const known = combinations.get(key);
    if (known !== undefined) return known;
    const names = [...always, ...named];
    const made = { names, places: new Map(names.map((name, at) => [name, at])), nulls: names.map(() => NULL) };
    combinations.set(key, made);
    return made;
  };

  return {
    encode(row) {
      const combination = combinationOf(row);
      const line = lineOf(row, combination);
      const mostBytes = line.length * MAX_BYTES_PER_UNIT;
      if (mostBytes > page.length - used) {
        page = Buffer.allocUnsafeSlow(Math.max(mostBytes, PAGE_BYTES));
        used = 0;
      }
      const start = used;
      used += page.write(line, start);
      return { columns: combination.names, page, start, end: used };
    },
    async write(client, rows) {
      for (const [names, some] of byColumns(rows)) {
        await client.copyIn(`COPY events (${names.map(quoteIdentifier).join(', ')}) FROM STDIN`, piecesOf(some));
      }
    },
  };
}

/** Joined, not added up: V8 keeps a sum of strings as a tree of them. */
function lineOf(row: Row, { places, nulls }: Combination): string {
  const values = nulls.slice();
  for (const [name, text] of row) {
    const at = places.get(name);
    if (at !== undefined) values[at] = SPECIAL.test(text) ? escaped(text) : text;
  }
  return `${values.join('\t')}\n`;
}

/** `\N`, `\.` and the separators mean themselves then: https://www.postgresql.org/docs/current/sql-copy.html */
function escaped(text: string): string {
  return text.replace(/[\\\n\r\t]/g, (char) => ESCAPES[char] ?? char);
}

/** In their order, but rows of other columns come after those of the first. */
function byColumns(rows: readonly CopyRow[]): ReadonlyMap<readonly string[], CopyRow[]> {
  const groups = new Map<readonly string[], CopyRow[]>();
  for (const row of rows) {
    const group = groups.get(row.columns);
    if (group) group.push(row);
    else groups.set(row.columns, [row]);
  }
  return groups;
}

/** Rows that lie one behind the other in a page are one piece. */
function* piecesOf(rows: readonly CopyRow[]): Generator<Buffer> {
  for (let at = 0; at < rows.length; ) {
    const { page, start, end } = rows[at] as CopyRow; // at is below the length
    let pieceEnd = end;
    for (at += 1; rows[at]?.page === page && rows[at]?.start === pieceEnd; at += 1)
      pieceEnd = rows[at]?.end ?? pieceEnd;
    yield page.subarray(start, pieceEnd);
  }
}
