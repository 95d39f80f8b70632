// The careful look at a line: what is wrong with it, at which byte, and what can still be known of its event. Slow, and
// in need of memory; for the lines that the quick look (scan-line.ts) did not accept.

import { isUtf8 } from 'node:buffer';
import { findEventType } from '../../event/catalog.ts';
import { jsonString } from '../../event/json-string.ts';
import { objectMembers } from '../../event/json-text.ts';
import { placeOf } from '../../lib/id-bitmap.ts';
import { behindBlanks, endOfJsonValue } from '../../lib/json-bytes.ts';
import { many } from '../../lib/quantity.ts';
import type { Fault } from './faults.ts';

const CARRIAGE_RETURN = 0x0d;
const HEAD_KEYS = ['time_written_to_logfile', 'event_id', 'event_time', 'event_type'];
const HEAD = /^\{"time_written_to_logfile":[\d.]+,"event_id":(-?\d{1,19}),/;
const HEAD_BYTES = 96;
const TIME = /^(0|[1-9]\d{0,10})\.(\d{6})$/;
const ID = /^(?:0|-?[1-9]\d{0,18})$/;

/** What tells an event and its place in time. */
export interface LineFacts {
  readonly timeUs: number;
  /** `event_id >> 10`, and the rest of it. */
  readonly block: number;
  readonly bit: number;
}

export interface Inspected {
  /** The first one; null: the line is good. */
  readonly fault: Fault | null;
  /** null: it does not say, or cannot be read. */
  readonly facts: LineFacts | null;
  /** As far as it can be read. */
  readonly eventId: string | null;
  /** Of a good line: what the quick look may learn from it. */
  readonly keys: {
    readonly type: string;
    readonly fields: readonly string[];
    readonly extras: readonly string[];
  } | null;
}

/** Looks at a line, without its line feed. */
export function inspectLine(line: Buffer): Inspected {
  if (line.length === 0) return damaged(line, { kind: 'empty_line', column: null, message: 'empty line' });
  const zeros = leadingZeros(line);
  if (zeros > 0) {
    const fault: Fault = { kind: 'nul_bytes', column: 1, message: `${many(zeros, 'NUL byte')} before the line` };
    return { ...inspectLine(line.subarray(zeros)), fault, keys: null };
  }
  if (!isUtf8(line)) {
    const column = firstNotUtf8(line) + 1;
    const fault: Fault = { kind: 'not_utf8', column, message: 'a byte that is no UTF-8' };
    // JSON is read all the same, so that the event is not held for missing.
    return { ...inspectLine(Buffer.from(line.toString())), fault, keys: null };
  }
  if (line.at(-1) === CARRIAGE_RETURN) {
    const fault: Fault = {
      kind: 'carriage_return',
      column: line.length,
      message: 'the line ends with a carriage return',
    };
    return { ...inspectLine(line.subarray(0, -1)), fault, keys: null };
  }
  const text = line.toString();
  const value = parse(text);
  if (value === undefined) return damaged(line, syntaxFault(line));
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return damaged(line, { kind: 'not_an_object', column: 1, message: 'the line is JSON, but no object' });
  }
  return inspectObject(text, line);
}

function inspectObject(text: string, line: Buffer): Inspected {
  const members = objectMembers(text);
  const values = new Map(members);
  const type = typeOf(values.get('event_type'));
  const fields = findEventType(type ?? '')?.fields ?? [];
  const expected = [...HEAD_KEYS, ...fields];
  const facts = factsOf(values);
  const columns = columnsOf(members);
  const fault =
    memberFault(members, columns, expected) ?? valueFault(values, columns) ?? formFault(members, text, line);
  const extras = members.slice(expected.length).map(([key]) => key);
  const eventId = values.get('event_id') ?? null;
  const keys = fault === null ? { type: values.get('event_type') ?? 'null', fields, extras } : null;
  return { fault, facts, eventId: eventId !== null && ID.test(eventId) ? eventId : null, keys };
}

type Members = readonly (readonly [key: string, value: string])[];

/** Where each member begins, if there is nothing between them. */
function columnsOf(members: Members): readonly number[] {
  let column = 2;
  return members.map(([key, value]) => {
    const own = column;
    column += Buffer.byteLength(jsonString(key)) + 1 + Buffer.byteLength(value) + 1;
    return own;
  });
}

function memberFault(members: Members, columns: readonly number[], expected: readonly string[]): Fault | null {
  const keys = members.map(([key]) => key);
  const seen = new Set<string>();
  for (const [index, key] of keys.entries()) {
    if (seen.has(key))
      return { kind: 'key_twice', column: columns[index] ?? null, message: `the key ${key} stands twice` };
    seen.add(key);
  }
  for (const [index, key] of expected.entries()) {
    if (keys[index] === key) continue;
    const column = columns[index] ?? null;
    const place = index === 0 ? 'first' : `behind ${expected[index - 1]}`;
    if (!seen.has(key))
      return { kind: 'key_missing', column, message: `the key ${key} is missing; it belongs ${place}` };
    return { kind: 'key_order', column, message: `${keys[index] ?? 'nothing'} stands where ${key} belongs, ${place}` };
  }
  return null;
}

function valueFault(values: ReadonlyMap<string, string>, columns: readonly number[]): Fault | null {
  const time = values.get('time_written_to_logfile') ?? '';
  const id = values.get('event_id') ?? '';
  const type = values.get('event_type') ?? '';
  const fault = (index: number, key: string, expected: string, found: string): Fault => ({
    kind: 'bad_value',
    column: columns[index] ?? null,
    message: `${key} is ${excerpt(found)}, and not ${expected}`,
  });
  if (!TIME.test(time)) return fault(0, 'time_written_to_logfile', 'seconds with six decimals', time);
  if (!isId(id)) return fault(1, 'event_id', 'a bigint', id);
  if (!type.startsWith('"') && type !== 'null') return fault(3, 'event_type', 'a string', type);
  return null;
}

/** Nothing stands between the members of a line, and no key is written in another way than we would. */
function formFault(members: Members, text: string, line: Buffer): Fault | null {
  const ours = `{${members.map(([key, value]) => `${jsonString(key)}:${value}`).join(',')}}`;
  if (ours === text) return null;
  const expected = Buffer.from(ours);
  const at = expected.findIndex((byte, index) => byte !== line[index]);
  return {
    kind: 'not_compact',
    column: (at < 0 ? expected.length : at) + 1,
    message: 'white space or an escape that tailrace does not write',
  };
}

function syntaxFault(line: Buffer): Fault {
  const end = endOfJsonValue(line, behindBlanks(line, 0));
  const at = end < 0 ? ~end : behindBlanks(line, end);
  if (line.includes(0)) {
    const column = line.indexOf(0) + 1;
    return { kind: 'nul_bytes', column, message: 'NUL bytes within the line' };
  }
  if (at >= line.length)
    return {
      kind: 'cut_line',
      column: line.length + 1,
      message: `the line ends within its JSON, after ${many(line.length, 'byte')}`,
    };
  const what = end < 0 ? 'no JSON from here on' : 'something stands behind the object';
  return { kind: 'not_json', column: at + 1, message: `${what}: ${excerpt(line.toString('utf8', at, at + 40))}` };
}

function damaged(line: Buffer, fault: Fault): Inspected {
  const eventId = HEAD.exec(line.toString('latin1', 0, HEAD_BYTES))?.[1] ?? null;
  return { fault, facts: null, eventId, keys: null };
}

function factsOf(values: ReadonlyMap<string, string>): LineFacts | null {
  const time = TIME.exec(values.get('time_written_to_logfile') ?? '');
  const id = values.get('event_id') ?? '';
  if (time === null || !isId(id)) return null;
  return { timeUs: Number(time[1]) * 1_000_000 + Number(time[2]), ...placeOf(BigInt(id)) };
}

const isId = (text: string): boolean => ID.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text);

const typeOf = (json: string | undefined): string | null =>
  json?.startsWith('"') ? (JSON.parse(json) as string) : null;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function leadingZeros(line: Buffer): number {
  let at = 0;
  while (line[at] === 0) at += 1;
  return at;
}

/** The decoder puts U+FFFD where it fails: the first byte that differs is at fault. */
function firstNotUtf8(line: Buffer): number {
  const decoded = Buffer.from(line.toString());
  let at = 0;
  while (at < line.length && decoded[at] === line[at]) at += 1;
  return at;
}

const excerpt = (text: string): string =>
  text.length > 40 ? `${JSON.stringify(text.slice(0, 40))}…` : JSON.stringify(text);
