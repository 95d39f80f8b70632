// Rows into the queue table by COPY, in its text format: for PostgreSQL a fraction of the work of an INSERT of the same rows.
// Rows wait for their batch as bytes outside of the heap; thousands of strings would be moved about by each collection.

import type { CopyClient } from './connection.ts';
import { type EncodedRow, quoteIdentifier, type RowWriter } from './insert-rows.ts';
import type { TableColumn } from './queue-table.ts';
import { createBufferPool, SharedBytes } from './shared-bytes.ts';

/** Bytes that rows share, and that are handed to the socket at once: while this process works, PostgreSQL has what to do. */
const PAGE_BYTES = 512 * 1024;
/** UTF-8 takes at most three bytes for a UTF-16 unit. */
export const MAX_BYTES_PER_UNIT = 3;
/** What stands for null. */
export const NULL_TEXT = '\\N';
const SPECIAL = /[\\\n\r\t]/;
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

export interface CopyRow extends EncodedRow {
  readonly page: SharedBytes;
  readonly start: number;
  readonly end: number;
}

export interface CopyWriter extends RowWriter<CopyClient, CopyRow> {
  /** The columns that a row is sent with; the same array for the same columns. */
  namesOf(isNamed: (column: string) => boolean): readonly string[];
  /**
   * Adds a row that is made by `write`.
   *
   * @param names by `namesOf`.
   * @param mostBytes no more than that is written.
   * @param write puts the line with its line feed into the page, from an index on; gives the index behind it.
   */
  add(names: readonly string[], mostBytes: number, write: (page: Buffer, start: number) => number): CopyRow;
}

/**
 * Creates the writer for one table. All columns are named, but of those with a default the ones that a row has: COPY can
 * ask for a default only by not naming the column.
 */
export function createCopyWriter(columns: readonly TableColumn[]): CopyWriter {
  const always = columns.filter(({ hasDefault }) => !hasDefault).map(({ name }) => name);
  const defaulted = columns.filter(({ hasDefault }) => hasDefault).map(({ name }) => name);
  const combinations = new Map<string, readonly string[]>();
  const pool = createBufferPool(PAGE_BYTES);
  let page = new SharedBytes(Buffer.alloc(0), pool.giveBack);
  let used = 0;

  const namesOf: CopyWriter['namesOf'] = (isNamed) => {
    const named = defaulted.filter(isNamed);
    const key = named.join('\0');
    const names = combinations.get(key) ?? [...always, ...named];
    combinations.set(key, names);
    return names;
  };

  const add: CopyWriter['add'] = (names, mostBytes, write) => {
    if (mostBytes > page.bytes.length - used) {
      page.letGo();
      page = new SharedBytes(mostBytes > PAGE_BYTES ? Buffer.allocUnsafeSlow(mostBytes) : pool.lend(), pool.giveBack);
      used = 0;
    }
    const start = used;
    used = write(page.bytes, start);
    page.addUser();
    return { columns: names, page, start, end: used };
  };

  return {
    namesOf,
    add,
    encode(row) {
      const names = namesOf((name) => row.has(name));
      const line = `${names.map((name) => textOf(row.get(name))).join('\t')}\n`;
      return add(names, line.length * MAX_BYTES_PER_UNIT, (to, start) => start + to.write(line, start));
    },
    letGo({ page: shared }) {
      shared.letGo();
    },
    async write(client, rows) {
      for (const [names, some] of byColumns(rows)) {
        await client.copyIn(`COPY events (${names.map(quoteIdentifier).join(', ')}) FROM STDIN`, piecesOf(some));
      }
    },
  };
}

function textOf(value: string | undefined): string {
  return value === undefined ? NULL_TEXT : copyText(value);
}

/** `\N`, `\.` and the separators mean themselves then: https://www.postgresql.org/docs/current/sql-copy.html */
export function copyText(text: string): string {
  return SPECIAL.test(text) ? text.replace(/[\\\n\r\t]/g, (char) => ESCAPES[char] ?? char) : text;
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
    yield page.bytes.subarray(start, pieceEnd);
  }
}
