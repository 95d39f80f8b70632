import { describe, expect, test } from 'vitest';
import { formatProblem } from '../../src/config/problem.ts';
import { destinations, load, messages, post } from './config-file.ts';

test('a problem is FILE:LINE:COLUMN: message', () => {
  expect(formatProblem('/etc/x.json', { line: 3, column: 7, message: 'no' })).toBe('/etc/x.json:3:7: no');
});

test('all problems are found at once, each where it stands', async () => {
  const loaded = await load(`{
  "use_json_for_http_post": "yes",
  "logfil": { "filename": "/var/log/events.jsonl" },
  "event_destinations": [
    { "matches": { "event_type": "scomp", "mail_clas": "x" },
      "destination": { "type": "http_pots", "url": "https://hooks.example.com/" } },
    { "matches": { "all": true, "mail_class": "x" },
      "destination": { "type": "http_post", "timeout_ms": 0, "headers": { "Host": "b" } } },
    { "matches": { "event_type": "scomp" },
      "destination": { "type": "leave_in_queue", "url": "https://hooks.example.com/" } }
  ]
}`);
  expect(loaded.config).toBeNull();
  expect(messages(loaded).filter((message) => !message.includes('warning'))).toEqual([
    '2:29 "use_json_for_http_post": expected true or false, found "yes"',
    '3:3 unknown key "logfil" at the top level; did you mean "logfile"?',
    '5:43 unknown key "mail_clas" in "matches"; did you mean "mail_class"?',
    '6:32 "type": expected one of the types "http_post", "leave_in_queue", "drop_from_queue", "custom_sql", "sql_insert", found "http_pots"; did you mean "http_post"?',
    '7:20 "all" stands alone: take it out, or take the other keys out',
    '8:22 "url" is missing: expected an http:// or https:// URL, {"env": "NAME"} or {"file": "PATH"}',
    '8:59 "timeout_ms": expected a whole number from 100 to 600,000, found 0',
    '8:75 the header "Host" cannot be set: the url gives it',
    '9:18 the last entry of "event_destinations" has to match everything else: {"all": true}',
    '10:50 unknown key "url" in a destination of type "leave_in_queue"; it belongs to the type "http_post"',
  ]);
});

describe('the text', () => {
  test.each([
    ['', ['1:1 expected a configuration, found an empty file']],
    ['  \n ', ['1:1 expected a configuration, found an empty file']],
    ['[]', ['1:1 the configuration: expected an object in braces, found an empty list']],
    ['{"logfile": {"filename": "/l"}', ['1:31 expected "}", found the end of the file']],
    [
      '{"logfile": {"filename": "/l"}}}',
      ['1:32 expected the end of the file: the configuration is complete before this'],
    ],
    [
      '{"logfile": {"filename": "/l",},}',
      ['1:30 JSON allows no comma before "}"; take it out', '1:32 JSON allows no comma before "}"; take it out'],
    ],
    [
      '// a\n{"logfile": {"filename": "/l" /* b */}}',
      ['1:1 JSON has no comments; take it out', '2:31 JSON has no comments; take it out'],
    ],
    [
      '{"logfile": {"filename": "/l"}\n "server_id": 5}',
      ['2:2 expected a comma before this', '2:15 "server_id": expected a text that is not empty, found 5'],
    ],
    [
      '{"logfile": {"filename": "/l"},\n"logfile": {"filename": "/m"}}',
      ['2:1 the key "logfile" is given twice, first on line 1'],
    ],
    [`${'['.repeat(100_000)}`, ['1:65 this is nested more than 64 deep']],
  ])('%j', async (text, expected) => {
    expect(messages(await load(text))).toEqual(expected);
  });

  test('several syntax errors are reported together, without what only follows from them', async () => {
    const loaded = await load(`{\n  'a': 1,\n  "b": foo,\n  "c": TRUE\n}`);
    expect(loaded.problems.map(({ line, column }) => [line, column])).toEqual([
      [2, 3],
      [3, 8],
      [4, 8],
    ]);
  });
});

describe('a rule', () => {
  test.each([
    ['needs destinations or a log file', {}, '1:1 expected "event_destinations" or "logfile" or both, found neither'],
    [
      'needs more than an empty list',
      { event_destinations: [] },
      '1:1 expected "event_destinations" or "logfile" or both',
    ],
    ['has something in matches', destinations(post('http://h/', {}, { matches: {} })), '"matches" is empty'],
    [
      'has something in a list',
      destinations(post('http://h/', {}, { matches: { event_type: [] } })),
      'found an empty list',
    ],
    [
      'has all: true only',
      destinations(post('http://h/', {}, { matches: { all: false } })),
      '"all": expected true, found false',
    ],
    [
      'knows one mode',
      { configuration_mode: 'simple', logfile: { filename: '/l' } },
      'expected "json", the only mode there is (write the destinations out under "event_destinations"), found "simple"',
    ],
    [
      'wants the mode in octal',
      { logfile: { filename: '/l', mode: '0689' } },
      '"mode": expected an octal file mode in quotes',
    ],
    ['wants a mode its owner can write with', { logfile: { filename: '/l', mode: '0444' } }, '"mode": expected'],
    [
      'wants retry times in order',
      destinations(post('http://h/', { retry: { initial_ms: 5, max_ms: 4 } })),
      '"max_ms": expected at least "initial_ms" (5), found 4',
    ],
    [
      'says where a key belongs',
      { filename_append_date: true, logfile: { filename: '/l' } },
      'it belongs in "logfile"',
    ],
    [
      'wants http or https',
      destinations(post('ftp://h/')),
      '"url": expected an http:// or https:// URL, found a text with another scheme',
    ],
    [
      'wants a URL',
      destinations(post('hooks.example.com')),
      '"url": expected an http:// or https:// URL, found a text that is no URL',
    ],
    ['knows SQL keys', destinations(post('http://h/', { sql: 'x' })), 'it belongs to the type "custom_sql"'],
  ])('%s', async (_, content, expected) => {
    const loaded = await load(content);
    expect(loaded.config).toBeNull();
    expect(messages(loaded)[0]).toContain(expected);
  });
});

describe('the delivery log has a file of its own', () => {
  test.each([
    ['the log file', 'events.jsonl', {}],
    ['the log file by another path', './logs/../events.jsonl', {}],
    ['a file of the log with its date', 'events.jsonl.2026-01-31', { filename_append_date: true }],
  ])('and not %s', async (_, filename, more) => {
    const loaded = await load({ logfile: { filename: 'events.jsonl', ...more }, delivery_log: { filename } });
    expect(loaded.config).toBeNull();
    expect(messages(loaded)).toEqual([
      expect.stringMatching('"filename": expected a file of its own for the delivery log, found the log file'),
    ]);
  });

  test('beside the log file', async () => {
    const loaded = await load({ logfile: { filename: 'a.jsonl' }, delivery_log: { filename: 'b.jsonl' } });
    expect([messages(loaded), loaded.config?.deliveryLog?.filename]).toEqual([
      [],
      expect.stringMatching(/^\/.*b.jsonl$/),
    ]);
  });
});
