// One event as its producer wrote it, made into one row of the queue table: fields checked against the columns, texts
// made storable, what is missing filled in (SPEC 7). A bad event is a value, not an exception.

import { didYouMean } from '../config/suggest.ts';
import { findEventType } from '../event/catalog.ts';
import { jsonString } from '../event/json-string.ts';
import { objectMembers } from '../event/json-text.ts';
import { QUEUE_COLUMNS } from '../event/queue-columns.ts';
import { isStudioId } from '../event/recording-switches.ts';
import { messageOf } from '../lib/errors.ts';
import { createRandomHex } from '../lib/random-hex.ts';
import { bounceText } from './bounce-text.ts';
import { createFieldReader, FieldError, type FieldReader, quoted } from './field-value.ts';
import type { TableColumn } from './queue-table.ts';

export interface NormalizeOptions {
  /** What `server_id` becomes in an event that has none. */
  readonly serverId: string;
  /** `store_bounce_details_length`. */
  readonly bounceTextBytes: number;
}

export type Normalized =
  /** `ofStudio`: it carries a Studio id, so that Studio's switch counts for the types that both make. */
  | { readonly ok: true; readonly row: Row; readonly ofStudio: boolean }
  /** One line: `bounce_code: expected integer, got "x"`; and the same, field by field. */
  | { readonly ok: false; readonly error: string; readonly problems: readonly FieldProblem[] };

/** What is wrong with one field, or, when `field` is null, with the event as a whole. */
export interface FieldProblem {
  readonly field: string | null;
  /** `expected integer, got "x"`. */
  readonly message: string;
}

/** Column → PostgreSQL's text for it; only columns that are not null. */
export type Row = ReadonlyMap<string, string>;

export interface Normalizer {
  /** @param json the event as JSON text. */
  normalize(json: string): Normalized;
  /** Columns of the catalog that an event had a value for and that the table lacks: their values are not stored. */
  readonly missingColumns: ReadonlySet<string>;
}

interface ColumnReader {
  /** The one string for this name: rows that have it for a key are read by comparing pointers. */
  readonly name: string;
  readonly read: FieldReader;
}

/** Columns that an event may name though the table lacks them. */
export const KNOWN_COLUMNS: ReadonlySet<string> = new Set(QUEUE_COLUMNS.map(({ name }) => name));
const ID_GIVEN = 'is given by the queue table; leave it out';
/** Types whose list and send are identified in lower case (seed 003). */
export const BOUNCE_TYPES = new Set(['bounce_all', 'bounce_bad_address']);

/** Creates the normalizer for one table. */
export function createNormalizer(columns: readonly TableColumn[], options: NormalizeOptions): Normalizer {
  const readers: ReadonlyMap<string, ColumnReader> = new Map(
    columns.map((column) => [column.name, { name: column.name, read: createColumnReader(column) }]),
  );
  const names = columns.map(({ name }) => name);
  const missingColumns = new Set<string>();
  const defaults = createDefaults(options);

  const readField = (row: Map<string, string>, name: string, json: string): void => {
    const column = readers.get(name);
    if (column) row.set(column.name, column.read(json));
    else if (name === 'id') throw new FieldError(ID_GIVEN);
    else if (KNOWN_COLUMNS.has(name)) missingColumns.add(name);
    else throw new FieldError(`unknown field${didYouMean(name, names)}`);
  };

  return {
    missingColumns,

    normalize(json) {
      const members = membersOf(json);
      if (typeof members === 'string') return notGood([{ field: null, message: members }]);
      const row = new Map<string, string>();
      const problems: FieldProblem[] = [];
      let isTyped = false;
      let ofStudio = false;
      for (const [name, value] of members) {
        if (value === 'null') continue;
        isTyped ||= name === 'event_type';
        ofStudio ||= isStudioId(name);
        try {
          readField(row, name, value);
        } catch (error) {
          if (!(error instanceof FieldError)) throw error;
          problems.push({ field: name, message: error.message });
        }
      }
      if (!isTyped) problems.unshift({ field: 'event_type', message: 'missing' });
      if (problems.length > 0) return notGood(problems);

      applyRules(row, options.bounceTextBytes);
      for (const [name, value] of defaults) {
        if (!row.has(name) && readers.has(name)) row.set(name, value());
      }
      return { ok: true, row, ofStudio };
    },
  };
}

function notGood(problems: readonly FieldProblem[]): Normalized {
  const lines = problems.map(({ field, message }) => (field === null ? message : `${printable(field)}: ${message}`));
  return { ok: false, error: lines.join('; '), problems };
}

/** The event's fields as JSON text, each once. A string says what is wrong. */
function membersOf(json: string): Iterable<[name: string, json: string]> | string {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    return `not valid JSON: ${messageOf(error)}`;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'expected an object';
  const members = objectMembers(json);
  // Of a field that stands twice the last one counts, as everywhere in JSON.
  return Object.keys(value).length === members.length ? members : new Map(members);
}

/** What recording changes in an event (SPEC 7). */
function applyRules(row: Map<string, string>, bounceTextBytes: number): void {
  const change = (name: string, by: (text: string) => string): void => {
    const text = row.get(name);
    if (text !== undefined) row.set(name, by(text));
  };
  change('event_type', (name) => findEventType(name)?.name ?? name);
  change('bounce_text', (text) => bounceText(text, bounceTextBytes));
  if (!BOUNCE_TYPES.has(row.get('event_type') ?? '')) return;
  change('listid', (id) => id.toLowerCase());
  change('sendid', (id) => id.toLowerCase());
}

/** What an event gets that has no such field, each value asked for only when it is needed. */
export function createDefaults({ serverId }: NormalizeOptions): ReadonlyMap<string, () => string> {
  return new Map([
    ['event_time', () => String(Math.floor(Date.now() / 1000))],
    ['event_unique_id', createRandomHex(32)],
    ['server_id', () => serverId],
    ['destination_id', () => '1'],
  ]);
}

/** Chooses how a field is read: by its column's type, and by what is special about that column. */
export function createColumnReader({ name, type }: TableColumn): FieldReader {
  const read = createFieldReader(type);
  switch (name) {
    case 'id':
      return () => {
        throw new FieldError(ID_GIVEN);
      };
    case 'event_type':
      return (json) => {
        if (!isName(json)) throw new FieldError(`expected a name, got ${quoted(json)}`);
        return read(json);
      };
    case 'is_retry':
      return (json) => read(json === 'true' ? '1' : json === 'false' ? '0' : json);
    case 'message':
      // Bytes that were not UTF-8 are U+FFFD by now, or were when the producer wrote them as an escape. jsonb, and so the
      // SQL functions, cannot tell the two.
      return (json) => read(withoutReplacements(json));
    default:
      return read;
  }
}

/** A string's JSON without U+FFFD, however that is spelt. */
function withoutReplacements(json: string): string {
  const plain = json.includes('\ufffd') ? json.replaceAll('\ufffd', '') : json;
  if (!/^".*\\ufffd/is.test(plain)) return plain;
  // Pairs of backslashes are passed over: `\\ufffd` is a backslash and five letters.
  return plain.replace(/\\(?:ufffd|.)/gis, (spelt) => (spelt.length === 6 ? '' : spelt));
}

/** A JSON string with something to see in it. */
function isName(json: string): boolean {
  return json.startsWith('"') && (/^"\w/.test(json) || /\S/.test(JSON.parse(json) as string));
}

/** A field name for a message: quoted when it is anything but a plain word. */
function printable(name: string): string {
  return /^\w{1,100}$/.test(name) ? name : jsonString(name.slice(0, 100));
}
