// Files of the old processor: taken as they are, or told exactly what to change (docs/migration.md lists the messages).

import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { load, messages } from './config-file.ts';

const MIGRATION = await readFile(new URL('../../docs/migration.md', import.meta.url), 'utf8');

const entry = (matches: object, destination: object) => ({ matches, destination });
const hook = { type: 'http_post', url: 'https://my-hook-server.exampledomain.com/notification' };
const REST = entry({ all: true }, { type: 'leave_in_queue' });
const file = (entries: unknown, more: object = {}) => ({
  configuration_mode: 'json',
  ...more,
  event_destinations: entries,
});
const sql = (db_dsn: string, more: object = {}) => ({
  type: 'custom_sql',
  db_dsn,
  db_username: 'greenarrow',
  db_password: 'password',
  sql: 'UPDATE subscribers SET bad = 1 WHERE email = ?',
  bind_list: ['email'],
  ...more,
});

describe('is taken as it is:', () => {
  test.each<[string, unknown]>([
    ['what the installation writes', file([REST])],
    ['everything to one hook, as JSON', file([entry({ all: true }, hook)], { use_json_for_http_post: true })],
    ['everything to one hook, as a form', file([entry({ all: true }, hook)], { use_json_for_http_post: false })],
    [
      'a hook over plain HTTP with a query and a password',
      file([entry({ all: true }, { ...hook, url: 'http://u:p@10.0.0.1:8080/h.php?a=1&b=%20' })]),
    ],
    [
      'one type, and a list of types',
      file([
        entry({ event_type: 'bounce_all' }, hook),
        entry({ event_type: ['scomp', 'bounce_bad_address'] }, sql('DBI:mysql:database=crm;host=10.0.0.5')),
        REST,
      ]),
    ],
    [
      'former type names',
      file([entry({ event_type: ['hook_stat', 'hook_bounce', 'hook_scomp', 'hook_unsub'] }, hook), REST]),
    ],
    [
      'Mail Classes',
      file([
        entry({ mail_class: ['Transactional', 'news'] }, hook),
        entry({ mail_class: 'x', event_type: 'scomp' }, hook),
        REST,
      ]),
    ],
    [
      'the same hook in several entries',
      file([entry({ event_type: 'scomp' }, hook), entry({ event_type: 'engine_open' }, hook), REST]),
    ],
    [
      'types that are dropped',
      file([entry({ event_type: 'delivery_attempt' }, { type: 'drop_from_queue' }), entry({ all: true }, hook)]),
    ],
    [
      'a file and no destinations',
      { configuration_mode: 'json', logfile: { filename: '/var/log/events.jsonl', filename_append_date: true } },
    ],
    ['a file and destinations', file([REST], { logfile: { filename: '/var/log/events.jsonl' } })],
    ['settings of HTTP', file([entry({ all: true }, hook)], { http_keep_alive: 5, http_user_agent: 'GreenArrow' })],
    ['no mode', { event_destinations: [REST] }],
    [
      'a byte-order mark and Windows line ends',
      `\ufeff${JSON.stringify(file([REST]), null, 2).replaceAll('\n', '\r\n')}`,
    ],
  ])('%s', async (_name, content) => {
    expect(messages(await load(content))).toEqual([]);
  });

  test.each([
    'DBI:mysql:database=crm;host=10.0.0.5;port=3306',
    'dbi:mysql:dbname=crm;host=10.0.0.5;mysql_enable_utf8=1;mysql_connect_timeout=5',
    'dbi:mysql:crm:10.0.0.5:3307',
    'dbi:MariaDB:database=crm;host=10.0.0.5',
    'dbi:Pg:dbname=crm;host=10.0.0.5;port=5433;sslmode=require',
    'dbi:Pg(AutoCommit=>1):dbname=crm;host=/var/run/postgresql',
    'dbi:ODBC:Driver={ODBC Driver 18 for SQL Server};Server=tcp:10.0.0.5,1433;Database=crm',
    'dbi:Sybase:server=10.0.0.5;database=crm',
  ])('an SQL destination at %s', async (dsn) => {
    expect(messages(await load(file([entry({ event_type: 'scomp' }, sql(dsn)), REST])))).toEqual([]);
    const call = { sql: 'CALL unsubscribe(?, ?, ?)', bind_list: ['email', 'event_time', 'listid'] };
    const isCall = !/ODBC|Sybase/.test(dsn);
    if (isCall) expect(messages(await load(file([entry({ event_type: 'scomp' }, sql(dsn, call)), REST])))).toEqual([]);
  });
});

describe('is told what to change:', () => {
  test.each<[string, unknown, string[]]>([
    [
      'another mode',
      file([REST], { configuration_mode: 'legacy' }),
      [
        '"configuration_mode": expected "json", the only mode there is (write the destinations out under "event_destinations"), found "legacy"',
      ],
    ],
    [
      'no last entry for all',
      file([entry({ event_type: 'scomp' }, hook)]),
      ['the last entry of "event_destinations" has to match everything else: {"all": true}'],
    ],
    [
      'numbers for true',
      file([entry({ all: 1 }, hook)], { use_json_for_http_post: 1 }),
      ['"use_json_for_http_post": expected true or false, found 1', '"all": expected true, found 1'],
    ],
    [
      'texts for true',
      file([REST], { use_json_for_http_post: 'true' }),
      ['"use_json_for_http_post": expected true or false, found "true"'],
    ],
    [
      'comments',
      '{\n// where to\n/* and\n how */ "event_destinations": [\n{"matches": {"all": true}, "destination": {"type": "leave_in_queue"}}]}',
      ['JSON has no comments; take it out', 'JSON has no comments; take it out'],
    ],
    [
      'comments as in Perl',
      '{\n# where to, don\'t ask\n  "event_destinations": [ # "here"\n{"matches": {"all": true}, "destination": {"type": "leave_in_queue"}}]}',
      ['JSON has no comments; take it out', 'JSON has no comments; take it out'],
    ],
    [
      'commas too many',
      '{"event_destinations": [{"matches": {"all": true}, "destination": {"type": "leave_in_queue"},},],}',
      [
        'JSON allows no comma before "}"; take it out',
        'JSON allows no comma before "]"; take it out',
        'JSON allows no comma before "}"; take it out',
      ],
    ],
    [
      'a key that is none of ours',
      file([entry({ all: true }, { ...hook, http_timeout: 5 })]),
      ['unknown key "http_timeout" in a destination of type "http_post"'],
    ],
    [
      'a slip in a key',
      file([entry({ event_type: 'scomp', mailclass: 'x' }, hook), REST]),
      ['unknown key "mailclass" in "matches"; did you mean "mail_class"?'],
    ],
    [
      'a database that there is no driver for',
      file([entry({ event_type: 'scomp' }, sql('dbi:Oracle:host=10.0.0.5;sid=crm')), REST]),
      ['"db_dsn": expected one of the Perl drivers mysql, MariaDB, Pg, ODBC and Sybase behind "DBI:"'],
    ],
    [
      'a data source of ODBC',
      file([entry({ event_type: 'scomp' }, sql('dbi:ODBC:crm')), REST]),
      ['"db_dsn": it names a data source that only ODBC can look up; write the server out: mssql://10.0.0.5/crm'],
    ],
    [
      'an empty matches',
      file([entry({}, hook)]),
      [
        '"matches" is empty: expected "event_type" or "mail_class", or {"all": true}',
        'the last entry of "event_destinations" has to match everything else: {"all": true}',
      ],
    ],
    [
      'a key given twice',
      '{"logfile": {"filename": "/a"}, "logfile": {"filename": "/b"}}',
      ['the key "logfile" is given twice, first on line 1'],
    ],
  ])('%s', async (_name, content, expected) => {
    const { config, problems } = await load(content);
    expect(problems.map(({ message }) => message)).toEqual(expected.map((message) => expect.stringContaining(message)));
    expect(config).toBeNull();
  });

  test('each comment where it stands', async () => {
    const text = '{ # one\n  "logfile": {"filename": "/a#b"} # two, with a "text"\n}';
    expect(messages(await load(text))).toEqual([
      '1:3 JSON has no comments; take it out',
      '2:35 JSON has no comments; take it out',
    ]);
  });
});

test('the page about moving names these messages as they are', async () => {
  const [, table = ''] = /^\| message \| do \|\n(.*?)\n\n/ms.exec(MIGRATION) ?? [];
  const shown = [...table.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
  const wrong = [
    file(
      [
        entry({ event_type: 'scomp', mailclass: 'x' }, hook),
        entry({ event_type: 'scomp' }, sql('dbi:Oracle:x')),
        entry({ event_type: 'scomp' }, sql('dbi:ODBC:crm')),
      ],
      { configuration_mode: 'x', use_json_for_http_post: 1 },
    ),
    '{"logfile": [1,], // no\n}',
  ];
  const said = (await Promise.all(wrong.map((content) => load(content)))).flatMap(messages).join('\n');
  const isSaid = (text: string): boolean => text.split('…').every((part) => said.includes(part.trim()));
  const messagesShown = shown.filter((text) => /expected|JSON|unknown key|last entry|data source/.test(text));
  expect(messagesShown.length).toBeGreaterThan(6);
  expect(messagesShown.filter((text) => !isSaid(text))).toEqual([]);
});
