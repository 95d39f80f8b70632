// The line of one event in the log file (SPEC 4): one JSON object and a line feed, written from the row's bytes. What the
// keys of a type are, and where their values stand in the row, is worked out once per type and row shape.

import { EVENT_TYPES, findEventType } from './catalog.ts';
import type { QueuedEvent, RowShape } from './event.ts';
import { type Form, formOf, JsonWriter, keyOf } from './json-writer.ts';
import { ColumnPlaces } from './row-bytes.ts';

/** One key of the line, ready to be written. */
interface Step {
  /** `,"key":` */
  readonly key: Buffer;
  /** `,"key":null`, or nothing when the key is left out of the line while its column is empty. */
  readonly empty: Buffer;
  /** Index of the column; -1 when the table lacks it. */
  readonly at: number;
  readonly form: Form;
}

type Plan = readonly Step[];

/** Columns that the line does not repeat (SPEC 4), and the keys that head it under names of their own. */
const NOT_REPEATED = new Set([
  'id',
  'destination_id',
  'processed',
  'time_written_to_logfile',
  'event_id',
  'event_time',
  'event_type',
]);

const NULL = Buffer.from('null');
const NOTHING = Buffer.alloc(0);
const END = Buffer.from('}\n');
const ZERO = 0x30;

export interface LogLineOptions {
  /** Text columns written as an object when their text is a JSON object. */
  readonly expandJsonColumns: readonly string[];
}

/** Writes the line of an event; `timeUs` is the time written to the log file in microseconds since the epoch. */
export type LogLineBuilder = (out: JsonWriter, event: QueuedEvent, timeUs: number) => void;

/** Creates the line builder for the rows of one shape. The plans are made here, one per type and one for all unknown types. */
export function createLineBuilder(shape: RowShape, options: LogLineOptions): LogLineBuilder {
  const expanded = new Set(options.expandJsonColumns);
  const unknownPlan = createPlan(shape, [], expanded);
  const plans = new Map(EVENT_TYPES.map((type) => [type.name, createPlan(shape, type.fields, expanded)]));
  const planOf = (type: string | null): Plan => {
    if (type === null) return unknownPlan;
    return plans.get(type) ?? plans.get(findEventType(type)?.name ?? '') ?? unknownPlan;
  };
  const places = new ColumnPlaces(shape.columns.length);
  const { idAt, eventTimeAt, eventTypeAt } = shape;
  const idKey = keyOf('event_id');
  const timeKey = keyOf('event_time');
  const typeKey = keyOf('event_type');
  const timeForm = formOf(shape.columns[eventTimeAt]?.kind ?? 'integer', false);
  const writeStamp = createStampWriter();

  return (out, event, timeUs) => {
    const { row } = event;
    const { starts } = places;
    places.read(row, event.at);
    writeStamp(out, timeUs);
    out.raw(idKey);
    out.column(row, places, idAt, 'digits');
    out.raw(timeKey);
    if (eventTimeAt < 0 || (starts[eventTimeAt] as number) < 0) out.raw(NULL);
    else out.column(row, places, eventTimeAt, timeForm);
    out.raw(typeKey);
    if ((starts[eventTypeAt] as number) < 0) out.raw(NULL);
    else out.column(row, places, eventTypeAt, 'string');
    for (const { key, empty, at, form } of planOf(event.eventType)) {
      if (at < 0 || (starts[at] as number) < 0) {
        out.raw(empty);
        continue;
      }
      out.raw(key);
      out.column(row, places, at, form);
    }
    out.raw(END);
  };
}

/** The type's fields in catalog order, null where empty; then the row's other columns in table order, left out where empty. */
function createPlan(shape: RowShape, fields: readonly string[], expanded: ReadonlySet<string>): Plan {
  const step = (name: string, isField: boolean): Step => {
    const at = shape.indexOf.get(name) ?? -1;
    const key = keyOf(name);
    const empty = isField ? Buffer.concat([key, NULL]) : NOTHING;
    return { key, empty, at, form: formOf(shape.columns[at]?.kind ?? 'text', expanded.has(name)) };
  };
  const others = shape.columns.filter(({ name }) => !fields.includes(name) && !NOT_REPEATED.has(name));
  return [...fields.map((name) => step(name, true)), ...others.map(({ name }) => step(name, false))];
}

/** Writes microseconds as seconds with six decimals. Thousands of lines share their second: its text is made once. */
function createStampWriter(): (out: JsonWriter, timeUs: number) => void {
  let second = Number.NaN;
  let start = NOTHING;
  const micros = Buffer.alloc(6);
  return (out, timeUs) => {
    const whole = Math.floor(timeUs / 1e6);
    if (whole !== second) {
      second = whole;
      start = Buffer.from(`{"time_written_to_logfile":${whole}.`);
    }
    let rest = timeUs - whole * 1e6;
    for (let digit = 5; digit >= 0; digit -= 1) {
      micros[digit] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    out.raw(start);
    out.raw(micros);
  };
}

/** The line of an event as text, for what looks at one by itself. */
export function lineOf(build: LogLineBuilder, event: QueuedEvent, timeUs: number): string {
  const out = new JsonWriter(event.bytes * 2 + 1_024);
  build(out, event, timeUs);
  return out.bytes.toString('utf8', 0, out.length);
}
