// The quick way of an event into the queue: from the bytes of its line to the bytes of its row, with nothing in between
// that a garbage collector would have to look at. For events that are plain, as almost all are; the others take the
// careful way, normalizer and `CopyWriter.encode`, and would come out of it the same.

import { EVENT_TYPES } from '../event/catalog.ts';
import { type CopyRow, type CopyWriter, copyText, MAX_BYTES_PER_UNIT, NULL_TEXT } from './copy-rows.ts';
import type { LineRecord } from './input-record.ts';
import { addToHash, createNameTable, EMPTY_HASH } from './name-table.ts';
import { BOUNCE_TYPES, createDefaults, type NormalizeOptions } from './normalize.ts';
import {
  ABSENT,
  AS_IT_STANDS,
  createPlainFields,
  JSON_TEXT,
  LOWERED,
  NULL,
  STRING_WITH_ESCAPES,
  TEXT,
} from './plain-fields.ts';
import { BACKSLASH, LINE_FEED, MAX_BYTES } from './plain-json.ts';
import type { TableColumn } from './queue-table.ts';

const TAB = 0x09;
const LETTER_T = 0x74;
/** Escapes of JSON that COPY has not, and what they mean. */
const MEANINGS = new Map(['""', '//', 'b\b', 'f\f'].map((pair) => [pair.charCodeAt(0), pair.charCodeAt(1)]));
/** From here on one call that copies is faster than a loop (Node 20). */
const LONG_BYTES = 40;
/** More columns with a default than that, and no event is plain: which of them it names is kept in one number. */
const MAX_DEFAULTED = 50;

export interface PlainRow {
  /** Current name of its type. */
  readonly type: string;
  readonly ofStudio: boolean;
  readonly row: CopyRow;
}

/** Columns that are named together. */
interface Combination {
  readonly names: readonly string[];
  /** Their places in the table. */
  readonly order: Int32Array;
}

export interface PlainRows {
  /** Columns of the catalog that an event had a value for and that the table lacks. */
  readonly missingColumns: ReadonlySet<string>;
  /** Makes the row of an event; null: it is not plain. */
  read(record: LineRecord): PlainRow | null;
}

export interface PlainRowsOptions extends NormalizeOptions {
  /** A hard bounce brings another row with it: bounces are not plain. */
  readonly derivesBadAddress: boolean;
}

/** Creates the quick way into one table. */
export function createPlainRows(
  columns: readonly TableColumn[],
  writer: CopyWriter,
  options: PlainRowsOptions,
): PlainRows {
  const fields = createPlainFields(columns, options);
  const { how, from, to, texts } = fields;
  const places: ReadonlyMap<string, number> = new Map(columns.map(({ name }, at) => [name, at]));
  const types = createNameTable(
    new Map(
      EVENT_TYPES.flatMap(({ name, formerNames }) =>
        [name, ...formerNames].map((each) => [each, { name, isFormer: each !== name }]),
      ),
    ),
  );
  const typeAt = places.get('event_type') ?? 0;
  const loweredAt = ['listid', 'sendid'].flatMap((name) => places.get(name) ?? []);
  const defaults = [...createDefaults(options)].flatMap(([name, value]) => {
    const at = places.get(name);
    return at === undefined ? [] : [{ at, value }];
  });
  const defaultedAt = columns.flatMap(({ hasDefault }, at) => (hasDefault ? [at] : []));
  const combinations = new Map<number, Combination>();

  const combinationOf = (): Combination => {
    let key = 0;
    for (const at of defaultedAt) key = key * 2 + (isStored(how[at] ?? ABSENT) ? 1 : 0);
    const known = combinations.get(key);
    if (known !== undefined) return known;
    const names = writer.namesOf((name) => isStored(how[places.get(name) ?? 0] ?? ABSENT));
    const made = { names, order: Int32Array.from(names, (name) => places.get(name) ?? 0) };
    combinations.set(key, made);
    return made;
  };

  /** The type of the event, put under its current name; undefined: not a known one, as it is written in the catalog. */
  const readType = (bytes: Buffer): string | undefined => {
    if (how[typeAt] !== AS_IT_STANDS) return undefined;
    const [start, end] = [from[typeAt] ?? 0, to[typeAt] ?? 0];
    let hash = EMPTY_HASH;
    for (let at = start; at < end; at += 1) hash = addToHash(hash, bytes[at] ?? 0);
    const type = types.find(bytes, start, end, hash);
    if (type?.isFormer) {
      how[typeAt] = TEXT;
      texts[typeAt] = type.name;
    }
    return type?.name;
  };

  /** @returns false: they cannot be lowered byte by byte. */
  const lower = (bytes: Buffer): boolean => {
    for (const at of loweredAt) {
      if (!isStored(how[at] ?? ABSENT)) continue;
      if (how[at] !== AS_IT_STANDS) return false;
      const end = to[at] ?? 0;
      for (let place = from[at] ?? 0; place < end; place += 1) if ((bytes[place] ?? 0) >= 0x80) return false;
      how[at] = LOWERED;
    }
    return true;
  };

  /** Writes the row into a page that has room for it. */
  const write = (bytes: Buffer, order: Int32Array, page: Buffer, start: number): number => {
    let at = start;
    for (let place = 0; place < order.length; place += 1) {
      const column = order[place] ?? 0;
      const first = from[column] ?? 0;
      const end = to[column] ?? 0;
      switch (how[column]) {
        case AS_IT_STANDS:
          at = copyBytes(bytes, first, end, page, at);
          break;
        case STRING_WITH_ESCAPES:
          at = copyString(bytes, first, end, page, at);
          break;
        case JSON_TEXT:
          at = copyJson(bytes, first, end, page, at);
          break;
        case LOWERED:
          at = copyLowered(bytes, first, end, page, at);
          break;
        case TEXT:
          at = writeText(texts[column] ?? '', page, at);
          break;
        default:
          page[at++] = NULL_BYTES[0];
          page[at++] = NULL_BYTES[1];
      }
      page[at++] = TAB;
    }
    page[at - 1] = LINE_FEED;
    return at;
  };

  return {
    missingColumns: fields.missingColumns,

    read({ bytes, start, end }) {
      if (bytes.length > MAX_BYTES || defaultedAt.length > MAX_DEFAULTED || !fields.read(bytes, start, end))
        return null;
      const { ofStudio } = fields;
      const type = readType(bytes);
      if (type === undefined || (options.derivesBadAddress && type === 'bounce_all')) return null;
      if (BOUNCE_TYPES.has(type) && !lower(bytes)) return null;
      for (const { at, value } of defaults) {
        if (isStored(how[at] ?? ABSENT)) continue;
        how[at] = TEXT;
        texts[at] = value();
      }
      const { names, order } = combinationOf();
      let mostBytes = (end - start) * 2 + (order.length + 1) * MAX_BYTES_PER_UNIT;
      for (const column of order) {
        if (how[column] === TEXT) mostBytes += (texts[column]?.length ?? 0) * MAX_BYTES_PER_UNIT;
      }
      const row = writer.add(names, mostBytes, (page, at) => write(bytes, order, page, at));
      return { type, ofStudio, row };
    },
  };
}

const NULL_BYTES: readonly [number, number] = [NULL_TEXT.charCodeAt(0), NULL_TEXT.charCodeAt(1)];

function isStored(how: number): boolean {
  return how !== ABSENT && how !== NULL;
}

/** A short text of ordinary characters is written quicker one by one than by a call. */
function writeText(text: string, page: Buffer, to: number): number {
  if (text.length >= LONG_BYTES) return to + page.write(copyText(text), to);
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    if (unit < 0x20 || unit >= 0x7f || unit === BACKSLASH) return to + page.write(copyText(text), to);
    page[to + at] = unit;
  }
  return to + text.length;
}

function copyLowered(bytes: Buffer, start: number, end: number, page: Buffer, to: number): number {
  let at = to;
  for (let place = start; place < end; place += 1) {
    const byte = bytes[place] ?? 0;
    page[at++] = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
  }
  return at;
}

/** @returns where the page goes on. */
function copyBytes(bytes: Buffer, start: number, end: number, page: Buffer, to: number): number {
  if (end - start >= LONG_BYTES) return to + bytes.copy(page, to, start, end);
  let at = to;
  for (let place = start; place < end; place += 1) page[at++] = bytes[place] ?? 0;
  return at;
}

/** The content of a JSON string for COPY: escapes that mean the same in both stay, of the others their meaning does. */
function copyString(bytes: Buffer, start: number, end: number, page: Buffer, to: number): number {
  let at = to;
  for (let place = start; place < end; place += 1) {
    const byte = bytes[place] ?? 0;
    if (byte !== BACKSLASH) {
      page[at++] = byte;
      continue;
    }
    place += 1;
    const letter = bytes[place] ?? 0;
    const meaning = MEANINGS.get(letter);
    if (meaning === undefined) page[at++] = BACKSLASH;
    page[at++] = meaning ?? letter;
  }
  return at;
}

/** JSON text for COPY, in which no line ends: what is special to COPY is escaped. */
function copyJson(bytes: Buffer, start: number, end: number, page: Buffer, to: number): number {
  let at = to;
  for (let place = start; place < end; place += 1) {
    const byte = bytes[place] ?? 0;
    if (byte === BACKSLASH || byte === TAB) page[at++] = BACKSLASH;
    page[at++] = byte === TAB ? LETTER_T : byte;
  }
  return at;
}
