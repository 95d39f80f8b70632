// The quick look at a line: one pass over its bytes along the keys that its type must have, no string and no object
// made. What it accepts is good; what it does not accept is looked at carefully (inspect-line.ts), which also teaches it
// the keys of types and tables that the catalog does not know.

import { EVENT_TYPES } from '../../event/catalog.ts';
import { jsonString } from '../../event/json-value.ts';
import { endOfJsonValue } from '../../lib/json-bytes.ts';

const NEWLINE = 0x0a;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const CLOSE_BRACE = 0x7d;

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
const HEAD = bytesOf('{"time_written_to_logfile":');
const EVENT_ID = bytesOf(',"event_id":');
const EVENT_TIME = bytesOf(',"event_time":');
const EVENT_TYPE = bytesOf(',"event_type":');

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
  /** The type as it is written, quotes included. */
  readonly type: Uint8Array;
  /** `,"key":` of each field, in order. */
  readonly fields: readonly Uint8Array[];
  /** `,"key":` of each other column that was seen. */
  readonly extras: Uint8Array[];
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
    const keyOf = (key: string): Uint8Array => bytesOf(`,${jsonString(key)}:`);
    let template = this.#templates.get(type);
    if (template === undefined) {
      if (this.#templates.size >= MOST_TEMPLATES) return;
      template = { type: bytesOf(type), fields: fields.map(keyOf), extras: [] };
      this.#templates.set(type, template);
      this.#inOrder = [...this.#templates.values()];
    }
    for (const key of extras.map(keyOf)) {
      const isKnown = template.extras.some((each) => Buffer.compare(each, key) === 0);
      if (!isKnown && template.extras.length < MOST_EXTRAS) template.extras.push(key);
    }
  }

  /**
   * Looks at the line at `at`.
   *
   * @param bytes valid UTF-8 that ends with a line feed.
   * @returns the offset behind its line feed; -1: it needs a careful look.
   */
  scan(bytes: Uint8Array, start: number): number {
    if (!isAt(bytes, start, HEAD)) return -1;
    let at = this.#scanTime(bytes, start + HEAD.length);
    if (at < 0 || !isAt(bytes, at, EVENT_ID)) return -1;
    at = this.#scanId(bytes, at + EVENT_ID.length);
    if (at < 0 || !isAt(bytes, at, EVENT_TIME)) return -1;
    at = endOfJsonValue(bytes, at + EVENT_TIME.length);
    if (at < 0 || !isAt(bytes, at, EVENT_TYPE)) return -1;
    at += EVENT_TYPE.length;
    const template = this.#templateAt(bytes, at);
    if (template === undefined) return -1;
    at += template.type.length;
    const { fields } = template;
    for (let index = 0; index < fields.length; index += 1) {
      const key = fields[index] as Uint8Array;
      if (!isAt(bytes, at, key)) return -1;
      at = endOfJsonValue(bytes, at + key.length);
      if (at < 0) return -1;
    }
    if (bytes[at] === COMMA) at = endOfExtras(bytes, at, template.extras);
    return at >= 0 && bytes[at] === CLOSE_BRACE && bytes[at + 1] === NEWLINE ? at + 2 : -1;
  }

  #templateAt(bytes: Uint8Array, at: number): Template | undefined {
    if (this.#last !== undefined && isAt(bytes, at, this.#last.type)) return this.#last;
    for (const template of this.#inOrder) {
      if (!isAt(bytes, at, template.type)) continue;
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

function endOfExtras(bytes: Uint8Array, start: number, extras: readonly Uint8Array[]): number {
  let at = start;
  for (let met = 0; bytes[at] === COMMA; ) {
    let index = 0;
    while (index < extras.length && !isAt(bytes, at, extras[index] as Uint8Array)) index += 1;
    const mask = 1 << index;
    if (index === extras.length || (met & mask) !== 0) return -1;
    met |= mask;
    at = endOfJsonValue(bytes, at + (extras[index] as Uint8Array).length);
    if (at < 0) return -1;
  }
  return at;
}

function isAt(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let index = 0; index < expected.length; index += 1) if (bytes[at + index] !== expected[index]) return false;
  return true;
}

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= ZERO + 9;
