import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createRowShape, type QueuedEvent, type RowShape } from '../../src/event/event.ts';
import { createLineReader, eventFromRow, type LineEvent, OWN_COLUMNS } from '../../src/event/from-line.ts';
import { objectMembers } from '../../src/event/json-text.ts';
import { createLineBuilder, type LogLineBuilder, lineOf as textOf } from '../../src/event/log-line.ts';

const TIME_US = 1_795_298_400_123_456;
const OPTIONS = { expandJsonColumns: ['headers'] };
const read = createLineReader();

const builders = new WeakMap<RowShape, LogLineBuilder>();

function lineOf(event: QueuedEvent): string {
  const builder = builders.get(event.shape) ?? createLineBuilder(event.shape, OPTIONS);
  builders.set(event.shape, builder);
  return textOf(builder, event, TIME_US);
}

function readBack(line: string, reader = read): LineEvent {
  const made = reader(line);
  if ('problem' in made) throw new Error(`${made.problem}: ${line}`);
  return made;
}

const column = (event: QueuedEvent, name: string): unknown => event.value(event.shape.indexOf.get(name) ?? -1);

const OWN_SHAPE = createRowShape(OWN_COLUMNS);

/** A row as PostgreSQL gives it, from a record of the fixture. */
function rowOf(record: string, id: string): QueuedEvent {
  const row = new Map<string, string | null>([['id', id]]);
  for (const [name, text] of objectMembers(record)) {
    const value = JSON.parse(text) as unknown;
    const isInteger = OWN_COLUMNS.some((each) => each.name === name && each.kind === 'integer');
    // As recording does: `is_retry` is a number in the table.
    const raw = typeof value === 'boolean' ? (isInteger ? `${Number(value)}` : value ? 't' : 'f') : text;
    row.set(name, value === null ? null : typeof value === 'string' ? value : raw);
  }
  return eventFromRow(OWN_SHAPE, row);
}

test('row, line, event, line: the second line is the first one, over the whole fixture', async () => {
  const records = (await readFile('fixtures/events.jsonl', 'utf8')).split('\n').filter(Boolean);
  expect(records.length).toBe(2400);
  records.forEach((record, at) => {
    const line = lineOf(rowOf(record, String(at + 1)));
    const { event, writtenAt, hasId } = readBack(line);
    expect(lineOf(event)).toBe(line);
    expect([event.id, writtenAt, hasId]).toEqual([String(at + 1), '1795298400.123456', true]);
  });
});

test('any row comes back as the same line, whatever its text holds', () => {
  const text = fc.string({ unit: 'binary' });
  const names = OWN_COLUMNS.filter(({ kind, name }) => kind === 'text' && name !== 'event_type').map(
    ({ name }) => name,
  );
  const extra = fc.constantFrom('their "own"\ncolumn', '__proto__', 'constructor', 'z');
  const columns = fc.dictionary(fc.oneof(fc.constantFrom(...names), extra), text);
  const numbers = fc.record({
    id: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
    studio_rl_seq: fc.bigInt(0n, 2n ** 63n - 1n),
  });
  const doubles = fc.constantFrom('NaN', 'Infinity', '-Infinity', '1.5', '1767225602.371206', '3', '1e+300', '-0');
  const types = fc.constantFrom('scomp', 'delivery_attempt', 'hook_stat', 'sms_sent');
  fc.assert(
    fc.property(columns, numbers, doubles, types, (texts, { id, studio_rl_seq }, timestamp, event_type) => {
      const own = Object.entries({ ...texts, id: `${id}`, studio_rl_seq: `${studio_rl_seq}`, timestamp, event_type });
      const row = new Map<string, string>(own);
      // As an own key of the record, not its prototype.
      const more = [...row.keys()].filter((name) => !OWN_COLUMNS.some((column) => column.name === name));
      const shape = createRowShape([...OWN_COLUMNS, ...more.map((name) => ({ name, kind: 'text' as const }))]);
      const line = lineOf(eventFromRow(shape, row));
      const { event } = readBack(line);
      expect(lineOf(event)).toBe(line);
      for (const [name, raw] of row) if (name !== 'headers') expect(column(event, name)).toBe(raw);
    }),
    { numRuns: 50 },
  );
});

test('numbers keep their digits, beyond 2^53 and with zeros at the end', () => {
  const { event } = readBack(
    '{"id":9223372036854775807,"event_type":"x","studio_rl_seq":9007199254740993,"timestamp":1.50}',
  );
  expect(event.id).toBe('9223372036854775807');
  expect(column(event, 'studio_rl_seq')).toBe('9007199254740993');
  expect(column(event, 'timestamp')).toBe('1.50');
});

test('an expanded column is the JSON text again, with its digits', () => {
  const headers = '{"n":12345678901234567890,"a":[1.0, "x"]}';
  const { event } = readBack(`{"event_id":1,"event_type":"scomp_lite","headers":${headers}}`);
  expect(column(event, 'headers')).toBe(headers);
});

test('what is null or not there is null, and the columns of the table that another wrote are added', () => {
  const { event } = readBack('{"event_id":1,"event_type":"x","email":null,"colour":"red","weight":3}');
  expect([column(event, 'email'), column(event, 'listid')]).toEqual([null, null]);
  expect(event.shape.columns.slice(-2)).toEqual([
    { name: 'colour', kind: 'text' },
    { name: 'weight', kind: 'integer' },
  ]);
});

test('a value that is not of its column’s kind stays what it is', () => {
  const line = '{"event_id":1,"event_type":"x","bounce_code":"5.1.1","listid":7,"is_retry":true,"is_privacy_open":1}';
  const { event } = readBack(line);
  const kinds = ['bounce_code', 'listid', 'is_retry', 'is_privacy_open'].map(
    (name) => event.shape.columns[event.shape.indexOf.get(name) ?? -1]?.kind,
  );
  expect(kinds).toEqual(['text', 'integer', 'boolean', 'integer']);
});

test('the columns of the table that the events stood in are used where they are known', () => {
  const columns = [
    { name: 'event_type', kind: 'text' as const },
    { name: 'note', kind: 'text' as const },
    { name: 'id', kind: 'integer' as const },
  ];
  const { event } = readBack('{"event_id":5,"event_type":"x","note":"n"}', createLineReader(columns));
  expect(columns.map((_, at) => event.value(at))).toEqual(['x', 'n', '5']);
});

test('lines of one form share one shape', () => {
  const line = '{"event_id":1,"event_type":"x","colour":"red"}';
  expect(readBack(line).event.shape).toBe(readBack(line.replace('red', 'blue')).event.shape);
});

test('an object without an id is an event, and that is said', () => {
  expect(readBack('{"event_type":"scomp"}')).toMatchObject({ event: { id: '0' }, hasId: false, writtenAt: null });
});

test.each([
  ['', 'it is empty'],
  ['{"event_type":', /^it is not JSON: /],
  ['[{"event_type":"x"}]', 'it is an array, not an object'],
  ['"scomp"', 'it is "scomp", not an object'],
  ['{"email":"a"}', 'it has no event_type, so it is no event'],
  [
    '{"time":1.5,"event_id":1,"event_unique_id":null,"event_type":"x","destination":"d","attempt":1,"outcome":"failed"}',
    'it is a line of the delivery log, which holds no whole events',
  ],
  ['{"event_type":7}', 'its event_type is 7, not a string'],
  ['{"event_type":"x","event_id":"7"}', 'its event_id is "7", not a whole number of 64 bits'],
  ['{"event_type":"x","id":9223372036854775808}', 'its id is 9223372036854775808, not a whole number of 64 bits'],
  ['{"event_type":"x","id":1,"event_id":2}', 'its event_id is 2 and its id is 1: the two are one thing'],
  ['{"event_type":"x","email":"a","email":"b"}', 'the key "email" stands in it twice'],
  [
    '{"event_type":"x","time_written_to_logfile":"yesterday"}',
    'its time_written_to_logfile is "yesterday", not a number of seconds',
  ],
])('says what is wrong with %s', (line, problem) => {
  expect(read(line)).toEqual({ problem: typeof problem === 'string' ? problem : expect.stringMatching(problem) });
});
