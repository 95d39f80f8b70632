import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { QUEUE_COLUMNS } from '../../src/event/queue-columns.ts';
import { createNormalizer } from '../../src/recording/normalize.ts';

const TABLE = QUEUE_COLUMNS.map(({ name, type }) => ({ name, type: type.replace('varchar', 'character varying') }));
const OPTIONS = { serverId: 'mail1', bounceTextBytes: 1024 };
const NOW_SECONDS = () => Math.floor(Date.now() / 1000);

/** The row of an event of which `members` is a part, as an object. */
function rowOf(members: string, table = TABLE): Record<string, string> {
  const result = createNormalizer(table, OPTIONS).normalize(`{"event_type":"scomp",${members}}`);
  if (!result.ok) throw new Error(result.error);
  return Object.fromEntries(result.row);
}

function errorOf(json: string): string {
  const result = createNormalizer(TABLE, OPTIONS).normalize(json);
  return result.ok ? 'no error' : result.error;
}

const errorOfField = (member: string) => errorOf(`{"event_type":"scomp",${member}}`);

test('time, unique id, server and destination are filled in where they are missing', () => {
  const before = NOW_SECONDS();
  const row = rowOf('"email":null');
  expect(Object.keys(row).sort()).toEqual([
    'destination_id',
    'event_time',
    'event_type',
    'event_unique_id',
    'server_id',
  ]);
  expect(Number(row.event_time)).toBeGreaterThanOrEqual(before);
  expect(row.event_unique_id).toMatch(/^[0-9a-f]{64}$/);
  expect([row.server_id, row.destination_id]).toEqual(['mail1', '1']);
});

test('what the event says is not replaced', () => {
  const row = rowOf('"event_time":5,"event_unique_id":"u","server_id":"","destination_id":2');
  expect(row).toEqual({
    event_type: 'scomp',
    event_time: '5',
    event_unique_id: 'u',
    server_id: '',
    destination_id: '2',
  });
});

test.each([
  ['hook_stat', 'bounce_all'],
  ['HOOK_UNSUB', 'engine_unsub'],
  ['Delivery_Attempt', 'delivery_attempt'],
  ['Engine_Forward', 'Engine_Forward'],
])('the type %s is recorded as %s', (given, stored) => {
  expect(rowOf(`"event_type":"${given}"`).event_type).toBe(stored);
});

test('list and send of a bounce are stored in lower case, those of other types as they are', () => {
  expect(rowOf('"event_type":"hook_bounce","listid":"T99","sendid":"É1"')).toMatchObject({
    listid: 't99',
    sendid: 'é1',
  });
  expect(rowOf('"event_type":"bounce_all","listid":"T99"')).toMatchObject({ listid: 't99' });
  expect(rowOf('"listid":"T99","sendid":"S"')).toMatchObject({ listid: 'T99', sendid: 'S' });
});

test('the text of a bounce is cut at its limit in bytes', () => {
  expect(rowOf(`"bounce_text":"${'é'.repeat(600)}"`).bounce_text).toBe('é'.repeat(512));
});

test('bytes of a message that were not UTF-8 are removed; elsewhere they are U+FFFD', () => {
  expect(rowOf('"message":"a\ufffdb","email":"a\ufffdb"')).toMatchObject({ message: 'ab', email: 'a\ufffdb' });
  expect(rowOf('"message":"a\\ufffdb\\u0000"').message).toBe('ab\ufffd');
});

test('U+0000 and lone surrogates become U+FFFD', () => {
  expect(rowOf('"email":"\\u0000\\ud800x\\ud83d\\ude00"').email).toBe('\ufffd\ufffdx😀');
});

test('is_retry may be true or false', () => {
  expect(rowOf('"is_retry":true').is_retry).toBe('1');
  expect(rowOf('"is_retry":false').is_retry).toBe('0');
  expect(rowOf('"is_retry":"1"').is_retry).toBe('1');
});

test('an object for a text column becomes its JSON text, with all digits and on one line', () => {
  expect(rowOf('"headers":{ "n":9007199254740993,\n "s":"\\u0000" }').headers).toBe(
    '{ "n":9007199254740993,"s":"\\u0000" }',
  );
});

test('a number for a text column becomes its digits', () => {
  expect(rowOf('"click_tracking_id":12345678901234567890').click_tracking_id).toBe('12345678901234567890');
});

test('any 64-bit integer keeps its digits, as a number and as a string', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.boolean(), (value, quoted) => {
      expect(rowOf(`"studio_rl_seq":${quoted ? `"${value}"` : value}`).studio_rl_seq).toBe(String(value));
    }),
  );
});

test('an integer may be written with a fraction or an exponent of no weight', () => {
  expect(rowOf('"bounce_code":1e1,"outmtaid":4.0')).toMatchObject({ bounce_code: '10', outmtaid: '4' });
});

test('a double keeps its digits', () => {
  expect(rowOf('"timestamp":1795298400.12345670').timestamp).toBe('1795298400.12345670');
  expect(rowOf('"timestamp":"NaN"').timestamp).toBe('NaN');
});

test('booleans may be numbers or words', () => {
  expect(rowOf('"synchronous":"f","is_privacy_open":1')).toMatchObject({
    synchronous: 'false',
    is_privacy_open: 'true',
  });
});

describe('an event is rejected', () => {
  test.each([
    ['"bounce_code":"x"', 'bounce_code: expected integer, got "x"'],
    ['"bounce_code":1.5', 'bounce_code: expected integer, got 1.5'],
    ['"bounce_code":true', 'bounce_code: expected integer, got true'],
    ['"studio_rl_seq_id":2147483648', 'studio_rl_seq_id: 2147483648 is out of range for integer'],
    ['"studio_rl_seq":"9223372036854775808"', 'studio_rl_seq: "9223372036854775808" is out of range for bigint'],
    ['"timestamp":"soon"', 'timestamp: expected number, got "soon"'],
    ['"timestamp":1e400', 'timestamp: 1e400 is out of range'],
    ['"synchronous":"maybe"', 'synchronous: expected boolean, got "maybe"'],
    ['"studio_ip":"999.1.2.3"', 'studio_ip: expected IP address, got "999.1.2.3"'],
    ['"email":["a"]', 'email: expected text, got ["a"]'],
    ['"email":true', 'email: expected text, got true'],
    ['"bounce_cod":1', 'bounce_cod: unknown field; did you mean "bounce_code"?'],
    ['"__proto__":1', '__proto__: unknown field'],
    ['"a\\nb":1', '"a\\nb": unknown field'],
    ['"id":7', 'id: is given by the queue table; leave it out'],
    ['"bounce_code":"x","email":[]', 'bounce_code: expected integer, got "x"; email: expected text, got []'],
  ])('for %s', (member, error) => {
    expect(errorOfField(member)).toBe(error);
  });

  test.each([
    ['{"email":"a@example.com"}', 'event_type: missing'],
    ['{"event_type":null}', 'event_type: missing'],
    ['{"event_type":" "}', 'event_type: expected a name, got " "'],
    ['{"event_type":{}}', 'event_type: expected a name, got {}'],
    ['[1]', 'expected an object'],
    ['null', 'expected an object'],
    ['"x"', 'expected an object'],
    [`{"event_type":"${'x'.repeat(101)}"}`, 'event_type: expected at most 100 characters, got 101'],
  ])('when it is %s', (json, error) => {
    expect(errorOf(json)).toBe(error);
  });

  test('when it is not JSON', () => {
    expect(errorOf('{"event_type":"scomp"')).toMatch(/^not valid JSON: /);
  });
});

test('a value for a column that somebody else’s table lacks is left out and said', () => {
  const normalizer = createNormalizer(
    TABLE.filter(({ name }) => name !== 'mailclass'),
    OPTIONS,
  );
  const result = normalizer.normalize('{"event_type":"scomp","mailclass":"default","linkid":null}');
  expect(result.ok && result.row.has('mailclass')).toBe(false);
  expect([...normalizer.missingColumns]).toEqual(['mailclass']);
});

test('a column of somebody else’s table is a field like the others', () => {
  const table = [...TABLE, { name: 'tenant', type: 'text' }, { name: 'meta', type: 'jsonb' }];
  expect(rowOf('"tenant":"x","meta":{"a":[1]}', table)).toMatchObject({ tenant: 'x', meta: '{"a":[1]}' });
});
