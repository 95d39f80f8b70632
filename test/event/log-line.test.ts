import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/event/catalog.ts';
import {
  type Column,
  createEvent,
  createRowShape,
  type QueuedEvent,
  type RawValue,
  type ValueKind,
} from '../../src/event/event.ts';
import { objectMembers } from '../../src/event/json-text.ts';
import { createLineBuilder, lineOf as textOf } from '../../src/event/log-line.ts';
import { QUEUE_COLUMNS } from '../../src/event/queue-columns.ts';

const TIME_US = 1_795_298_400_123_456;
const OPTIONS = { expandJsonColumns: ['headers'] };

const COLUMNS: readonly Column[] = [
  ...QUEUE_COLUMNS.map(({ name, type }) => ({ name, kind: kindOf(type) })),
  ...[
    { name: 'processed', kind: 'boolean' as const },
    { name: 'their "own"\ncolumn', kind: 'text' as const },
    { name: '__proto__', kind: 'text' as const },
  ],
];

function kindOf(type: string): ValueKind {
  if (type === 'integer' || type === 'bigint') return 'integer';
  if (type === 'double precision') return 'double';
  return type === 'boolean' ? 'boolean' : 'text';
}

function eventOf(row: Readonly<Record<string, RawValue>>, columns: readonly Column[] = COLUMNS): QueuedEvent {
  const values = columns.map(({ name }) =>
    Object.hasOwn(row, name) ? (row[name] ?? null) : name === 'id' ? '1' : null,
  );
  return createEvent(createRowShape(columns), values);
}

function lineOf(row: Readonly<Record<string, RawValue>>, columns?: readonly Column[]): string {
  const event = eventOf(row, columns);
  return textOf(createLineBuilder(event.shape, OPTIONS), event, TIME_US);
}

const keysOf = (line: string) => objectMembers(line).map(([key]) => key);

test('a line begins with the four keys that every line has', () => {
  const line = lineOf({ id: '42', event_type: 'scomp', event_time: '1317305252' });
  expect(line).toMatch(
    /^\{"time_written_to_logfile":1795298400\.123456,"event_id":42,"event_time":1317305252,"event_type":"scomp",/,
  );
  expect(line.endsWith('}\n')).toBe(true);
});

test.each(EVENT_TYPES)('$name has all its fields in catalog order, null where empty', ({ name, fields }) => {
  const line = lineOf({ event_type: name });
  expect(keysOf(line).slice(4)).toEqual(fields);
  expect(
    objectMembers(line)
      .slice(4)
      .map(([, value]) => value),
  ).toEqual(fields.map(() => 'null'));
});

test('a column outside of the type follows in table order when it has a value', () => {
  const line = lineOf({
    event_type: 'studio_unsub',
    user_agent: 'x',
    true_event_id: '9',
    destination_id: '1',
    processed: 'f',
  });
  expect(keysOf(line).slice(-2)).toEqual(['user_agent', 'true_event_id']);
});

test('a field that the table lacks is null', () => {
  const columns = COLUMNS.filter(({ name }) => name !== 'mailclass' && name !== 'event_time');
  expect(lineOf({ event_type: 'scomp' }, columns)).toContain('"event_time":null,"event_type":"scomp"');
  expect(lineOf({ event_type: 'scomp' }, columns)).toContain('"mailclass":null');
});

test('a former name stands as it is, with the fields of the current one', () => {
  const line = lineOf({ event_type: 'hook_stat' });
  expect(line).toContain('"event_type":"hook_stat"');
  expect(keysOf(line)).toEqual(keysOf(lineOf({ event_type: 'bounce_all' })));
  expect(keysOf(lineOf({ event_type: 'HOOK_Stat' }))).toEqual(keysOf(line));
});

test('an unknown type, or none, is written with all its values', () => {
  expect(lineOf({ id: '7', event_type: 'toString', event_time: '5', email: 'a@example.com' })).toBe(
    '{"time_written_to_logfile":1795298400.123456,"event_id":7,"event_time":5,"event_type":"toString","email":"a@example.com"}\n',
  );
  expect(lineOf({ event_type: null, click_url: 'u' })).toContain('"event_type":null,"click_url":"u"}');
});

test('the time written keeps its six decimals', () => {
  const event = eventOf({ event_type: null });
  const build = createLineBuilder(event.shape, OPTIONS);
  const timeOf = (us: number) => objectMembers(textOf(build, event, us))[0]?.[1];
  expect([
    timeOf(1_795_298_400_000_000),
    timeOf(1_795_298_400_999_999),
    timeOf(9_007_199_254_740_991),
    timeOf(7),
  ]).toEqual(['1795298400.000000', '1795298400.999999', '9007199254.740991', '0.000007']);
});

const texts = fc.oneof(
  fc.string(),
  // PostgreSQL's text has no lone surrogates.
  fc.string({ unit: 'binary' }).map((text) => text.toWellFormed()),
  fc.constantFrom('', '{}', '{"a": 1e400}', '[1]', '\u2028\r\n'),
);
const rawOf: Record<ValueKind, fc.Arbitrary<string>> = {
  integer: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  double: fc.oneof(fc.double({ noNaN: false }).map(String), fc.constantFrom('NaN', '-Infinity', '1e-07')),
  boolean: fc.constantFrom('t', 'f'),
  text: texts,
};
const types = fc.oneof(
  fc.constantFrom(...EVENT_TYPES.flatMap(({ name, formerNames }) => [name, ...formerNames])),
  texts,
  fc.constant(null),
);
const rows = fc.record({
  values: fc.tuple(...COLUMNS.map(({ kind }) => fc.option(rawOf[kind], { freq: 2 }))),
  id: rawOf.integer,
  type: types,
});

test('every line holds exactly what its row holds', () => {
  const shape = createRowShape(COLUMNS);
  const build = createLineBuilder(shape, OPTIONS);
  fc.assert(
    fc.property(rows, fc.nat(), ({ values, id, type }, us) => {
      const row = values.map((value, at) => (at === shape.idAt ? id : at === shape.eventTypeAt ? type : value));
      const line = textOf(build, createEvent(shape, row), us);
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(line).not.toContain('\r');
      JSON.parse(line);
      expect(objectMembers(line)).toEqual(expectedMembers(row, id, type, us));
    }),
    { numRuns: 10_000 },
  );
});

/** The line's members, worked out slowly from SPEC 4 and without the code under test. */
function expectedMembers(row: readonly RawValue[], id: string, type: RawValue, us: number): [string, string][] {
  const jsonOf = (name: string): string => {
    const at = COLUMNS.findIndex((column) => column.name === name);
    const raw = row[at] ?? null;
    const kind = COLUMNS[at]?.kind ?? 'text';
    if (raw === null) return 'null';
    if (kind === 'boolean') return String(raw === 't');
    if (kind === 'integer') return raw;
    if (kind === 'double') return Number.isFinite(Number(raw)) ? raw : JSON.stringify(raw);
    if (name === 'headers' && raw.startsWith('{')) {
      try {
        JSON.parse(raw);
        return raw;
      } catch {}
    }
    return JSON.stringify(raw);
  };
  const entry = EVENT_TYPES.find(({ name, formerNames }) => [name, ...formerNames].includes(type?.toLowerCase() ?? ''));
  const fields = entry?.fields ?? [];
  const heads = ['id', 'event_type', 'event_time', 'destination_id', 'processed'];
  const others = COLUMNS.map(({ name }) => name).filter((name) => !fields.includes(name) && !heads.includes(name));
  return [
    ['time_written_to_logfile', `${String(BigInt(us) / 1_000_000n)}.${String(us % 1_000_000).padStart(6, '0')}`],
    ['event_id', id],
    ['event_time', jsonOf('event_time')],
    ['event_type', JSON.stringify(type)],
    ...fields.map((name): [string, string] => [name, jsonOf(name)]),
    ...others.map((name): [string, string] => [name, jsonOf(name)]).filter(([, value]) => value !== 'null'),
  ];
}
