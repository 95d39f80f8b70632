// The body of a POST: one event as a JSON object or as form parameters, under the queue's column names. Which columns
// these are, and where their values stand in the row, is worked out once per row shape and event type.

import type { HttpPostConfig } from '../config/config.ts';
import { type EventType, findEventType } from '../event/catalog.ts';
import type { QueuedEvent, RowShape, ValueKind } from '../event/event.ts';
import { type Form, formOf, JsonWriter, keyOf } from '../event/json-writer.ts';
import { ColumnPlaces } from '../event/row-bytes.ts';

export interface HttpBodyOptions extends Pick<HttpPostConfig, 'format' | 'columns'> {
  /** Text columns written as an object when their text is a JSON object; JSON bodies only. */
  readonly expandJsonColumns: readonly string[];
}

/** Gives the body of an event. */
export type HttpBodyBuilder = (event: QueuedEvent) => Buffer;

/** One column of the body, ready to be written. */
interface Step {
  /** `,"name":` or `&name=`. */
  readonly key: Buffer;
  /** What stands there when the column is empty: nothing for a column that does not belong to the event's type. */
  readonly empty: Buffer;
  /** Index of the column; -1 when the table lacks it. */
  readonly at: number;
  readonly form: Form;
  readonly kind: ValueKind;
}

interface Plan {
  readonly steps: readonly Step[];
  readonly places: ColumnPlaces;
}

/** The queue's own columns, which say nothing about the event (SPEC 6). */
const OF_THE_QUEUE = new Set(['destination_id', 'processed']);

/** Stand first where only applicable columns are sent, in the order of a log line (SPEC 4). */
const HEAD = ['id', 'event_time', 'event_type'];

const CLOSE = 0x7d;
const NOTHING = Buffer.alloc(0);
const INITIAL_BYTES = 16 * 1024;
/** Room that one huge event has asked for is not kept. */
const KEPT_BYTES = 1024 * 1024;

/** Creates the body builder of one destination, for the rows of any shape. */
export function createHttpBodyBuilder(options: HttpBodyOptions): HttpBodyBuilder {
  const plansByShape = new WeakMap<RowShape, Map<EventType | undefined, Plan>>();
  const planOf = ({ shape, eventType }: QueuedEvent): Plan => {
    const plans = plansByShape.get(shape) ?? new Map<EventType | undefined, Plan>();
    if (plans.size === 0) plansByShape.set(shape, plans);
    // All unknown types share a plan, so that rows cannot make the map grow.
    const type = options.columns === 'all' ? undefined : findEventType(eventType ?? '');
    const plan = plans.get(type) ?? createPlan(shape, type?.fields ?? [], options);
    plans.set(type, plan);
    return plan;
  };
  const isJson = options.format === 'json';
  let out = new JsonWriter(INITIAL_BYTES);

  return (event) => {
    const { steps, places } = planOf(event);
    const { row } = event;
    places.read(row, event.at);
    if (out.bytes.length > KEPT_BYTES) out = new JsonWriter(INITIAL_BYTES);
    out.length = 0;
    for (const { key, empty, at, form, kind } of steps) {
      if (at < 0 || (places.starts[at] as number) < 0) {
        out.raw(empty);
        continue;
      }
      out.raw(key);
      if (isJson) out.column(row, places, at, form);
      else out.ascii(formValue(row.toString('utf8', places.starts[at], places.ends[at]), kind));
    }
    if (isJson) out.byte(CLOSE);
    return Buffer.from(out.bytes.subarray(0, out.length));
  };
}

function createPlan(shape: RowShape, fields: readonly string[], options: HttpBodyOptions): Plan {
  const names = shape.columns.map(({ name }) => name).filter((name) => !OF_THE_QUEUE.has(name));
  const all = options.columns === 'all';
  const always = all ? names : [...HEAD, ...fields];
  const ifPresent = all ? [] : names.filter((name) => !always.includes(name));
  const step = (name: string, order: number): Step => {
    const at = shape.indexOf.get(name) ?? -1;
    const kind = shape.columns[at]?.kind ?? 'text';
    const isJson = options.format === 'json';
    const key = isJson
      ? keyOf(name, order === 0 ? '{' : ',')
      : Buffer.from(`${order === 0 ? '' : '&'}${formEncode(name)}=`);
    const empty = isJson ? Buffer.concat([key, Buffer.from('null')]) : key;
    const form = formOf(kind, options.expandJsonColumns.includes(name));
    return { key, empty: order < always.length ? empty : NOTHING, at, form, kind };
  };
  return {
    steps: [...always, ...ifPresent].map(step),
    places: new ColumnPlaces(shape.columns.length),
  };
}
function formValue(text: string, kind: ValueKind): string {
  if (kind === 'boolean') return text === 't' ? '1' : '0';
  return formEncode(text);
}

/** What the form serialiser leaves as it is: https://url.spec.whatwg.org/#application-x-www-form-urlencoded-percent-encode-set */
const NEEDS_ENCODING = /[^A-Za-z0-9*\-._]/;

function formEncode(text: string): string {
  return NEEDS_ENCODING.test(text) ? new URLSearchParams([['', text]]).toString().slice(1) : text;
}
