// The values of a line are those of the row, whatever they are: thousands of random rows, read once by the program and
// once by the test in another way.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/event/catalog.ts';
import { QUEUE_COLUMNS, type QueueColumn } from '../../src/event/queue-columns.ts';
import { createWorld, SLOW_MS, scaled, type World } from './world.ts';

const HEAD = ['time_written_to_logfile', 'event_id', 'event_time', 'event_type'];
const COLUMNS = QUEUE_COLUMNS.filter(({ name }) => name !== 'id' && name !== 'destination_id');
const ROWS = scaled(20_000, 10_000);

type Row = Record<string, string | null>;

const awkward = fc.constantFrom(
  '',
  ' ',
  'null',
  '"',
  '\\',
  '\\"\n',
  '\r\n\t\b\f',
  '\u0001\u001f\u007f\u0085',
  '\u2028\u2029\ufeff',
  'ü漢字😀\u{10ffff}',
  "'; DROP TABLE events; --",
  '__proto__',
  '{"a":1}',
  '{"a": 12345678901234567890, "a": 1.50,\n "b": {"c": [null, true, "}\\""]}}',
  ' \n{"__proto__": {"x": 1e400}}',
  '{"\\ud800": "\\u0000"}',
  '[1]',
  '{"torn":',
  '{} {}',
);
const anyText = fc.oneof(
  awkward,
  fc.string({ unit: 'binary', maxLength: 40 }).map((text) => text.replaceAll('\u0000', '')),
  fc.json(),
);
const digits = (bits: number) =>
  fc.oneof(
    fc.bigInt({ min: -(1n << BigInt(bits - 1)), max: (1n << BigInt(bits - 1)) - 1n }).map(String),
    fc.constantFrom(String(-(1n << BigInt(bits - 1))), String((1n << BigInt(bits - 1)) - 1n), '0', '-1'),
  );
const double = fc.oneof(
  fc.double().map((value) => (Object.is(value, -0) ? '-0' : String(value))),
  fc.constantFrom('NaN', 'Infinity', '-Infinity', '1e308', '4.9e-324', '0.1', '1767225602.371206', '1e21', '-0'),
);
const address = fc.oneof(
  fc.ipV4(),
  fc.ipV6(),
  fc.constantFrom('10.0.0.0/8', '::1', '::ffff:192.0.2.1', '2001:db8::/32'),
);

const GENERATORS: Readonly<Record<QueueColumn['type'], fc.Arbitrary<string>>> = {
  bigint: digits(64),
  boolean: fc.constantFrom('true', 'false'),
  'double precision': double,
  inet: address,
  integer: digits(32),
  text: anyText,
  varchar: anyText,
  'varchar(100)': anyText.map((text) => [...text].slice(0, 100).join('')),
};

const anyRow: fc.Arbitrary<Row> = fc.record(
  Object.fromEntries(
    COLUMNS.map(({ name, type }) => {
      const value: fc.Arbitrary<string | null> = fc.option(GENERATORS[type], { freq: 2 });
      const types = EVENT_TYPES.flatMap((each) => [each.name, ...each.formerNames]);
      return [name, name === 'event_type' ? fc.oneof(fc.constantFrom(...types), value) : value];
    }),
  ),
);

describe('the line of a row', () => {
  test(`has its values, digit for digit, and the keys in order (${ROWS} random rows)`, {
    timeout: SLOW_MS,
  }, async () => {
    await using world = await createWorld();
    const seed = Date.now() & 0x7fffffff;
    await insertRows(world, fc.sample(anyRow, { numRuns: ROWS, seed }));
    const rows = await readRows(world);
    expect(await world.once()).toMatchObject({ read: ROWS, logged: ROWS, delivered: ROWS });

    const lines = await world.lines();
    expect(lines).toHaveLength(ROWS);
    for (const { id, text } of lines) {
      const row = rows.get(id);
      expect(row, `event ${id} of seed ${seed}`).toBeDefined();
      if (row) expect(Object.entries(withDigits(text)).slice(1), text).toEqual(expectedEntries(id, row).slice(1));
    }
  });
});

async function insertRows(world: World, rows: readonly Row[]): Promise<void> {
  const names = COLUMNS.map(({ name }) => name);
  const values = COLUMNS.map(({ type }, at) => `c${at}::${type === 'varchar(100)' ? 'varchar' : type}`);
  const arrays = COLUMNS.map((_, at) => `$${at + 1}::text[]`);
  for (let at = 0; at < rows.length; at += 1_000) {
    const part = rows.slice(at, at + 1_000);
    await world.database.query(
      `INSERT INTO events (${names.join(', ')}) SELECT ${values.join(', ')}
       FROM unnest(${arrays.join(', ')}) AS u(${COLUMNS.map((_, index) => `c${index}`).join(', ')})`,
      names.map((name) => part.map((row) => row[name] ?? null)),
    );
  }
}

/** The rows as PostgreSQL prints them: `format` uses the types' own output, which a cast of an inet does not. */
async function readRows(world: World): Promise<Map<string, Row>> {
  const texts = COLUMNS.map(({ name, type }) =>
    type === 'boolean' ? `${name}::text` : `CASE WHEN ${name} IS NOT NULL THEN format('%s', ${name}) END AS ${name}`,
  );
  const rows = await world.database.query<Row>(`SELECT id::text, ${texts.join(', ')} FROM events`);
  return new Map(rows.map((row) => [String(row.id), row]));
}

/** The line as an object in which a number is a list of its digits: JavaScript would round them. */
function withDigits(line: string): Record<string, unknown> {
  const tokens = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?/g;
  return JSON.parse(line.replace(tokens, (token) => (token.startsWith('"') ? token : `["${token}"]`)));
}

function expectedEntries(id: string, row: Row): [string, unknown][] {
  const type = EVENT_TYPES.find((each) => [each.name, ...each.formerNames].includes(row.event_type ?? ''));
  const fields = type?.fields ?? [];
  const others = COLUMNS.map(({ name }) => name).filter(
    (name) => row[name] != null && !fields.includes(name) && !HEAD.includes(name),
  );
  const kindOf = new Map(COLUMNS.map((column) => [column.name, column.type]));
  const value = (name: string): unknown => expectedValue(kindOf.get(name) ?? 'text', name, row[name] ?? null);
  return [
    ['time_written_to_logfile', null],
    ['event_id', [id]],
    ['event_time', value('event_time')],
    ['event_type', row.event_type],
    ...[...fields, ...others].map((name): [string, unknown] => [name, value(name)]),
  ];
}

function expectedValue(type: QueueColumn['type'], name: string, text: string | null): unknown {
  if (text === null) return null;
  if (type === 'boolean') return text === 'true';
  if (type === 'integer' || type === 'bigint') return [text];
  if (type === 'double precision') return /^(?:NaN|-?Infinity)$/.test(text) ? text : [text];
  if (name !== 'headers') return text;
  try {
    // JSON's own white space only: a text in which another space stands around an object is no JSON.
    return /^[ \t\n\r]*\{/.test(text) && JSON.parse(text) ? withDigits(text) : text;
  } catch {
    return text;
  }
}
