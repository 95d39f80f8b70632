// Writes JSON as bytes, from a row's bytes: what stands in PostgreSQL's text is copied, and escaped where JSON wants that.
// No string comes between: building strings and encoding them took four times as long.

import { endOfJsonValue } from '../lib/json-bytes.ts';
import type { ValueKind } from './event.ts';
import { jsonString } from './json-string.ts';
import { isJsonObject, oneLineJson } from './json-text.ts';
import type { ColumnPlaces } from './row-bytes.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const ZERO = 0x30;
const NINE = 0x39;
const MINUS = 0x2d;
const LETTER_T = 0x74;
const LETTER_U = 0x75;
const OPEN_BRACE = 0x7b;
const HEX = Buffer.from('0123456789abcdef');

/** What follows the backslash, by byte; 0: four hexadecimal digits. */
const SHORT_ESCAPES = new Uint8Array(256);
for (const [byte, letter] of [
  [QUOTE, '"'],
  [BACKSLASH, '\\'],
  [0x08, 'b'],
  [0x09, 't'],
  [0x0a, 'n'],
  [0x0c, 'f'],
  [0x0d, 'r'],
] as const)
  SHORT_ESCAPES[byte] = letter.charCodeAt(0);

/** In which kinds of numbers a byte stands. */
const IN_INTEGER = 1;
const IN_DOUBLE = 2;
const PLACES_OF = new Uint8Array(256).fill(IN_INTEGER | IN_DOUBLE, ZERO, NINE + 1);
for (const char of '-+.e') PLACES_OF[char.charCodeAt(0)] = IN_DOUBLE;

/** Longest of all: `\u0000`. */
const MOST_PER_BYTE = 6;
/** Of a longer text the place that it takes is counted first, so that no six times as much is asked for. */
const WORTH_COUNTING = 4_096;

/** A loop copies fewer bytes than these in less time. */
const WORTH_A_CALL = 64;

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');

/** How a column's text is written: as it stands, as a number unless it is none (NaN), as a boolean, a string, or an object. */
export type Form = 'digits' | 'double' | 'boolean' | 'string' | 'object';

/** @param expand a text that is a JSON object is written as that object (`expand_json_columns`). */
export function formOf(kind: ValueKind, expand: boolean): Form {
  if (kind === 'integer') return 'digits';
  if (kind === 'text') return expand ? 'object' : 'string';
  return kind;
}

export class JsonWriter {
  /** What is written so far is `bytes.subarray(0, length)`; the rest is room. */
  bytes: Buffer;
  length = 0;

  constructor(initialBytes: number) {
    this.bytes = Buffer.allocUnsafeSlow(initialBytes);
  }

  /** Makes room for so many more bytes. */
  reserve(more: number): void {
    const needed = this.length + more;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  /** Bytes as they stand. Short as keys are, a loop takes half as long as a call of `copy`. */
  raw(source: Uint8Array, start = 0, end = source.length): void {
    this.reserve(end - start);
    const { bytes } = this;
    let to = this.length;
    for (let at = start; at < end; at += 1) bytes[to++] = source[at] as number;
    this.length = to;
  }

  /** The same for long runs. */
  copy(source: Buffer, start = 0, end = source.length): void {
    if (end - start < WORTH_A_CALL) {
      this.raw(source, start, end);
      return;
    }
    this.reserve(end - start);
    this.length += source.copy(this.bytes, this.length, start, end);
  }

  /** One byte. */
  byte(byte: number): void {
    this.reserve(1);
    this.bytes[this.length++] = byte;
  }

  /** Text of which each character is one byte. */
  ascii(text: string): void {
    this.reserve(text.length);
    for (let at = 0; at < text.length; at += 1) this.bytes[this.length++] = text.charCodeAt(at);
  }

  /** Any text, in UTF-8. */
  text(text: string): void {
    this.reserve(Buffer.byteLength(text));
    this.length += this.bytes.write(text, this.length);
  }

  /** A text as a JSON string. Where no byte wants an escape, as in most, each is looked at once. */
  string(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.reserve((length < WORTH_COUNTING ? length * MOST_PER_BYTE : escapedLength(source, start, end)) + 2);
    const { bytes } = this;
    let to = this.length;
    bytes[to++] = QUOTE;
    for (let at = start; at < end; at += 1) {
      const byte = source[at] as number;
      if (byte >= SPACE && byte !== QUOTE && byte !== BACKSLASH) bytes[to++] = byte;
      else to = writeEscape(bytes, to, byte);
    }
    bytes[to++] = QUOTE;
    this.length = to;
  }

  /** The value of a column that is not null. */
  column(row: Buffer, { starts, ends }: ColumnPlaces, at: number, form: Form): void {
    const start = starts[at] as number;
    const end = ends[at] as number;
    if (form === 'string') this.string(row, start, end);
    else if (form === 'digits') this.#number(row, start, end, IN_INTEGER);
    else if (form === 'double') this.#number(row, start, end, IN_DOUBLE);
    else if (form === 'boolean') this.raw(row[start] === LETTER_T ? TRUE : FALSE);
    else if (form === 'object') this.#object(row, start, end);
    else this.string(row, start, end);
  }

  /**
   * A number as it stands. What is none is a string: NaN and the infinities, and for some seconds the texts of a column whose
   * type has just been changed, which must not tear a line.
   */
  #number(source: Uint8Array, start: number, end: number, kind: number): void {
    this.reserve(end - start);
    const { bytes } = this;
    let to = this.length;
    let at = start;
    if (source[at] === MINUS) {
      bytes[to++] = MINUS;
      at += 1;
    }
    let isNumber = at < end && PLACES_OF[source[at] as number] === (IN_INTEGER | IN_DOUBLE);
    for (; isNumber && at < end; at += 1) {
      const byte = source[at] as number;
      bytes[to++] = byte;
      isNumber = ((PLACES_OF[byte] as number) & kind) !== 0;
    }
    if (isNumber) this.length = to;
    else this.string(source, start, end);
  }

  /**
   * An object that is on one line already, as almost all are: looked at as bytes, in a third of the time that JSON.parse
   * takes.
   *
   * @returns false: it is none, or wants a closer look; nothing is written.
   */
  #plainObject(row: Buffer, start: number, end: number): boolean {
    // Bytes behind the column are none of its own: an object that ends elsewhere is another matter.
    if (row[start] !== OPEN_BRACE || endOfJsonValue(row, start) !== end) return false;
    this.reserve(end - start);
    const { bytes } = this;
    let to = this.length;
    for (let at = start; at < end; at += 1) {
      const byte = row[at] as number;
      if (byte === LINE_FEED || byte === CARRIAGE_RETURN) return false;
      bytes[to++] = byte;
    }
    this.length = to;
    return true;
  }

  /** A text that may be a JSON object: as that object on one line, else as a string. */
  #object(row: Buffer, start: number, end: number): void {
    if (this.#plainObject(row, start, end)) return;
    const text = row.toString('utf8', start, end);
    const json = isJsonObject(text) ? oneLineJson(text) : null;
    if (json === null) this.string(row, start, end);
    else if (json === text) this.raw(row, start, end);
    else this.text(json);
  }
}

/** @returns the index behind it. */
function writeEscape(bytes: Uint8Array, to: number, byte: number): number {
  const short = SHORT_ESCAPES[byte] as number;
  bytes[to] = BACKSLASH;
  if (short !== 0) {
    bytes[to + 1] = short;
    return to + 2;
  }
  bytes[to + 1] = LETTER_U;
  bytes[to + 2] = ZERO;
  bytes[to + 3] = ZERO;
  bytes[to + 4] = HEX[byte >> 4] as number;
  bytes[to + 5] = HEX[byte & 15] as number;
  return to + 6;
}

function escapedLength(source: Uint8Array, start: number, end: number): number {
  let length = end - start;
  for (let at = start; at < end; at += 1) {
    const byte = source[at] as number;
    if (byte < SPACE || byte === QUOTE || byte === BACKSLASH) length += SHORT_ESCAPES[byte] === 0 ? 5 : 1;
  }
  return length;
}

/** The bytes of `,"name":`. */
export const keyOf = (name: string, before = ','): Buffer => Buffer.from(`${before}${jsonString(name)}:`);
