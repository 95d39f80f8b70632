// The way back: an event made from its line in the log file, or from a JSON object that somebody wrote. Undoes what
// log-line.ts and json-writer.ts did, digit for digit, so that the line of the event that comes out is the line that went in.

import {
  type Column,
  createEvent,
  createRowShape,
  type QueuedEvent,
  type RawValue,
  type RowShape,
  type ValueKind,
} from './event.ts';
import { objectMembers } from './json-text.ts';
import { QUEUE_COLUMNS, type QueueColumn } from './queue-columns.ts';

/** An event that was read back. */
export interface LineEvent {
  readonly event: QueuedEvent;
  /** Digits of `time_written_to_logfile`, seconds since the epoch; null where the object bears none. */
  readonly writtenAt: string | null;
  /** false: the object bears no id, and 0 stands in for it. */
  readonly hasId: boolean;
}

/** What is wrong with a line, for a sentence behind its place: `it is not JSON: …`. */
export interface LineProblem {
  readonly problem: string;
}

/** Reads one line, with or without its line feed. */
export type LineReader = (line: string) => LineEvent | LineProblem;

/** Keys of a line that are no column of the event's row. */
const NO_COLUMNS = new Set(['time_written_to_logfile', 'event_id', 'id', 'destination_id', 'processed']);
/** What only the lines of the delivery log have, all together. */
const ATTEMPT = ['time', 'event_id', 'destination', 'attempt', 'outcome'];
const INTEGER = /^-?\d+$/;
const SPECIAL_DOUBLES = new Set(['NaN', 'Infinity', '-Infinity']);
/** Most shapes that are kept: each line that differs from the table in its own way has one. */
const MAX_SHAPES = 500;

/** The columns of the table that `tailrace init` makes, as a row has them. */
export const OWN_COLUMNS: readonly Column[] = QUEUE_COLUMNS.filter(({ name }) => name !== 'destination_id').map(
  ({ name, type }) => ({ name, kind: kindOf(type) }),
);

/**
 * Creates the reader of lines.
 *
 * @param columns those of the table that the events stood in, where it is known: their order is that of a request's body. A
 * line's own keys are added to them, and a value that is not of its column's kind keeps the kind that it has in the line.
 */
export function createLineReader(columns: readonly Column[] = OWN_COLUMNS): LineReader {
  const base = createRowShape(columns);
  const shapes = new Map<string, RowShape>();
  const shapeWith = (changes: readonly Column[]): RowShape => {
    if (changes.length === 0) return base;
    const key = JSON.stringify(changes);
    const known = shapes.get(key);
    if (known) return known;
    if (shapes.size >= MAX_SHAPES) shapes.clear();
    const changed = new Map([...columns, ...changes].map((column) => [column.name, column]));
    const made = createRowShape([...changed.values()]);
    shapes.set(key, made);
    return made;
  };

  return (line) => {
    const parsed = parse(line);
    if ('problem' in parsed) return parsed;
    const { object } = parsed;
    const texts = new Map<string, string>();
    for (const [key, text] of objectMembers(line)) {
      if (texts.has(key)) return { problem: `the key ${JSON.stringify(key)} stands in it twice` };
      texts.set(key, text);
    }
    const problem = headProblem(object, texts);
    if (problem !== null) return { problem };
    const id = texts.get('event_id') ?? texts.get('id') ?? '0';
    const row = new Map<string, RawValue>([['id', id]]);
    const changes: Column[] = [];
    for (const [name, text] of texts) {
      const value = object[name];
      if (NO_COLUMNS.has(name) || value === null) continue;
      row.set(name, rawOf(value, text));
      const column = base.columns[base.indexOf.get(name) ?? -1];
      const kind = kindIn(value, text, column?.kind);
      if (kind !== column?.kind) changes.push({ name, kind });
    }
    return {
      event: eventFromRow(shapeWith(changes), row),
      writtenAt: texts.get('time_written_to_logfile') ?? null,
      hasId: texts.has('event_id') || texts.has('id'),
    };
  };
}

/**
 * Makes an event from texts as PostgreSQL writes them: the one place here that knows how an event holds its values.
 *
 * @param row by column name, `id` among them; a column that it lacks is null.
 */
export function eventFromRow(shape: RowShape, row: ReadonlyMap<string, RawValue>): QueuedEvent {
  return createEvent(
    shape,
    shape.columns.map(({ name }) => (name === 'id' ? (row.get('id') ?? '0') : (row.get(name) ?? null))),
  );
}

type JsonObject = Readonly<Record<string, unknown>>;

function parse(line: string): { readonly object: JsonObject } | LineProblem {
  if (line.trim() === '') return { problem: 'it is empty' };
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return { problem: `it is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { object: value as JsonObject };
  return { problem: `it is ${Array.isArray(value) ? 'an array' : JSON.stringify(value).slice(0, 40)}, not an object` };
}

/** What is wrong with the keys that make an object an event. */
function headProblem(object: JsonObject, texts: ReadonlyMap<string, string>): string | null {
  const type = object.event_type;
  if (ATTEMPT.every((key) => texts.has(key))) return 'it is a line of the delivery log, which holds no whole events';
  if (!texts.has('event_type')) return 'it has no event_type, so it is no event';
  if (type !== null && typeof type !== 'string') return `its event_type is ${texts.get('event_type')}, not a string`;
  for (const key of ['event_id', 'id']) {
    const id = texts.get(key);
    if (id !== undefined && !isBigint(id)) return `its ${key} is ${id.slice(0, 40)}, not a whole number of 64 bits`;
  }
  const [eventId, id] = [texts.get('event_id'), texts.get('id')];
  if (eventId !== undefined && id !== undefined && eventId !== id) {
    return `its event_id is ${eventId} and its id is ${id}: the two are one thing`;
  }
  const written = texts.get('time_written_to_logfile');
  if (written === undefined || typeof object.time_written_to_logfile === 'number') return null;
  return `its time_written_to_logfile is ${written.slice(0, 40)}, not a number of seconds`;
}

function isBigint(text: string): boolean {
  return INTEGER.test(text) && text.length <= 20 && BigInt.asIntN(64, BigInt(text)) === BigInt(text);
}

/** PostgreSQL's text of a value; an object or array is the JSON text that it was expanded from. */
function rawOf(value: unknown, text: string): string {
  if (typeof value === 'string') return value;
  return typeof value === 'boolean' ? (value ? 't' : 'f') : text;
}

/** The kind that writes a value as it stands in the line: the column's own where that does. */
function kindIn(value: unknown, text: string, kind: ValueKind | undefined): ValueKind {
  if (typeof value === 'boolean') return 'boolean';
  if (typeof value === 'number') return kind !== 'double' && INTEGER.test(text) ? 'integer' : 'double';
  return kind === 'double' && SPECIAL_DOUBLES.has(String(value)) ? 'double' : 'text';
}

function kindOf(type: QueueColumn['type']): ValueKind {
  if (type === 'integer' || type === 'bigint') return 'integer';
  if (type === 'double precision') return 'double';
  return type === 'boolean' ? 'boolean' : 'text';
}
