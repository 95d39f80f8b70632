// The line of one event in the log file (SPEC 4): one JSON object and a line feed, built from raw text values. What the
// keys of a type are, and where their values stand in the row, is worked out once per type and row shape.

import { EVENT_TYPES, findEventType } from './catalog.ts';
import type { Column, QueuedEvent, RowShape } from './event.ts';
import { jsonString, jsonValue } from './json-value.ts';

/** One key of the line, ready to be written. */
interface Step {
  /** `,"key":` */
  readonly prefix: string;
  /** `,"key":null`, or nothing when the key is left out of the line while its column is empty. */
  readonly empty: string;
  /** Index into the row's values; -1 when the table lacks the column. */
  readonly at: number;
  readonly kind: Column['kind'];
  readonly expand: boolean;
  /** A text that is always written as a string: most columns, spared the questions of jsonValue. */
  readonly plain: boolean;
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

export interface LogLineOptions {
  /** Text columns written as an object when their text is a JSON object. */
  readonly expandJsonColumns: readonly string[];
}

/** Gives the line of an event; `timeUs` is the time written to the log file in microseconds since the epoch. */
export type LogLineBuilder = (event: QueuedEvent, timeUs: number | bigint) => string;

/** Creates the line builder for the rows of one shape. The plans are made here, one per type and one for all unknown types. */
export function createLineBuilder(shape: RowShape, options: LogLineOptions): LogLineBuilder {
  const expanded = new Set(options.expandJsonColumns);
  const unknownPlan = createPlan(shape, [], expanded);
  const plans = new Map(EVENT_TYPES.map((type) => [type.name, createPlan(shape, type.fields, expanded)]));
  const planOf = (type: string | null): Plan => {
    if (type === null) return unknownPlan;
    return plans.get(type) ?? plans.get(findEventType(type)?.name ?? '') ?? unknownPlan;
  };
  const { eventTimeAt, eventTypeAt } = shape;
  const eventTimeKind = shape.columns[eventTimeAt]?.kind ?? 'integer';

  return ({ id, values }, timeUs) => {
    const type = values[eventTypeAt] ?? null;
    let line = `{"time_written_to_logfile":${seconds(timeUs)},"event_id":${id}`;
    line += `,"event_time":${jsonValue(values[eventTimeAt] ?? null, eventTimeKind, false)}`;
    line += `,"event_type":${type === null ? 'null' : jsonString(type)}`;
    for (const step of planOf(type)) {
      const raw = step.at < 0 ? null : (values[step.at] ?? null);
      if (raw === null) line += step.empty;
      else if (step.plain) line += step.prefix + jsonString(raw);
      else line += step.prefix + jsonValue(raw, step.kind, step.expand);
    }
    return `${line}}\n`;
  };
}

/** The type's fields in catalog order, null where empty; then the row's other columns in table order, left out where empty. */
function createPlan(shape: RowShape, fields: readonly string[], expanded: ReadonlySet<string>): Plan {
  const step = (name: string, isField: boolean): Step => {
    const at = shape.indexOf.get(name) ?? -1;
    const prefix = `,${jsonString(name)}:`;
    const kind = shape.columns[at]?.kind ?? 'text';
    const expand = kind === 'text' && expanded.has(name);
    return { prefix, empty: isField ? `${prefix}null` : '', at, kind, expand, plain: kind === 'text' && !expand };
  };
  const others = shape.columns.filter(({ name }) => !fields.includes(name) && !NOT_REPEATED.has(name));
  return [...fields.map((name) => step(name, true)), ...others.map(({ name }) => step(name, false))];
}

/** Microseconds as seconds with six decimals; both halves are integers, so nothing is rounded. */
function seconds(timeUs: number | bigint): string {
  const us = Number(timeUs);
  const whole = Math.floor(us / 1e6);
  return `${whole}.${String(us - whole * 1e6).padStart(6, '0')}`;
}
