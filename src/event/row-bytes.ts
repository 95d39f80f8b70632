// A row of the queue table as PostgreSQL sends it: for each column the length of its text (four bytes, -1: null) and the
// text in UTF-8. A row stays like this on its way through the data path: strings are made only of the columns that somebody
// asks for. With a string for each column the same path took twice the CPU time, half of it to collect them.

/** PostgreSQL's text output of a column, or null. `true`/`false` arrive as `t`/`f`. */
export type RawValue = string | null;

const LENGTH_BYTES = 4;
const NULL_LENGTH = -1;

/** The length that stands before a column's text; -1: null. */
export function lengthAt(row: Uint8Array, at: number): number {
  return (
    ((row[at] as number) << 24) |
    ((row[at + 1] as number) << 16) |
    ((row[at + 2] as number) << 8) |
    (row[at + 3] as number)
  );
}

/** Where the columns of a row stand. One is used for many rows: what it says of one is over with the next `read`. */
export class ColumnPlaces {
  /** Index of the first byte of each column; -1: null. */
  readonly starts: Int32Array;
  /** Index behind its last byte. */
  readonly ends: Int32Array;

  constructor(columns: number) {
    this.starts = new Int32Array(columns);
    this.ends = new Int32Array(columns);
  }

  /** Reads the places of the row that begins at `at`. */
  read(row: Uint8Array, at: number): void {
    const { starts, ends } = this;
    let next = at;
    for (let column = 0; column < starts.length; column += 1) {
      const length = lengthAt(row, next);
      next += LENGTH_BYTES;
      if (length === NULL_LENGTH) {
        starts[column] = -1;
        continue;
      }
      starts[column] = next;
      next += length;
      ends[column] = next;
    }
  }
}

/** Index of the length of one column of the row that begins at `at`. */
function placeOf(row: Uint8Array, at: number, column: number): number {
  let next = at;
  for (let before = 0; before < column; before += 1) next += LENGTH_BYTES + Math.max(0, lengthAt(row, next));
  return next;
}

/** The text of one column of the row that begins at `at`. */
export function textOf(row: Buffer, at: number, column: number): RawValue {
  const place = placeOf(row, at, column);
  const length = lengthAt(row, place);
  return length === NULL_LENGTH ? null : row.toString('utf8', place + LENGTH_BYTES, place + LENGTH_BYTES + length);
}

/** The same where few different texts are to be expected: one that was met lately costs no new string. */
export function knownTextOf(row: Buffer, at: number, column: number): RawValue {
  const place = placeOf(row, at, column);
  const length = lengthAt(row, place);
  if (length === NULL_LENGTH) return null;
  return length === 0 ? '' : knownText(row, place + LENGTH_BYTES, place + LENGTH_BYTES + length);
}

/** Bytes of the first columns of the row that begins at `at`: their lengths and their texts. */
export function sizeOf(row: Uint8Array, at: number, columns: number): number {
  return placeOf(row, at, columns) - at;
}

/** The row of some values, as it would come from PostgreSQL. */
export function encodeRow(values: readonly RawValue[]): Buffer {
  const parts = values.flatMap((value) => {
    const text = value === null ? null : Buffer.from(value);
    const length = Buffer.alloc(LENGTH_BYTES);
    length.writeInt32BE(text === null ? NULL_LENGTH : text.length);
    return text === null ? [length] : [length, text];
  });
  return Buffer.concat(parts);
}

interface Known {
  readonly bytes: Uint8Array;
  readonly text: string;
}

const KNOWN_PLACES = 512;
const MAX_KNOWN_BYTES = 64;
const known: (Known | undefined)[] = new Array(KNOWN_PLACES).fill(undefined);

function knownText(row: Buffer, start: number, end: number): string {
  let hash = end - start;
  for (let at = start; at < end; at += 1) hash = (Math.imul(hash, 31) + (row[at] as number)) | 0;
  const place = hash & (KNOWN_PLACES - 1);
  const entry = known[place];
  if (entry && isSame(entry.bytes, row, start, end)) return entry.text;
  const text = row.toString('utf8', start, end);
  if (end - start <= MAX_KNOWN_BYTES) known[place] = { bytes: Uint8Array.from(row.subarray(start, end)), text };
  return text;
}

function isSame(bytes: Uint8Array, row: Uint8Array, start: number, end: number): boolean {
  if (bytes.length !== end - start) return false;
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] !== row[start + at]) return false;
  return true;
}
