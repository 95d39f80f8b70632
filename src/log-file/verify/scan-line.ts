// The quick look at a line: one pass over its bytes along the keys that its type must have, no string and no object
// made. What it accepts is good; what it does not accept is looked at carefully (inspect-line.ts), which also teaches it
// the keys of types and tables that the catalog does not know.

import { EVENT_TYPES } from '../../event/catalog.ts';
import { jsonString } from '../../event/json-string.ts';
import { endOfJsonValue } from '../../lib/json-bytes.ts';

const NEWLINE = 0x0a;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const CLOSE_BRACE = 0x7d;

const WORD_BYTES = 4;

/** Bytes that a line must have at a place, to be compared four at a time: keys are half of what a line consists of. */
interface Expected {
  /** At least four. */
  readonly length: number;
  /** Little-endian, from the start on; the last one ends where the bytes do, so it may overlap with the one before. */
  readonly words: Int32Array;
}

function expect(text: string): Expected {
  const bytes = Buffer.from(text);
  const words = Int32Array.from({ length: Math.ceil(bytes.length / WORD_BYTES) }, (_, at) =>
    bytes.readInt32LE(Math.min(at * WORD_BYTES, bytes.length - WORD_BYTES)),
  );
  return { length: bytes.length, words };
}

const HEAD = expect('{"time_written_to_logfile":');
const EVENT_ID = expect(',"event_id":');
const EVENT_TIME = expect(',"event_time":');

/** Numbers of so many digits are exact. */
const MOST_ID_DIGITS = 15;
const MOST_SECOND_DIGITS = 11;
const DECIMALS = 6;
/** Of a table that invents types, the others are looked at carefully. */
const MOST_TEMPLATES = 200;
/** As many as there are bits to remember which ones stood in the line. */
const MOST_EXTRAS = 31;

/** The keys of the lines of one type. */
interface Template {
  /** `,"event_type":` and the type. */
  readonly head: Expected;
  /** `,"key":` of each field, in order. */
  readonly fields: readonly Expected[];
  /** `,"key":` of each other column that was seen. */
  readonly extras: Expected[];
  readonly extraKeys: string[];
}

export class LineScanner {
  readonly #templates = new Map<string, Template>();
  #inOrder: readonly Template[] = [];
  #last: Template | undefined;

  /** Of the line that was accepted last: its stamp in microseconds since the epoch. */
  timeUs = 0;
  /** Likewise `event_id >> 10`, and the rest of it. */
  block = 0;
  bit = 0;

  constructor() {
    for (const { name, formerNames, fields } of EVENT_TYPES)
      for (const type of [name, ...formerNames]) this.learn(jsonString(type), fields, []);
  }

  /**
   * Accepts lines of a type from now on, with these other keys behind its fields.
   *
   * @param type JSON text.
   */
  learn(type: string, fields: readonly string[], extras: readonly string[]): void {
    const keyOf = (key: string): Expected => expect(`,${jsonString(key)}:`);
    let template = this.#templates.get(type);
    if (template === undefined) {
      if (this.#templates.size >= MOST_TEMPLATES) return;
      template = { head: expect(`,"event_type":${type}`), fields: fields.map(keyOf), extras: [], extraKeys: [] };
      this.#templates.set(type, template);
      this.#inOrder = [...this.#templates.values()];
    }
    for (const key of extras) {
      if (template.extraKeys.includes(key) || template.extras.length >= MOST_EXTRAS) continue;
      template.extras.push(keyOf(key));
      template.extraKeys.push(key);
    }
  }

  /**
   * Looks at the line at `at`.
   *
   * @param bytes valid UTF-8 that ends with a line feed.
   * @param view the same bytes.
   * @returns the offset behind its line feed; -1: it needs a careful look.
   */
  scan(bytes: Uint8Array, view: DataView, start: number): number {
    if (!isAt(view, start, HEAD)) return -1;
    let at = this.#scanTime(bytes, start + HEAD.length);
    if (at < 0 || !isAt(view, at, EVENT_ID)) return -1;
    at = this.#scanId(bytes, at + EVENT_ID.length);
    if (at < 0 || !isAt(view, at, EVENT_TIME)) return -1;
    at = endOfJsonValue(bytes, at + EVENT_TIME.length);
    if (at < 0) return -1;
    const template = this.#templateAt(view, at);
    if (template === undefined) return -1;
    at += template.head.length;
    const { fields } = template;
    for (let index = 0; index < fields.length; index += 1) {
      const key = fields[index] as Expected;
      if (!isAt(view, at, key)) return -1;
      at = endOfJsonValue(bytes, at + key.length);
      if (at < 0) return -1;
    }
    if (bytes[at] === COMMA) at = endOfExtras(bytes, view, at, template.extras);
    return at >= 0 && bytes[at] === CLOSE_BRACE && bytes[at + 1] === NEWLINE ? at + 2 : -1;
  }

  #templateAt(view: DataView, at: number): Template | undefined {
    if (this.#last !== undefined && isAt(view, at, this.#last.head)) return this.#last;
    for (const template of this.#inOrder) {
      if (!isAt(view, at, template.head)) continue;
      this.#last = template;
      return template;
    }
    return undefined;
  }

  #scanTime(bytes: Uint8Array, start: number): number {
    let value = 0;
    let at = start;
    for (; isDigit(bytes[at]); at += 1) value = value * 10 + ((bytes[at] as number) - ZERO);
    const digits = at - start;
    if (digits === 0 || digits > MOST_SECOND_DIGITS || (digits > 1 && bytes[start] === ZERO) || bytes[at] !== DOT)
      return -1;
    const end = at + 1 + DECIMALS;
    for (at += 1; at < end; at += 1) {
      if (!isDigit(bytes[at])) return -1;
      value = value * 10 + ((bytes[at] as number) - ZERO);
    }
    this.timeUs = value;
    return at;
  }

  #scanId(bytes: Uint8Array, start: number): number {
    const isNegative = bytes[start] === MINUS;
    const first = isNegative ? start + 1 : start;
    let value = 0;
    let at = first;
    for (; isDigit(bytes[at]); at += 1) value = value * 10 + ((bytes[at] as number) - ZERO);
    const digits = at - first;
    if (digits === 0 || digits > MOST_ID_DIGITS || (bytes[first] === ZERO && (digits > 1 || isNegative))) return -1;
    const id = isNegative ? -value : value;
    this.block = Math.floor(id / 1_024);
    this.bit = id - this.block * 1_024;
    return at;
  }
}

function endOfExtras(bytes: Uint8Array, view: DataView, start: number, extras: readonly Expected[]): number {
  let at = start;
  for (let met = 0; bytes[at] === COMMA; ) {
    let index = 0;
    while (index < extras.length && !isAt(view, at, extras[index] as Expected)) index += 1;
    const mask = 1 << index;
    if (index === extras.length || (met & mask) !== 0) return -1;
    met |= mask;
    at = endOfJsonValue(bytes, at + (extras[index] as Expected).length);
    if (at < 0) return -1;
  }
  return at;
}

function isAt(view: DataView, at: number, { length, words }: Expected): boolean {
  if (at + length > view.byteLength) return false;
  const last = words.length - 1;
  for (let index = 0; index < last; index += 1) {
    if (view.getInt32(at + index * WORD_BYTES, true) !== words[index]) return false;
  }
  return view.getInt32(at + length - WORD_BYTES, true) === words[last];
}

/** The same bytes, for `scan`. */
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= ZERO + 9;
