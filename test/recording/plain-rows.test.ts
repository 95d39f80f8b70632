import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/event/catalog.ts';
import { QUEUE_COLUMNS } from '../../src/event/queue-columns.ts';
import { createCopyWriter } from '../../src/recording/copy-rows.ts';
import { LineRecord } from '../../src/recording/input-record.ts';
import { createNormalizer } from '../../src/recording/normalize.ts';
import { createPlainRows } from '../../src/recording/plain-rows.ts';
import type { TableColumn } from '../../src/recording/queue-table.ts';
import { readInput } from '../../src/recording/read-input.ts';

const OPTIONS = { serverId: 'mäil\t1', bounceTextBytes: 12, derivesBadAddress: false };

const QUEUE: readonly TableColumn[] = QUEUE_COLUMNS.map(({ name, type, defaultSql }) => ({
  name,
  type: type.replace('varchar', 'character varying'),
  hasDefault: defaultSql !== undefined,
}));
const column = (name: string, type: string, hasDefault = false): TableColumn => ({ name, type, hasDefault });

const TABLES: readonly (readonly TableColumn[])[] = [
  QUEUE,
  QUEUE.filter(({ name }) => !['id', 'mailclass', 'studio_campaign_id', 'destination_id', 'email'].includes(name)),
  // Somebody else's, with types and columns of their own.
  [
    column('message', 'jsonb'),
    column('is_retry', 'boolean', true),
    column('event_type', 'character varying(11)'),
    column('email', 'character varying(5)', true),
    column('bounce_text', 'text'),
    column('bounce_code', 'smallint', true),
    column('studio_rl_seq', 'numeric(30,2)'),
    column('timestamp', 'real', true),
    column('listid', 'json'),
    column('sendid', 'integer'),
    column('headers', 'json'),
    column('a"b', 'text'),
    column('é', 'text'),
  ],
];

/** Both ways for one line: the row by the quick one, null when it has none; and by the careful one, null when it is bad. */
function bothWays(record: LineRecord, table: readonly TableColumn[], changed: Partial<typeof OPTIONS> = {}) {
  const options = { ...OPTIONS, ...changed };
  const [quickWriter, writer] = [createCopyWriter(table), createCopyWriter(table)];
  const rows = createPlainRows(table, quickWriter, options);
  const normalizer = createNormalizer(table, options);
  const quick = rows.read(record);
  const normalized = normalizer.normalize(record.text);
  const careful = normalized.ok
    ? {
        type: normalized.row.get('event_type') ?? '',
        ofStudio: normalized.ofStudio,
        row: writer.encode(normalized.row),
      }
    : null;
  const seen = (way: typeof quick, missing: ReadonlySet<string>) =>
    way && {
      type: way.type,
      ofStudio: way.ofStudio,
      columns: way.row.columns,
      line: steady(way.row.page.bytes.toString('utf8', way.row.start, way.row.end), way.row.columns),
      missing: [...missing].sort(),
    };
  return {
    quick: seen(quick, rows.missingColumns),
    careful: seen(careful, normalizer.missingColumns),
    missing: [...rows.missingColumns].filter((name) => !normalizer.missingColumns.has(name)),
  };
}

/** A row without what differs from one time to the next. */
function steady(line: string, columns: readonly string[]): string {
  const values = line.split('\t');
  const at = columns.indexOf('event_unique_id');
  if (at >= 0) values[at] = values[at]?.replace(/^[0-9a-f]{64}$/, 'random') ?? '';
  const now = Math.floor(Date.now() / 1000);
  const time = columns.indexOf('event_time');
  if (time >= 0 && Math.abs(Number(values[time]) - now) < 5) values[time] = 'now';
  return values.join('\t');
}

async function linesOf(bytes: Buffer): Promise<LineRecord[]> {
  const lines: LineRecord[] = [];
  for await (const records of readInput(Readable.from([bytes]), 'jsonl')) {
    lines.push(...records.filter((record) => record instanceof LineRecord));
  }
  return lines;
}

const texts = fc.string({
  unit: fc.constantFrom(
    'a',
    'Z',
    ' ',
    '"',
    '\\',
    '/',
    '\b',
    '\n',
    '\t',
    '\r',
    '\f',
    'é',
    'İ',
    '😀',
    '\ufffd',
    '\u0000',
    '\ud800',
    '\u007f',
    '\u0001',
  ),
});
/** JSON text of values, some of them bad. */
const values = fc.oneof(
  texts.map((text) => JSON.stringify(text)),
  fc.stringMatching(/^"([a-zA-Z]|\\["\\/bfnrtux]|\\u[0-9aAfFdD]{3,4}|\t)*"$/),
  fc.stringMatching(/^-?\d{1,20}(\.\d{0,3})?([eE][-+]?\d{0,3})?$/),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map((value) => (value % 2n === 0n ? `${value}` : `"${value}"`)),
  fc.constantFrom(
    '1767225602',
    '2147483647',
    '2147483648',
    '9999999999',
    '-1767225602',
    '1.50',
    '1e400',
    '-0',
    '00',
    '-',
  ),
  fc.constantFrom(
    'true',
    'false',
    'null',
    'nul',
    'truex',
    '0',
    '1',
    '"t"',
    '"NaN"',
    '"h"',
    '"192.0.2.7"',
    '"::1/64"',
    '""',
  ),
  fc.json({ depthSize: 'small' }),
  fc.jsonValue().map((value) => JSON.stringify({ value }, null, 1).replaceAll('\n', '\t')),
  texts.map((text) => `{"a" :${JSON.stringify(text)},\t"b":[1.0 , {}]}`),
  fc.constantFrom('{"a":1,}', '[1,]', '{"a" 1}', '{a:1}', '[1 2]', '{"a":1\r}', '{}', '[]', '[[[', '{"a":01}'),
  fc.constantFrom(...EVENT_TYPES.flatMap(({ name, formerNames }) => [name, ...formerNames])).map((name) => `"${name}"`),
);
const names = fc.oneof(
  fc.constantFrom(
    'email',
    'listid',
    'sendid',
    'bounce_text',
    'bounce_code',
    'message',
    'is_retry',
    'headers',
    'timestamp',
    'synchronous',
  ),
  fc.constantFrom(...QUEUE_COLUMNS.map(({ name }) => name)),
  fc.constantFrom('unknown', '__proto__', 'é', 'a"b', 'a\\"b', 'emai\\u006c', ''),
);
const spaces = fc.constantFrom('', '', '', '', ' ', '\t', '\r', ' \t ');
const types = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .constantFrom(...EVENT_TYPES.flatMap(({ name, formerNames }) => [name, ...formerNames]))
      .map((name) => `"${name}"`),
  },
  { weight: 1, arbitrary: fc.constantFrom('"Scomp"', '"sms"', 'null', '7', '""', '"\\u0073comp"') },
);
const members = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.uniqueArray(fc.record({ name: names, value: values, space: spaces }), {
      selector: ({ name }) => name,
      maxLength: 4,
    }),
  },
  { weight: 1, arbitrary: fc.array(fc.record({ name: names, value: values, space: spaces }), { maxLength: 6 }) },
);
const events = fc.tuple(types, members, spaces, fc.nat(6)).map(([type, list, space, at]) => {
  const written = list.map(({ name, value, space: within }) => `"${name}"${within}:${within}${value}${space}`);
  written.splice(at, 0, `"event_type":${type}`);
  return `${space}{${written.join(`,${space}`)}}${space}`;
});

test('the quick way makes of any event what the careful way makes of it, or leaves it to that', async () => {
  let quicks = 0;
  const property = fc.asyncProperty(events, fc.constantFrom(...TABLES), async (event, table) => {
    for (const record of await linesOf(Buffer.from(`${event.replaceAll('\n', ' ')}\n`))) {
      const { quick, careful, missing } = bothWays(record, table);
      if (quick) quicks += 1;
      if (quick) expect(quick).toEqual(careful);
      expect(missing).toEqual([]);
    }
  });
  await fc.assert(property, { numRuns: 2_000 });
  expect(quicks).toBeGreaterThan(200);
});

const FIXTURE = readFileSync(new URL('../../fixtures/events.jsonl', import.meta.url));

test('nearly all events of the fixture go the quick way, and become the same rows', async () => {
  const lines = await linesOf(FIXTURE);
  const ways = lines.map((record) => bothWays(record, QUEUE, { bounceTextBytes: 1024 }));
  const quick = ways.filter(({ quick: row }) => row !== null);
  expect(quick.length).toBeGreaterThan(0.99 * lines.length);
  expect(quick.map(({ quick: row }) => row)).toEqual(quick.map(({ careful }) => careful));
});

test('an event of which any byte is another one is treated alike', async () => {
  const lines = FIXTURE.toString().split('\n').slice(0, 200);
  const property = fc.asyncProperty(
    fc.constantFrom(...lines),
    fc.nat(),
    fc.oneof(fc.nat(255), fc.constantFrom(...Buffer.from('"\\{}[]:,0e-.\r\t'))),
    async (line, place, byte) => {
      const bytes = Buffer.from(`${line}\n`);
      bytes[place % (bytes.length - 1)] = byte;
      for (const record of await linesOf(bytes)) {
        const { quick, careful } = bothWays(record, QUEUE);
        if (quick) expect(quick).toEqual(careful);
      }
    },
  );
  await fc.assert(property, { numRuns: 1_500 });
});

test('many events one behind the other, of types in turn, are each what they would be alone', async () => {
  const lines = await linesOf(FIXTURE);
  const rows = createPlainRows(QUEUE, createCopyWriter(QUEUE), OPTIONS);
  for (const record of lines.slice(0, 500)) {
    const row = rows.read(record)?.row;
    const text = row && steady(row.page.bytes.toString('utf8', row.start, row.end), row.columns);
    expect(text).toBe(bothWays(record, QUEUE).quick?.line);
  }
});

test('a bounce that brings a bad address with it does not go the quick way', async () => {
  const [bounce, click] = await linesOf(Buffer.from('{"event_type":"hook_stat"}\n{"event_type":"engine_click"}\n'));
  if (!bounce || !click) throw new Error('two lines were read');
  expect(bothWays(bounce, QUEUE, { derivesBadAddress: true }).quick).toBeNull();
  expect(bothWays(click, QUEUE, { derivesBadAddress: true }).quick).not.toBeNull();
});

test('a message in a column of JSON loses its U+FFFD on both ways, however that is written', async () => {
  const table =
    TABLES.find((columns) => columns.some(({ name, type }) => name === 'message' && type === 'jsonb')) ?? [];
  const written = ['a\\ufffdb', 'a\\uFFFDb', 'a\ufffdb', '\\\\ufffd'].map(
    (text) => `{"event_type":"scomp","message":"${text}"}\n`,
  );
  const lines = await linesOf(Buffer.from(written.join('')));
  expect(lines).toHaveLength(4);
  for (const record of lines) {
    const { quick, careful } = bothWays(record, table);
    if (quick) expect(quick).toEqual(careful);
  }
});
