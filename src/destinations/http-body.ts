// The body of a POST: one event as a JSON object or as form parameters, under the queue's column names. Which columns
// these are, and where their values stand in the row, is worked out once per row shape and event type.

import type { HttpPostConfig } from '../config/config.ts';
import { type EventType, findEventType } from '../event/catalog.ts';
import type { QueuedEvent, RawValue, RowShape, ValueKind } from '../event/event.ts';
import { jsonString, jsonValue } from '../event/json-value.ts';

export interface HttpBodyOptions extends Pick<HttpPostConfig, 'format' | 'columns'> {
  /** Text columns written as an object when their text is a JSON object; JSON bodies only. */
  readonly expandJsonColumns: readonly string[];
}

/** Gives the body of an event. */
export type HttpBodyBuilder = (event: QueuedEvent) => string;

/** One column of the body, ready to be written. */
interface Step {
  /** `,"name":` or `&name=`. */
  readonly prefix: string;
  /** What stands there when the column is empty: nothing for a column that does not belong to the event's type. */
  readonly empty: string;
  /** Index into the row's values; -1 when the table lacks the column. */
  readonly at: number;
  readonly write: (raw: string) => string;
}

interface Plan {
  readonly steps: readonly Step[];
  /**
   * What stands for a run of empty columns, from the step of the first index up to that of the second: most columns of
   * most events are empty, and one long piece is written faster than many short ones. Filled as runs are met.
   */
  readonly emptyRuns: (string | undefined)[][];
}

/** The queue's own columns, which say nothing about the event (SPEC 6). */
const OF_THE_QUEUE = new Set(['destination_id', 'processed']);

/** Stand first where only applicable columns are sent, in the order of a log line (SPEC 4). */
const HEAD = ['id', 'event_time', 'event_type'];

/** Creates the body builder of one destination, for the rows of any shape. */
export function createHttpBodyBuilder(options: HttpBodyOptions): HttpBodyBuilder {
  const plansByShape = new WeakMap<RowShape, Map<EventType | undefined, Plan>>();
  const planOf = ({ shape, values }: QueuedEvent): Plan => {
    const plans = plansByShape.get(shape) ?? new Map<EventType | undefined, Plan>();
    if (plans.size === 0) plansByShape.set(shape, plans);
    // All unknown types share a plan, so that rows cannot make the map grow.
    const type = options.columns === 'all' ? undefined : findEventType(values[shape.eventTypeAt] ?? '');
    const plan = plans.get(type) ?? createPlan(shape, type?.fields ?? [], options);
    plans.set(type, plan);
    return plan;
  };
  const close = options.format === 'json' ? '}' : '';

  return (event) => {
    const plan = planOf(event);
    let body = '';
    let order = 0;
    let emptyFrom = 0;
    for (const { prefix, at, write } of plan.steps) {
      const raw: RawValue = at < 0 ? null : (event.values[at] ?? null);
      if (raw !== null) {
        if (emptyFrom < order) body += emptyRun(plan, emptyFrom, order);
        body += prefix + write(raw);
        emptyFrom = order + 1;
      }
      order += 1;
    }
    return body + emptyRun(plan, emptyFrom, plan.steps.length) + close;
  };
}

function emptyRun({ steps, emptyRuns }: Plan, from: number, to: number): string {
  emptyRuns[from] ??= [];
  const runs = emptyRuns[from];
  runs[to] ??= steps
    .slice(from, to)
    .map(({ empty }) => empty)
    .join('');
  return runs[to];
}

function createPlan(shape: RowShape, fields: readonly string[], options: HttpBodyOptions): Plan {
  const names = shape.columns.map(({ name }) => name).filter((name) => !OF_THE_QUEUE.has(name));
  const all = options.columns === 'all';
  const always = all ? names : [...HEAD, ...fields];
  const ifPresent = all ? [] : names.filter((name) => !always.includes(name));
  const step = (name: string, order: number): Step => {
    const at = shape.indexOf.get(name) ?? -1;
    const kind = shape.columns[at]?.kind ?? 'text';
    const expand = kind === 'text' && options.expandJsonColumns.includes(name);
    const isJson = options.format === 'json';
    const prefix = isJson
      ? `${order === 0 ? '{' : ','}${jsonString(name)}:`
      : `${order === 0 ? '' : '&'}${formEncode(name)}=`;
    const empty = isJson ? `${prefix}null` : prefix;
    return { prefix, empty: order < always.length ? empty : '', at, write: isJson ? json(kind, expand) : form(kind) };
  };
  return { steps: [...always, ...ifPresent].map(step), emptyRuns: [] };
}

function json(kind: ValueKind, expand: boolean): Step['write'] {
  return kind === 'text' && !expand ? jsonString : (raw) => jsonValue(raw, kind, expand);
}

function form(kind: ValueKind): Step['write'] {
  return kind === 'boolean' ? (raw) => (raw === 't' ? '1' : '0') : formEncode;
}

/** What the form serialiser leaves as it is: https://url.spec.whatwg.org/#application-x-www-form-urlencoded-percent-encode-set */
const NEEDS_ENCODING = /[^A-Za-z0-9*\-._]/;

function formEncode(text: string): string {
  return NEEDS_ENCODING.test(text) ? new URLSearchParams([['', text]]).toString().slice(1) : text;
}
