// The fields of one event, found among the bytes of its line without parsing it: where each value stands, and how it is
// to be written. Reads what almost all events are made of and leaves every other event to the normalizer: bad ones, so
// that there is one place that words a message, and those with something odd. What it reads it reads just as that does.

import { QUEUE_COLUMNS } from '../event/queue-columns.ts';
import { isStudioId } from '../event/recording-switches.ts';
import { type FieldKind, type FieldReader, fieldKind, maxCharacters } from './field-value.ts';
import { addToHash, createNameTable, EMPTY_HASH, standsAt } from './name-table.ts';
import { createColumnReader, type NormalizeOptions } from './normalize.ts';
import {
  BACKSLASH,
  behindBlanks,
  behindContainer,
  behindWord,
  CLOSE_BRACE,
  COLON,
  COMMA,
  ESCAPED,
  EXPONENT,
  endOf,
  FRACTION,
  flagsOf,
  LINE_FEED,
  MAX_BYTES,
  NOT_PLAIN,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  readNumber,
  readString,
  UNICODE_ESCAPED,
  WIDE,
} from './plain-json.ts';
import type { TableColumn } from './queue-table.ts';

/** How a field is written. */
export const ABSENT = 0;
/** It is there, and null. */
export const NULL = 1;
/** The bytes as they stand: nothing in them is special to JSON or to COPY. */
export const AS_IT_STANDS = 2;
/** The content of a JSON string with escapes, none of them by number. */
export const STRING_WITH_ESCAPES = 3;
/** JSON text. */
export const JSON_TEXT = 4;
/** The bytes, all ASCII, in lower case. */
export const LOWERED = 5;
/** Not the bytes but the text that was made of them, or the default. */
export const TEXT = 6;
/** The table has no column for it. */
const NOT_STORED = 7;

const CARRIAGE_RETURN = 0x0d;
const ONE = 0x31;
const N = 0x6e;
/** An integer of so many digits has less than 32 bits. */
const SAFE_DIGITS = 9;
const DIGITS: ReadonlyMap<string, number> = new Map([
  ['smallint', 4],
  ['integer', SAFE_DIGITS],
  ['bigint', 18],
]);
/** A number without exponent of at most so many characters is finite. */
const FINITE_CHARACTERS = 300;

/** A name that events may have, and what is known about its column. */
interface Slot {
  readonly at: number;
  readonly name: string;
  /** Its name. */
  readonly bytes: Uint8Array;
  /** What stood behind it the last time; null: nobody knows. */
  next: Slot | null;
  /** `missing`: the table lacks the column. `given`: it is not for events to say. */
  readonly kind: FieldKind | 'missing' | 'given';
  /** A text of so many bytes fits for sure, an integer of so many characters. */
  readonly fits: number;
  /** A longer value is not plain. */
  readonly mostBytes: number;
  readonly isStudioId: boolean;
  /** Its reader does more than its type asks for. */
  readonly isSpecial: boolean;
  readonly read: FieldReader;
}

export interface PlainFields {
  /** Of each column, in the order of the table. */
  readonly how: Uint8Array;
  readonly from: Int32Array;
  readonly to: Int32Array;
  /** Where `how` is `TEXT`. */
  readonly texts: string[];
  /** Columns of the catalog that an event had a value for and that the table lacks. */
  readonly missingColumns: ReadonlySet<string>;
  /** The event that was read last has a Studio id. */
  readonly ofStudio: boolean;
  /**
   * Finds the fields of an event.
   *
   * @param bytes UTF-8.
   * @param end where its line feed stands.
   * @returns false: it is not plain.
   */
  read(bytes: Buffer, start: number, end: number): boolean;
}

/** Creates the reader of fields for one table. */
export function createPlainFields(columns: readonly TableColumn[], options: NormalizeOptions): PlainFields {
  const slots = slotsOf(columns, options);
  const names = createNameTable(
    // A name that JSON escapes is not plain.
    new Map(slots.flatMap((slot) => (JSON.stringify(slot.name) === `"${slot.name}"` ? [[slot.name, slot]] : []))),
  );
  const how = new Uint8Array(slots.length);
  const from = new Int32Array(slots.length);
  const to = new Int32Array(slots.length);
  const texts = slots.map(() => '');
  const missingColumns = new Set<string>();
  let ofStudio = false;
  let lacksColumns = false;
  /** What comes before the first field. */
  const beginning: Pick<Slot, 'next'> = { next: null };
  let last = beginning;

  const keep = ({ at, mostBytes }: Slot, as: number, start: number, end: number): boolean => {
    how[at] = as;
    from[at] = start;
    to[at] = end;
    return end - start <= mostBytes;
  };

  /** As the normalizer reads it. */
  const keepRead = ({ at, read, mostBytes }: Slot, bytes: Buffer, start: number, end: number): boolean => {
    try {
      texts[at] = read(bytes.toString('utf8', start, end));
    } catch {
      return false; // the normalizer says what is wrong
    }
    how[at] = TEXT;
    return end - start <= mostBytes;
  };

  /** @param start where its first quote is. @param close where its last one is. */
  const keepString = (slot: Slot, bytes: Buffer, start: number, close: number, flags: number): boolean => {
    const isOrdinary = (flags & (WIDE | UNICODE_ESCAPED)) === 0 || !slot.isSpecial;
    if (slot.kind === 'json' && isOrdinary) return keep(slot, JSON_TEXT, start, close + 1);
    if (slot.kind === 'text' && isOrdinary && (flags & UNICODE_ESCAPED) === 0 && close - start - 1 <= slot.fits) {
      return keep(slot, (flags & ESCAPED) === 0 ? AS_IT_STANDS : STRING_WITH_ESCAPES, start + 1, close);
    }
    return keepRead(slot, bytes, start, close + 1);
  };

  const keepNumber = (slot: Slot, bytes: Buffer, start: number, end: number, flags: number): boolean => {
    const length = end - start;
    const isOrdinary =
      slot.kind === 'integer'
        ? (flags & (FRACTION | EXPONENT)) === 0 &&
          (length <= slot.fits || (slot.fits === SAFE_DIGITS && isTime(bytes, start, length)))
        : slot.kind === 'number'
          ? (flags & EXPONENT) === 0 && length <= FINITE_CHARACTERS
          : slot.kind === 'json' || (slot.kind === 'text' && length <= slot.fits);
    return isOrdinary ? keep(slot, AS_IT_STANDS, start, end) : keepRead(slot, bytes, start, end);
  };

  const keepContainer = (slot: Slot, bytes: Buffer, start: number, end: number): boolean => {
    const isObject = bytes[start] === OPEN_BRACE;
    const isOrdinary = slot.kind === 'json' || (slot.kind === 'text' && isObject && end - start <= slot.fits);
    return isOrdinary && !slot.isSpecial ? keep(slot, JSON_TEXT, start, end) : keepRead(slot, bytes, start, end);
  };

  /** Reads the value of a field. @returns the index behind it. */
  const readValue = (slot: Slot, bytes: Buffer, start: number): number => {
    const first = bytes[start] ?? LINE_FEED;
    if (first === N) {
      how[slot.at] = NULL;
      return behindWord(bytes, start);
    }
    ofStudio ||= slot.isStudioId;
    const isStored = slot.kind !== 'missing';
    if (slot.kind === 'given') return NOT_PLAIN;
    if (!isStored) {
      how[slot.at] = NOT_STORED;
      lacksColumns = true;
    }
    if (first === QUOTE) {
      const string = readString(bytes, start + 1);
      const close = endOf(string);
      const isGood = string >= 0 && (!isStored || keepString(slot, bytes, start, close, flagsOf(string)));
      return isGood ? close + 1 : NOT_PLAIN;
    }
    if (first === OPEN_BRACE || first === OPEN_BRACKET) {
      const end = behindContainer(bytes, start);
      return end >= 0 && (!isStored || keepContainer(slot, bytes, start, end)) ? end : NOT_PLAIN;
    }
    if (first >= 0x61) {
      const end = behindWord(bytes, start);
      if (end < 0 || !isStored) return end;
      const isKept =
        (slot.kind === 'boolean' || slot.kind === 'json') && !slot.isSpecial
          ? keep(slot, AS_IT_STANDS, start, end)
          : keepRead(slot, bytes, start, end);
      return isKept ? end : NOT_PLAIN;
    }
    const number = readNumber(bytes, start);
    const end = endOf(number);
    return number >= 0 && (!isStored || keepNumber(slot, bytes, start, end, flagsOf(number))) ? end : NOT_PLAIN;
  };

  /** @param close where the last quote of its name is. @returns the index behind its value. */
  const readMember = (slot: Slot, bytes: Buffer, close: number): number => {
    if (how[slot.at] !== ABSENT) return NOT_PLAIN; // it stands twice
    last = slot;
    const at = behindBlanks(bytes, close + 1);
    return bytes[at] === COLON ? readValue(slot, bytes, behindBlanks(bytes, at + 1)) : NOT_PLAIN;
  };

  /** Reads a field. @param start where its name begins. @returns the index behind its value. */
  const readField = (bytes: Buffer, start: number): number => {
    if (bytes[start] !== QUOTE) return NOT_PLAIN;
    // Events of a type have their fields in one order, mostly.
    const guess = last.next;
    if (guess !== null) {
      const close = start + 1 + guess.bytes.length;
      if (bytes[close] === QUOTE && standsAt(guess.bytes, bytes, start + 1)) return readMember(guess, bytes, close);
    }
    let hash = EMPTY_HASH;
    let at = start + 1;
    for (let byte = bytes[at] ?? LINE_FEED; byte !== QUOTE; byte = bytes[at] ?? LINE_FEED) {
      if (byte === BACKSLASH || byte < 0x20) return NOT_PLAIN;
      hash = addToHash(hash, byte);
      at += 1;
    }
    const slot = names.find(bytes, start + 1, at, hash);
    if (slot === undefined) return NOT_PLAIN;
    last.next = slot;
    return readMember(slot, bytes, at);
  };

  return {
    how,
    from,
    to,
    texts,
    missingColumns,
    get ofStudio() {
      return ofStudio;
    },

    read(bytes, start, end) {
      how.fill(ABSENT);
      ofStudio = false;
      lacksColumns = false;
      last = beginning;
      let at = behindBlanks(bytes, start);
      if (bytes[at] !== OPEN_BRACE) return false;
      do {
        at = readField(bytes, behindBlanks(bytes, at + 1));
        if (at < 0) return false;
        at = behindBlanks(bytes, at);
      } while (bytes[at] === COMMA);
      if (bytes[at] !== CLOSE_BRACE) return false;
      at = behindBlanks(bytes, at + 1);
      if (bytes[at] === CARRIAGE_RETURN) at += 1;
      if (at !== end) return false;
      if (lacksColumns) for (const slot of slots) if (how[slot.at] === NOT_STORED) missingColumns.add(slot.name);
      return true;
    },
  };
}

/** Ten digits from 1000000000 on, which fit as far as 1999999999: a time of these years. */
function isTime(bytes: Buffer, start: number, length: number): boolean {
  return length === SAFE_DIGITS + 1 && bytes[start] === ONE;
}

function slotsOf(columns: readonly TableColumn[], { bounceTextBytes }: NormalizeOptions): Slot[] {
  const stored = new Set(columns.map(({ name }) => name));
  const lacking = QUEUE_COLUMNS.filter(({ name }) => name !== 'id' && !stored.has(name));
  return [...columns, ...lacking].map(({ name, type }, at) => {
    return {
      at,
      name,
      bytes: Buffer.from(name),
      next: null,
      kind: !stored.has(name) ? 'missing' : name === 'id' ? 'given' : fieldKind(type),
      fits: DIGITS.get(type) ?? Math.min(maxCharacters(type), MAX_BYTES),
      mostBytes: name === 'bounce_text' ? bounceTextBytes : MAX_BYTES,
      isStudioId: isStudioId(name),
      isSpecial: name === 'message' || name === 'is_retry',
      read: createColumnReader({ name, type }),
    };
  });
}
