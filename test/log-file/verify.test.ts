// Verification of log files: what it finds, and where. The lines are those of the line builder that writes the log.

import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/event/catalog.ts';
import { createEvent, createRowShape } from '../../src/event/event.ts';
import { createLineBuilder, lineOf as textOf } from '../../src/event/log-line.ts';
import { QUEUE_COLUMNS } from '../../src/event/queue-columns.ts';
import { inspectLine } from '../../src/log-file/verify/inspect-line.ts';
import { LineScanner, viewOf } from '../../src/log-file/verify/scan-line.ts';
import { verifyFiles } from '../../src/log-file/verify/verify-files.ts';
import { inOrder } from '../../src/log-file/written-files.ts';
import { makeFolder } from './stage.ts';

const SHAPE = createRowShape([
  ...QUEUE_COLUMNS.map(({ name, type }) => {
    if (type === 'integer' || type === 'bigint') return { name, kind: 'integer' as const };
    return { name, kind: type === 'boolean' ? ('boolean' as const) : ('text' as const) };
  }),
  { name: 'their "own" column', kind: 'text' },
]);
const build = createLineBuilder(SHAPE, { expandJsonColumns: ['headers'] });
const START_US = 1_795_302_762_000_000;

/** The line of an event, written `id` seconds after the start. */
function lineOf(
  id: number | string,
  values: Readonly<Record<string, string | null>> = {},
  us = Number(id) * 1e6,
): string {
  const row: Record<string, string | null> = {
    event_type: 'engine_open',
    event_time: '1767225600',
    email: 'ä@example.com',
    event_unique_id: `u${id}`,
    ...values,
  };
  const event = createEvent(
    SHAPE,
    SHAPE.columns.map(({ name }) => (name === 'id' ? String(id) : (row[name] ?? null))),
  );
  return textOf(build, event, START_US + us);
}

const linesOf = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, at) => lineOf(from + at)).join('');

type Content = string | Buffer;

async function verify(contents: Readonly<Record<string, Content>> | Content, most = 100) {
  const folder = await makeFolder();
  const files: Readonly<Record<string, Content>> =
    typeof contents === 'string' || Buffer.isBuffer(contents) ? { log: contents } : contents;
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  const verified = await verifyFiles(await inOrder(Object.keys(files).map((name) => join(folder, name))), { most });
  const short = (path: string | null): string => (path ?? '').slice(folder.length + 1);
  const findings = verified.findings.map(
    ({ kind, file, line, column, message }) =>
      `${short(file)}:${line}:${column ?? '-'} ${kind}: ${message.replaceAll(`${folder}/`, '')}`,
  );
  return { ...verified, findings };
}

async function findingsOf(contents: Readonly<Record<string, Content>> | Content): Promise<readonly string[]> {
  return (await verify(contents)).findings;
}

test('lines of all types, with and without other columns, are good across files of any name', async () => {
  const all = EVENT_TYPES.flatMap(({ name, formerNames, fields }) =>
    [name, ...formerNames].flatMap((type): Record<string, string | null>[] => [
      { event_type: type },
      { event_type: type, ...Object.fromEntries(fields.map((field) => [field, '1'])) },
      { event_type: type, 'their "own" column': 'a\\"b\n', list_label: 'x', is_fb: '1' },
    ]),
  );
  const values: Record<string, string | null>[] = [
    ...all,
    { event_type: 'ünknown', email: null },
    { event_type: null },
    { headers: '{"a": {"b":[1, 2]}, "a":1}', event_type: 'scomp_lite' },
  ];
  const lines = values.map((each, at) => lineOf(at + 1, each));
  const cut = lines.length >> 1;
  const {
    findings,
    lines: count,
    seen,
  } = await verify({
    'log.1.gz': gzipSync(lines.slice(0, cut).join('')),
    log: lines.slice(cut).join(''),
    empty: '',
  });
  expect({ findings, count, events: seen.size }).toEqual({ findings: [], count: lines.length, events: lines.length });
});

test.each([
  ['an empty line', '\n', 'log:4:- empty_line: empty line'],
  ['CRLF', lineOf(4).replace('\n', '\r\n'), /^log:4:\d+ carriage_return: the line ends with a carriage return$/],
  [
    'NUL bytes ahead of a line',
    `${'\0'.repeat(4_096)}${lineOf(4)}`,
    /^log:4:1 nul_bytes: 4,096 NUL bytes before the line; its event 4 has/,
  ],
  ['NUL bytes alone', `${'\0'.repeat(70_000)}\n`, 'log:4:1 nul_bytes: 70,000 NUL bytes before the line'],
  [
    'NUL bytes in a line',
    lineOf(4).replace('example', '\0\0\0'),
    /^log:4:\d+ nul_bytes: NUL bytes within the line; its event 4 has no whole line/,
  ],
  ['text', 'hello world\n', 'log:4:1 not_json: no JSON from here on: "hello world"'],
  ['a broken value', lineOf(4).replace('"email":"', '"email":x"'), /^log:4:\d+ not_json: no JSON from here on: "x/],
  [
    'two objects in a line',
    `${lineOf(4).trimEnd()}${lineOf(5)}`,
    /^log:4:\d+ not_json: something stands behind the object: "\{/,
  ],
  ['an array', '[1]\n', 'log:4:1 not_an_object: the line is JSON, but no object'],
  ['a number', '17\n', 'log:4:1 not_an_object: the line is JSON, but no object'],
  [
    'a torn line',
    `${lineOf(4).slice(0, 200)}\n`,
    'log:4:202 cut_line: the line ends within its JSON, after 201 bytes; its event 4 has no whole line in these files',
  ],
  [
    'a missing field',
    lineOf(4).replace(/"sendid":null,/, ''),
    /^log:4:\d+ key_missing: the key sendid is missing; it belongs behind listid$/,
  ],
  [
    'a missing head',
    lineOf(4).replace(/"time_written[^,]*,/, ''),
    'log:4:2 key_missing: the key time_written_to_logfile is missing; it belongs first',
  ],
  [
    'fields in another order',
    lineOf(4).replace('"listid":null,"sendid":null', '"sendid":null,"listid":null'),
    /^log:4:\d+ key_order: sendid stands where listid belongs, behind email$/,
  ],
  ['a key twice', lineOf(4).replace('}\n', ',"email":"b"}\n'), /^log:4:\d+ key_twice: the key email stands twice$/],
  [
    'another column twice',
    lineOf(4).replace('}\n', ',"x":1,"x":2}\n'),
    /^log:4:\d+ key_twice: the key x stands twice$/,
  ],
  [
    'a time with milliseconds',
    lineOf(4).replace('.000000', '.000'),
    'log:4:2 bad_value: time_written_to_logfile is "1795302766.000", and not seconds with six decimals',
  ],
  [
    'an id that is no bigint',
    lineOf(4).replace('"event_id":4', '"event_id":9223372036854775808'),
    /^log:4:46 bad_value: event_id is "9223372036854775808", and not a bigint$/,
  ],
  ['an id that is a string', lineOf(4).replace('"event_id":4', '"event_id":"4"'), /^log:4:46 bad_value: event_id/],
  ['a type that is a number', lineOf(4).replace('"engine_open"', '7'), /bad_value: event_type is "7"|key_missing/],
  [
    'blanks between the keys',
    lineOf(4).replace(',"event_id":', ', "event_id": '),
    'log:4:46 not_compact: white space or an escape that tailrace does not write',
  ],
  ['a blank behind the object', lineOf(4).replace('}\n', '} \n'), /^log:4:\d+ not_compact/],
  ['an escaped key', lineOf(4).replace('"email"', '"\\u0065mail"'), /^log:4:\d+ not_compact/],
  [
    'a time that is the same',
    lineOf(4, {}, 3e6),
    'log:4:1 time_not_later: not written later than the line before it: at 2026-11-21T23:12:45.000000Z, and line 3 at 2026-11-21T23:12:45.000000Z',
  ],
  ['a time that is a little earlier', lineOf(4, {}, 2e6 + 999_999), /^log:4:1 time_not_later/],
  ['a time that is 5 s earlier', lineOf(4, {}, -2e6), /^log:4:1 time_not_later/],
  [
    'a clock that was set back',
    lineOf(4, {}, -2e6 - 1),
    /^log:4:1 clock_set_back: the time goes back by 5\.000001 s: written at 2026-11-21T23:12:39.999999Z, and line 3 at/,
  ],
  [
    'a line of 10 MB that is cut',
    `${lineOf(4, { email: 'x'.repeat(10_000_000) }).slice(0, -5)}\n`,
    /^log:4:\d{8} cut_line: the line ends within its JSON, after 10,000,\d\d\d bytes/,
  ],
])('%s is found at its place, and nothing else', async (_title, fourth, expected) => {
  const findings = await findingsOf(linesOf(1, 3) + fourth + linesOf(5, 7));
  expect(findings).toEqual([typeof expected === 'string' ? expected : expect.stringMatching(expected)]);
});

test('a byte that is no UTF-8 is found, and its event is not held for missing', async () => {
  const bytes = Buffer.from(linesOf(1, 3));
  const at = bytes.lastIndexOf(Buffer.from('ä'));
  bytes[at + 1] = 0x28;
  const { findings, seen } = await verify(Buffer.concat([bytes, Buffer.from(lineOf(4))]));
  const column = at - bytes.lastIndexOf('\n{');
  expect(findings).toEqual([`log:3:${column} not_utf8: a byte that is no UTF-8`]);
  expect(seen.size).toBe(4);
});

test('a column that other lines have is found when it stands twice', async () => {
  const [first, second, third] = [1, 2, 3].map((id) => lineOf(id, { list_label: 'x', 'their "own" column': 'y' }));
  const doubled = (second ?? '').replace('}\n', ',"list_label":"z"}\n');
  expect(await findingsOf(`${first}${doubled}${third}`)).toEqual([
    expect.stringMatching(/^log:2:\d+ key_twice: the key list_label stands twice$/),
  ]);
});

test('a line of 10 MB is good', async () => {
  expect(await findingsOf(lineOf(1) + lineOf(2, { email: 'ä"\\'.repeat(2_000_000) }) + lineOf(3))).toEqual([]);
});

test('a line that is cut at the end of a file is found', async () => {
  const whole = linesOf(1, 3);
  expect(await findingsOf(whole.slice(0, -20))).toEqual([
    expect.stringMatching(
      /^log:3:\d+ cut_line: the file ends within a line, after \d+ bytes of it; its event 3 has no whole line/,
    ),
  ]);
  expect(await findingsOf({ old: whole.slice(0, -20), log: linesOf(3, 4) })).toEqual([
    expect.stringMatching(/^old:3:\d+ cut_line: .*; its event 3 has a whole line in these files$/),
  ]);
  expect(await findingsOf(whole.slice(0, -1))).toEqual([
    expect.stringMatching(/^log:3:\d+ cut_line: the line of event 3 lacks its line feed$/),
  ]);
  expect(await findingsOf(`${whole}${'\0'.repeat(5_000)}`)).toEqual([
    'log:4:1 nul_bytes: 5,000 NUL bytes before the line, at the end of the file',
  ]);
});

test('a last line that is being written is waited for', async () => {
  const folder = await makeFolder();
  const path = join(folder, 'log');
  const line = lineOf(2);
  await writeFile(path, lineOf(1) + line.slice(0, 50));
  const verifying = verifyFiles(await inOrder([path]), { most: 10 });
  await appendFile(path, line.slice(50, 90));
  await appendFile(path, `${line.slice(90)}${lineOf(3).slice(0, 30)}`);
  const { findings, lines } = await verifying;
  expect(findings.filter(({ line: at }) => at !== 3)).toEqual([]);
  expect(lines).toBeGreaterThanOrEqual(2);
});

test('an event that stands twice is found at its second place, with the first one', async () => {
  expect(await findingsOf(linesOf(1, 3) + lineOf(2, {}, 4e6))).toEqual([
    'log:4:- event_twice: event 2 stands at log:2 already',
  ]);
  const across = {
    'log.2.gz': gzipSync(linesOf(1, 3)),
    'log.1': linesOf(4, 5),
    log: linesOf(6, 7) + lineOf(2, {}, 8e6) + lineOf(5, {}, 9e6),
  };
  expect(await findingsOf(across)).toEqual([
    'log:3:- event_twice: event 2 stands at log.2.gz:2 already',
    'log:4:- event_twice: event 5 stands at log.1:2 already',
  ]);
  // Without a unique id the whole line tells.
  const bare = { event_unique_id: null };
  expect(await findingsOf(lineOf(1, bare, 0) + lineOf(1, bare, 1e6))).toEqual([
    'log:2:- event_twice: event 1 stands at log:1 already',
  ]);
});

test('a line that is doubled with its time is both', async () => {
  expect(await findingsOf(linesOf(1, 3) + lineOf(3) + lineOf(4))).toEqual([
    expect.stringMatching(/^log:4:1 time_not_later/),
    'log:4:- event_twice: event 3 stands at log:3 already',
  ]);
});

test('an id that another event bears is a note', async () => {
  const { findings, doubles } = await verify(
    linesOf(1, 3) + lineOf(2, { event_unique_id: 'other' }, 4e6) + lineOf(3, { event_unique_id: null }, 5e6),
  );
  expect(findings).toEqual([]);
  expect(doubles).toMatchObject({ reusedIds: 2, notCompared: 0 });
  expect(doubles.examples[0]).toMatch(/^2 at .*log:2 and .*log:4$/);
});

test('times are compared from file to file', async () => {
  const findings = await findingsOf({ a: linesOf(1, 4), b: lineOf(5, {}, 3.5e6) + linesOf(6, 7) });
  expect(findings).toEqual([
    expect.stringMatching(/^b:1:1 time_not_later: .* and the end of a \(line 4\) at 2026-11-21T23:12:46/),
  ]);
});

test('a packed file that is cut is verified up to there', async () => {
  const lines = Array.from({ length: 5_000 }, (_, at) =>
    lineOf(at + 1, { user_agent: String((at * 7_919) % 100_003) }),
  ).join('');
  const packed = gzipSync(lines);
  const { findings, lines: count } = await verify({ 'log.gz': packed.subarray(0, packed.length >> 1) });
  expect(findings).toEqual([
    expect.stringMatching(/^log\.gz:\d+:- file_damaged: behind this line: log\.gz is cut or damaged: gzip says/),
  ]);
  expect(count).toBeGreaterThan(1_000);
});

test('gaps between ids are counted, the largest told', async () => {
  const { gaps } = await verify(linesOf(1, 3) + linesOf(5, 6) + linesOf(3_000, 3_001) + linesOf(5_000, 5_000));
  expect(gaps).toEqual({
    count: 3,
    ids: 1n + 2_993n + 1_998n,
    largest: [
      { from: 7n, to: 2_999n },
      { from: 3_002n, to: 4_999n },
      { from: 4n, to: 4n },
    ],
  });
});

test('all findings are counted, the first ones kept', async () => {
  const { findings, counts } = await verify(`${'x\n'.repeat(50)}${linesOf(1, 2)}${linesOf(1, 2)}`, 3);
  expect(findings).toHaveLength(3);
  expect(Object.fromEntries(counts)).toEqual({ not_json: 50, time_not_later: 1, event_twice: 2 });
});

// What the quick look accepts must be good by the careful one, with the same time and id; and whatever the program writes
// must pass the quick look, when the careful one has shown it the columns.
const anyText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.json(),
  fc.constantFrom('null', '{"a":1}', '{', '\n', '\u0000', '"'),
);
const anyLine = fc
  .record({
    id: fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.bigInt({ min: -5_000n, max: 5_000n })),
    us: fc.integer({ min: -1_000_000, max: 2_000_000_000 }),
    type: fc.oneof(fc.constantFrom(...EVENT_TYPES.map(({ name }) => name), 'HOOK_STAT', null), anyText),
    values: fc.dictionary(
      fc.constantFrom('email', 'headers', 'listid', 'their "own" column', 'user_agent', 'is_fb'),
      anyText,
    ),
  })
  .map(({ id, us, type, values }) => lineOf(id.toString(), { ...values, event_type: type }, us));

test('the quick look accepts what the program writes, once it knows the columns', () => {
  fc.assert(
    fc.property(anyLine, (line) => {
      const bytes = Buffer.from(line);
      const { fault, facts, keys } = inspectLine(bytes.subarray(0, -1));
      expect(fault).toBeNull();
      if (!facts || !keys) throw new Error('a good line has facts');
      const scanner = new LineScanner();
      scanner.learn(keys.type, keys.fields, keys.extras);
      const end = scanner.scan(bytes, viewOf(bytes), 0);
      const id = Number(line.match(/"event_id":(-?\d+)/)?.[1]);
      if (Math.abs(id) < 1e15) expect(end).toBe(bytes.length);
      if (end < 0) return;
      const { timeUs, block, bit } = scanner;
      expect({ timeUs, block, bit }).toEqual(facts);
    }),
    { numRuns: 300 },
  );
});

test('the quick look accepts nothing that the careful one refuses', () => {
  const scanner = new LineScanner();
  const other = fc.constantFrom(
    '',
    ' ',
    '"',
    '\\',
    '\\u0041',
    '{',
    '}',
    ',',
    ':',
    '0',
    '1',
    '-',
    '.',
    'e',
    'n',
    '\r',
    '\t',
    '\0',
    'ä',
    '"x":1,',
    '"email":1,',
  );
  fc.assert(
    fc.property(
      anyLine,
      fc.array(fc.tuple(fc.nat(), other, fc.boolean()), { minLength: 1, maxLength: 2 }),
      (line, changes) => {
        const known = inspectLine(Buffer.from(line.slice(0, -1))).keys;
        if (known) scanner.learn(known.type, known.fields, known.extras);
        let changed = line.slice(0, -1);
        for (const [place, text, isAdded] of changes) {
          const at = place % (changed.length + 1);
          changed = changed.slice(0, at) + text + changed.slice(isAdded ? at : at + 1);
        }
        const bytes = Buffer.from(`${changed}\n`);
        const end = scanner.scan(bytes, viewOf(bytes), 0);
        if (end < 0) return;
        const { fault, facts } = inspectLine(bytes.subarray(0, -1));
        const { timeUs, block, bit } = scanner;
        expect({ end, fault, facts, line: changed }).toEqual({
          end: bytes.length,
          fault: null,
          facts: { timeUs, block, bit },
          line: changed,
        });
      },
    ),
    { numRuns: 1_500 },
  );
});
