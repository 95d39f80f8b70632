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
  /** Index of the column; -1 when the table lacks it. */
  readonly at: number;
  readonly form: Form;
  readonly kind: ValueKind;
}

interface Plan {
  readonly steps: readonly Step[];
  /** What stands for empty columns, of all steps in order: most columns of most events are empty, and a run of them is copied as one. */
  readonly empties: Buffer;
  /** Where the piece of each step begins in it, and where the last one ends. */
  readonly emptyAt: readonly number[];
  readonly places: ColumnPlaces;
}

/** The queue's own columns, which say nothing about the event (SPEC 6). */
const OF_THE_QUEUE = new Set(['destination_id', 'processed']);

/** Stand first where only applicable columns are sent, in the order of a log line (SPEC 4). */
const HEAD = ['id', 'event_time', 'event_type'];

const CLOSE = 0x7d;
const NULL = Buffer.from('null');
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
    const { steps, empties, emptyAt, places } = planOf(event);
    const { row } = event;
    places.read(row, event.at);
    if (out.bytes.length > KEPT_BYTES) out = new JsonWriter(INITIAL_BYTES);
    out.length = 0;
    let emptyFrom = 0;
    let order = 0;
    for (const { key, at, form, kind } of steps) {
      if (at >= 0 && (places.starts[at] as number) >= 0) {
        out.copy(empties, emptyAt[emptyFrom], emptyAt[order]);
        emptyFrom = order + 1;
        out.raw(key);
        if (isJson) out.column(row, places, at, form);
        else out.ascii(formValue(row.toString('utf8', places.starts[at], places.ends[at]), kind));
      }
      order += 1;
    }
    out.copy(empties, emptyAt[emptyFrom], emptyAt[order]);
    if (isJson) out.byte(CLOSE);
    return Buffer.from(out.bytes.subarray(0, out.length));
  };
}

function createPlan(shape: RowShape, fields: readonly string[], options: HttpBodyOptions): Plan {
  const names = shape.columns.map(({ name }) => name).filter((name) => !OF_THE_QUEUE.has(name));
  const all = options.columns === 'all';
  const always = all ? names : [...HEAD, ...fields];
  const ifPresent = all ? [] : names.filter((name) => !always.includes(name));
  const isJson = options.format === 'json';
  const keys = [...always, ...ifPresent].map((name, order) =>
    isJson ? keyOf(name, order === 0 ? '{' : ',') : Buffer.from(`${order === 0 ? '' : '&'}${formEncode(name)}=`),
  );
  const steps = [...always, ...ifPresent].map((name, order): Step => {
    const at = shape.indexOf.get(name) ?? -1;
    const kind = shape.columns[at]?.kind ?? 'text';
    const form = formOf(kind, options.expandJsonColumns.includes(name));
    return { key: keys[order] ?? NOTHING, at, form, kind };
  });
  // Nothing for a column that does not belong to the event's type.
  const pieces = keys.map((key, order) =>
    order < always.length ? Buffer.concat([key, isJson ? NULL : NOTHING]) : NOTHING,
  );
  const emptyAt = [0];
  for (const { length } of pieces) emptyAt.push((emptyAt.at(-1) ?? 0) + length);
  return { steps, empties: Buffer.concat(pieces), emptyAt, places: new ColumnPlaces(shape.columns.length) };
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
