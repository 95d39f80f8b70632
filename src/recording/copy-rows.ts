// Rows into the queue table by COPY, in its text format: for PostgreSQL half the work of an INSERT of the same rows.

import type { CopyClient } from './connection.ts';
import { columnsOf, quoteIdentifier, type RowWriter } from './insert-rows.ts';
import type { Row } from './normalize.ts';

/** Characters of one piece: PostgreSQL begins with the first while the next is made. */
const PIECE_LENGTH = 64 * 1024;
const NULL = '\\N';
const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Only columns that some row has are named, so that the others get their default. */
export const copyRows: RowWriter<CopyClient> = async (client, rows) => {
  const names = columnsOf(rows);
  await client.copyIn(`COPY events (${names.map(quoteIdentifier).join(', ')}) FROM STDIN`, piecesOf(rows, names));
};

function* piecesOf(rows: readonly Row[], names: readonly string[]): Generator<Buffer> {
  let piece = '';
  for (const row of rows) {
    let between = '';
    for (const name of names) {
      const text = row.get(name);
      piece += between + (text === undefined ? NULL : escaped(text));
      between = '\t';
    }
    piece += '\n';
    if (piece.length < PIECE_LENGTH) continue;
    yield Buffer.from(piece);
    piece = '';
  }
  if (piece !== '') yield Buffer.from(piece);
}

/** `\N`, `\.` and the separators mean themselves then: https://www.postgresql.org/docs/current/sql-copy.html */
function escaped(text: string): string {
  return /[\\\n\r\t]/.test(text) ? text.replace(/[\\\n\r\t]/g, (char) => ESCAPES[char] ?? char) : text;
}
