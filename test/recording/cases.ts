// What recording does to an event, as one table. The recorder behind `tailrace record`, the SQL functions, the
// library and the HTTP intake are programs of their own; alike.test.ts runs every case through each of them.

/** Engine types that are off while the cases run; all others are on. */
export const ENGINE_OFF = ['engine_open', 'scomp_lite'];
/** Types whose Studio switch is on while the cases run; all others are off. */
export const STUDIO_ON = ['scomp', 'studio_click'];

export interface Case {
  readonly title: string;
  /** The event as JSON text. */
  readonly event: string;
  /** What the library is given instead, where JSON.parse would lose something. */
  readonly js?: object;
  /** Columns as PostgreSQL prints them; null = empty. A pattern where it is not fixed. */
  readonly row?: Readonly<Record<string, string | null | RegExp>>;
  /** Why it is rejected, without "did you mean". */
  readonly error?: string;
  /** What the SQL functions say, where jsonb has lost how the value was written. */
  readonly sqlError?: string | RegExp;
  /** Good, but its type is switched off. */
  readonly suppressed?: true;
  /** jsonb cannot hold it: PostgreSQL's own error there. */
  readonly notInJsonb?: true;
}

const scomp = (members: string): string => `{"event_type":"scomp",${members}}`;
const bounce = (members: string): string => `{"event_type":"bounce_all",${members}}`;
const attempt = (members: string): string => `{"event_type":"delivery_attempt",${members}}`;

export const CASES: readonly Case[] = [
  {
    title: 'what is missing is filled in',
    event: scomp('"email":null'),
    row: {
      event_type: 'scomp',
      event_time: /^1[789]\d{8}$/,
      event_unique_id: /^[0-9a-f]{64}$/,
      server_id: 'mail1',
      destination_id: '1',
      email: null,
    },
  },
  {
    title: 'what the event says is not replaced',
    event: scomp('"event_time":5,"event_unique_id":"u","server_id":"","destination_id":2'),
    row: { event_time: '5', event_unique_id: 'u', server_id: '', destination_id: '2' },
  },
  { title: 'hook_stat is bounce_all', event: '{"event_type":"hook_stat"}', row: { event_type: 'bounce_all' } },
  { title: 'former names in any case', event: '{"event_type":"HOOK_UNSUB"}', row: { event_type: 'engine_unsub' } },
  { title: 'types in any case', event: '{"event_type":"Scomp"}', row: { event_type: 'scomp' } },
  { title: 'an unknown type keeps its name', event: '{"event_type":"Our_Own"}', row: { event_type: 'Our_Own' } },
  {
    title: 'list and send of a bounce are in lower case',
    event: bounce('"listid":"T99Ä","sendid":"Σ1"'),
    row: { listid: 't99ä', sendid: 'σ1' },
  },
  {
    title: 'by its former name too',
    event: '{"event_type":"hook_bounce","listid":"T99"}',
    row: { event_type: 'bounce_bad_address', listid: 't99' },
  },
  {
    title: 'those of other types stay',
    event: scomp('"listid":"T99","sendid":"S"'),
    row: { listid: 'T99', sendid: 'S' },
  },
  {
    title: 'the text of a bounce is cut at 1,024 bytes',
    event: bounce(`"bounce_text":"${'x'.repeat(2_000)}"`),
    row: { bounce_text: 'x'.repeat(1_024) },
  },
  {
    title: 'before a character of two bytes, not in it',
    event: bounce(`"bounce_text":"x${'é'.repeat(600)}"`),
    row: { bounce_text: `x${'é'.repeat(511)}` },
  },
  {
    title: 'before a character of four bytes, not in it',
    event: bounce(`"bounce_text":"xxx${'😀'.repeat(300)}"`),
    row: { bounce_text: `xxx${'😀'.repeat(255)}` },
  },
  {
    title: 'a text of exactly 1,024 bytes stays whole',
    event: bounce(`"bounce_text":"${'é'.repeat(512)}"`),
    row: { bounce_text: 'é'.repeat(512) },
  },
  {
    title: 'U+FFFD goes from a message and stays elsewhere',
    event: attempt('"message":"a\ufffdb","email":"a\ufffdb"'),
    row: { message: 'ab', email: 'a\ufffdb' },
  },
  {
    title: 'U+FFFD that is written as an escape does as well',
    event: attempt('"message":"a\\uFFFDb\\\\ufffd\\n","email":"a\\ufffdb"'),
    js: { event_type: 'delivery_attempt', message: 'a\ufffdb\\ufffd\n', email: 'a\ufffdb' },
    row: { message: 'ab\\ufffd\n', email: 'a\ufffdb' },
  },
  { title: 'is_retry true is 1', event: attempt('"is_retry":true'), row: { is_retry: '1' } },
  { title: 'is_retry false is 0', event: attempt('"is_retry":false'), row: { is_retry: '0' } },
  { title: 'is_retry as a text', event: attempt('"is_retry":"1"'), row: { is_retry: '1' } },
  {
    title: 'an object for a text column is its JSON text',
    event: attempt('"headers":{"n": 9007199254740993}'),
    js: { event_type: 'delivery_attempt', headers: '{"n": 9007199254740993}' },
    row: { headers: '{"n": 9007199254740993}' },
  },
  {
    title: 'a number for a text column is its digits',
    event: scomp('"click_tracking_id":12345678901234567890'),
    js: { event_type: 'scomp', click_tracking_id: 12345678901234567890n },
    row: { click_tracking_id: '12345678901234567890' },
  },
  {
    title: 'a bigint keeps its digits',
    event: scomp('"studio_rl_seq":9223372036854775807'),
    js: { event_type: 'scomp', studio_rl_seq: 9223372036854775807n },
    row: { studio_rl_seq: '9223372036854775807' },
  },
  {
    title: 'a bigint as a text does too',
    event: scomp('"studio_rl_seq":"-9223372036854775808"'),
    row: { studio_rl_seq: '-9223372036854775808' },
  },
  {
    title: 'integers without weight behind the point',
    event: scomp('"bounce_code":1e1,"outmtaid":4.0'),
    row: { bounce_code: '10', outmtaid: '4' },
  },
  {
    title: 'a double keeps its digits',
    event: attempt('"timestamp":1795298400.123456'),
    row: { timestamp: '1795298400.123456' },
  },
  { title: 'NaN as a text', event: attempt('"timestamp":"NaN"'), row: { timestamp: 'NaN' } },
  {
    title: 'booleans as words and numbers',
    event: bounce('"synchronous":"f","is_privacy_open":1'),
    row: { synchronous: 'false', is_privacy_open: 'true' },
  },
  {
    title: 'addresses of both kinds',
    event: '{"event_type":"studio_click","studio_ip":"2001:db8::1"}',
    row: { studio_ip: '2001:db8::1/128' },
  },
  {
    title: 'texts that need escaping',
    event: scomp(`"email":${JSON.stringify('a"b\\c\nd\u2028é😀\'{}$1 \u0001')},"user_agent":""`),
    row: { email: 'a"b\\c\nd\u2028é😀\'{}$1 \u0001', user_agent: '' },
  },
  {
    title: 'of a field that stands twice the last counts',
    event: scomp('"email":"a","email":"b"'),
    row: { email: 'b' },
  },
  { title: 'U+0000 is U+FFFD', event: scomp('"email":"a\\u0000b"'), row: { email: 'a\ufffdb' }, notInJsonb: true },
  {
    title: 'a lone surrogate is U+FFFD',
    event: scomp('"email":"a\\ud800b"'),
    row: { email: 'a\ufffdb' },
    notInJsonb: true,
  },

  { title: 'no type', event: '{"email":"a@example.com"}', error: 'event_type: missing' },
  { title: 'a null type', event: '{"event_type":null}', error: 'event_type: missing' },
  { title: 'a blank type', event: '{"event_type":" "}', error: 'event_type: expected a name, got " "' },
  { title: 'a type that is no text', event: '{"event_type":7}', error: 'event_type: expected a name, got 7' },
  {
    title: 'a type that is too long',
    event: `{"event_type":"${'x'.repeat(101)}"}`,
    error: 'event_type: expected at most 100 characters, got 101',
  },
  { title: 'not an object', event: '[1]', error: 'expected an object' },
  { title: 'a scalar', event: '"x"', error: 'expected an object' },
  {
    title: 'a text for an integer',
    event: scomp('"bounce_code":"x"'),
    error: 'bounce_code: expected integer, got "x"',
  },
  { title: 'half an integer', event: scomp('"bounce_code":1.5'), error: 'bounce_code: expected integer, got 1.5' },
  {
    title: 'a boolean for an integer',
    event: scomp('"bounce_code":true'),
    error: 'bounce_code: expected integer, got true',
  },
  {
    title: 'an object for an integer',
    event: scomp('"bounce_code":{}'),
    error: 'bounce_code: expected integer, got {}',
  },
  {
    title: 'an integer out of range',
    event: scomp('"outmtaid":2147483648'),
    error: 'outmtaid: 2147483648 is out of range for integer',
  },
  {
    title: 'a negative one',
    event: scomp('"outmtaid":-2147483649'),
    error: 'outmtaid: -2147483649 is out of range for integer',
  },
  {
    title: 'a bigint out of range',
    event: scomp('"studio_rl_seq":"9223372036854775808"'),
    error: 'studio_rl_seq: "9223372036854775808" is out of range for bigint',
  },
  {
    title: 'a word for a number',
    event: attempt('"timestamp":"soon"'),
    error: 'timestamp: expected number, got "soon"',
  },
  {
    title: 'a number out of range',
    event: attempt('"timestamp":1e400'),
    js: { event_type: 'delivery_attempt', timestamp: 10n ** 400n },
    error: 'timestamp: 1e400 is out of range',
    sqlError: /^timestamp: 10{59}\.\.\. is out of range$/,
  },
  {
    title: 'a word for a boolean',
    event: bounce('"synchronous":"maybe"'),
    error: 'synchronous: expected boolean, got "maybe"',
  },
  {
    title: 'no address',
    event: scomp('"studio_ip":"999.1.2.3"'),
    error: 'studio_ip: expected IP address, got "999.1.2.3"',
  },
  { title: 'no address at all', event: scomp('"studio_ip":"a:b"'), error: 'studio_ip: expected IP address, got "a:b"' },
  { title: 'a list for a text', event: scomp('"email":["a"]'), error: 'email: expected text, got ["a"]' },
  { title: 'a boolean for a text', event: scomp('"email":true'), error: 'email: expected text, got true' },
  { title: 'an unknown field', event: scomp('"bounce_cod":1'), error: 'bounce_cod: unknown field' },
  { title: 'a field with a strange name', event: scomp('"a\\nb":1'), error: '"a\\nb": unknown field' },
  { title: 'an id', event: scomp('"id":7'), error: 'id: is given by the queue table; leave it out' },
  {
    title: 'two things at once',
    event: scomp('"bounce_code":"x","email":[]'),
    error: 'bounce_code: expected integer, got "x"; email: expected text, got []',
  },
  {
    title: 'an unknown field that is null is no matter',
    event: scomp('"bounce_cod":null'),
    row: { event_type: 'scomp' },
  },

  { title: 'a type that is off', event: '{"event_type":"engine_open"}', suppressed: true },
  { title: 'another one that is off', event: '{"event_type":"scomp_lite"}', suppressed: true },
  { title: 'a type that is on', event: '{"event_type":"engine_click"}', row: { event_type: 'engine_click' } },
  { title: 'off at the Studio, on at the Engine', event: bounce('"studio_campaign_id":7'), suppressed: true },
  { title: 'the same with a null id', event: bounce('"studio_campaign_id":null'), row: { event_type: 'bounce_all' } },
  { title: 'the same with what is no id', event: bounce('"studio_is_unique":true'), row: { event_type: 'bounce_all' } },
  { title: 'by a former name', event: '{"event_type":"hook_stat","studio_campaign_id":7}', suppressed: true },
  { title: 'on at the Studio', event: scomp('"studio_campaign_id":7'), row: { studio_campaign_id: '7' } },
  { title: 'a type of the Studio that is off', event: '{"event_type":"studio_open"}', suppressed: true },
  {
    title: 'a type of the Studio that is on',
    event: '{"event_type":"studio_click"}',
    row: { event_type: 'studio_click' },
  },
  {
    title: 'an unknown type has no switch',
    event: '{"event_type":"our_own","studio_campaign_id":7}',
    row: { event_type: 'our_own' },
  },
  {
    title: 'a bad event of a type that is off is bad',
    event: '{"event_type":"engine_open","bounce_code":"x"}',
    error: 'bounce_code: expected integer, got "x"',
  },
];
