import { describe, expect, test } from 'vitest';
import type { CustomSqlConfig, SqlInsertConfig } from '../../src/config/config.ts';
import { destinations, load, loadGood, messages } from './config-file.ts';

const entry = (destination: object, more: object = {}) => ({ matches: { event_type: 'scomp' }, destination, ...more });
const custom = (settings: object = {}) => ({
  type: 'custom_sql',
  db_dsn: 'mysql://crm@10.0.0.5/crm',
  sql: 'UPDATE t SET a = 1 WHERE email = ?',
  bind_list: ['email'],
  ...settings,
});
const insert = (settings: object = {}) => ({
  type: 'sql_insert',
  db_dsn: 'postgresql://crm@10.0.0.5/crm',
  table: 'events',
  ...settings,
});
async function made<Made extends CustomSqlConfig | SqlInsertConfig>(destination: object, env: NodeJS.ProcessEnv = {}) {
  const [route] = (await loadGood(destinations(entry(destination)), env)).routes;
  if (!route) throw new Error('no route');
  return route.destination as Made; // what the test asked for
}
const keyOf = async (destination: object, env: NodeJS.ProcessEnv = {}) =>
  (await loadGood(destinations(entry(destination)), env)).routes[0]?.key ?? '';

test('the credentials of their own keys win over those of the DSN', async () => {
  const settings = { db_dsn: 'mysql://a:b@h/d', db_username: { env: 'U' }, db_password: 'secret' };
  const destination = await made<CustomSqlConfig>(custom(settings), { U: 'crm' });
  expect([destination.target.username.reveal(), destination.target.password?.reveal()]).toEqual(['crm', 'secret']);
  expect(JSON.stringify(destination)).not.toMatch(/"secret"|"crm"/);
});

test('paths of certificates begin at the folder of the configuration', async () => {
  const { target } = await made<CustomSqlConfig>(custom({ db_dsn: 'mysql://u@h/d?ssl-ca=ca.pem' }));
  expect(target.tls?.caFile).toMatch(/^\/.*\/ca\.pem$/);
});

test.each([
  ['events', ['events']],
  ['crm.events', ['crm', 'events']],
  ['crm . "my.events"', ['crm', 'my.events']],
  ['[dbo].[my]]events]', ['dbo', 'my]events']],
  ['"a""b"', ['a"b']],
])('the table %s', async (table, parts) => {
  expect((await made<SqlInsertConfig>(insert({ table }))).table).toEqual(parts);
});

describe('problems', () => {
  test.each([
    [
      custom({ sql: 'UPDATE t SET a = ? WHERE email = ?' }),
      '"sql": expected a placeholder ? for each of the 1 column of "bind_list", found 2',
    ],
    [custom({ bind_list: ['email', 'sendid'] }), 'for each of the 2 columns of "bind_list", found 1'],
    [custom({ sql: "UPDATE t SET a = 'b WHERE email = ?" }), '"sql": a literal has no end'],
    [
      custom({ bind_list: ['e_mail'] }),
      '"bind_list": expected a column of the queue table, found "e_mail"; did you mean "email"?',
    ],
    [custom({ db_dsn: 'mysql://10.0.0.5/crm' }), '"db_dsn": it names no user; add "db_username"'],
    [custom({ db_dsn: 'http://h/' }), '"db_dsn": expected a database URL'],
    [custom({ db_password: { env: 'NOT_SET' } }), '"db_password": the environment variable NOT_SET is not set'],
    [
      insert({ db_dsn: 'postgresql://u@h/d', type: 'custom_sql', table: undefined, sql: 'SELECT 1; SELECT 2' }),
      'found another one behind a semicolon',
    ],
    [insert({ type: 'custom_sql', table: undefined, sql: "SELECT h ? 'a'" }), 'found 1; the operator ? is written ??'],
    [insert({ table: 'a.b.c.d' }), '"table": expected TABLE or SCHEMA.TABLE'],
    [insert({ table: 'a.' }), '"table": expected TABLE or SCHEMA.TABLE'],
    [insert({ table: '"a' }), '"table": expected TABLE or SCHEMA.TABLE'],
    [
      insert({ columns: ['email', 'emal'] }),
      '"columns": expected a column of the queue table, found "emal"; did you mean "email"?',
    ],
    [insert({ columns: ['email', 'email'] }), '"columns": "email" is named twice'],
    [insert({ columns: [] }), '"columns": expected a list of column names, not empty'],
  ])('%j', async (destination, expected) => {
    const loaded = await load(destinations(entry(destination)));
    expect(loaded.config).toBeNull();
    expect(messages(loaded)).toEqual([expect.stringContaining(expected)]);
  });

  test('stand where the mistake is', async () => {
    const loaded = await load(`{"event_destinations": [
      {"matches": {"all": true}, "destination": {"type": "custom_sql", "db_dsn": "mysql://u@h/d",
       "sql": "SELECT ?",
       "bind_list": ["email",
         "sendidd"]}}]}`);
    expect(messages(loaded)).toEqual([
      expect.stringMatching(/^3:15 "sql": /),
      expect.stringMatching(/^5:10 "bind_list": .*did you mean "sendid"/),
    ]);
  });

  test('quote no secret', async () => {
    const CANARY = 'CANARY';
    for (const db_dsn of [
      `mysql://u:${CANARY}@h:x/d`,
      `mysql://u:${CANARY}@h/d?x${CANARY}=1`,
      `dbi:mysql:pass${CANARY}=1`,
    ]) {
      const loaded = await load(destinations(entry(custom({ db_dsn }))));
      expect(loaded.problems).toHaveLength(1);
      expect(messages(loaded).join()).not.toContain(CANARY);
    }
  });
});

describe('the key', () => {
  test('is the same for a URL, a Perl string and other credentials', async () => {
    const key = await keyOf(custom());
    expect(key).toMatch(/^custom_sql mysql:\/\/10\.0\.0\.5\/crm \?#[0-9a-f]{8}$/);
    expect(await keyOf(custom({ db_dsn: 'mariadb://a:b@10.0.0.5:3306/crm' }))).toBe(key);
    expect(await keyOf(custom({ db_dsn: 'DBI:mysql:database=crm;host=10.0.0.5', db_username: 'x' }))).toBe(key);
  });

  test('tells statements and columns apart', async () => {
    const keys = [
      await keyOf(custom()),
      await keyOf(custom({ sql: 'UPDATE t SET a = 2 WHERE email = ?' })),
      await keyOf(custom({ bind_list: ['sendid'] })),
    ];
    expect(new Set(keys).size).toBe(3);
  });

  test('shows the table of sql_insert', async () => {
    expect(await keyOf(insert({ table: 'crm.events' }))).toBe('sql_insert postgresql://10.0.0.5/crm crm.events');
    expect(await keyOf(insert({ db_dsn: 'postgresql://u@/d?host=/run/pg' }))).toBe(
      'sql_insert postgresql://%2Frun%2Fpg/d events',
    );
  });

  test('shows the server only of a DSN that is a secret', async () => {
    const key = await keyOf(insert({ db_dsn: { env: 'DSN' } }), { DSN: 'postgresql://u:p@h/hidden' });
    expect(key).toMatch(/^sql_insert postgresql:\/\/h\/ events \?#[0-9a-f]{8}$/);
  });
});

test('a new statement is a new configuration, new credentials are not', async () => {
  const fingerprint = async (settings: object) =>
    (await loadGood(destinations(entry(custom(settings), { name: 'crm' })))).fingerprint;
  const before = await fingerprint({});
  expect(await fingerprint({ db_password: 'x', concurrency: 2 })).toBe(before);
  expect(await fingerprint({ sql: 'UPDATE t SET a = 2 WHERE email = ?' })).not.toBe(before);
  expect(await fingerprint({ db_dsn: 'mysql://crm@10.0.0.6/crm' })).not.toBe(before);
});

test('two entries with one name and two passwords are in conflict', async () => {
  const loaded = await load(
    destinations(entry(custom({ db_password: 'a' }), { name: 'crm' }), {
      ...entry(custom({ db_password: 'b' }), { name: 'crm' }),
      matches: { event_type: 'engine_open' },
    }),
  );
  expect(messages(loaded)).toEqual([expect.stringContaining('this goes to the same destination as')]);
});
