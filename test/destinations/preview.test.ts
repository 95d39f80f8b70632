// What `tailrace explain` shows of a request or a statement, against what a delivery sends.

import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Config, RouteConfig } from '../../src/config/config.ts';
import { createDestination } from '../../src/destinations/create-destination.ts';
import { createPreview } from '../../src/destinations/create-preview.ts';
import type { Preview, RequestPreview, StatementPreview } from '../../src/destinations/preview.ts';
import { createLineReader } from '../../src/event/from-line.ts';
import { createLogger } from '../../src/lib/logger.ts';
import { loadGood } from '../config/config-file.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { createTestDatabase } from '../helpers/postgres.ts';
import { NEVER } from './samples.ts';

const made = createLineReader()(
  JSON.stringify({
    event_id: 42,
    event_type: 'scomp_lite',
    event_time: 1767225600,
    event_unique_id: 'größe 1',
    server_id: 'mail1',
    email: 'jürgen "j" <j@example.org>',
    user_agent: 'a\nb',
    headers: { Subject: '№7 💌' },
    is_privacy_open: true,
  }),
);
if ('problem' in made) throw new Error(made.problem);
const { event } = made;

async function configured(destination: object, env: NodeJS.ProcessEnv = {}): Promise<[RouteConfig, Config]> {
  const config = await loadGood({ event_destinations: [{ matches: { all: true }, destination }] }, env);
  return [config.routes[0] as RouteConfig, config];
}

async function previewed(destination: object, look = false, env: NodeJS.ProcessEnv = {}): Promise<Preview> {
  const [route, config] = await configured(destination, env);
  return createPreview(route.destination, { config, look })(event);
}

async function deliver(destination: object): Promise<void> {
  const [{ destination: settings }, config] = await configured(destination);
  const driver = createDestination(settings, { config, key: 'x', logger: createLogger({ level: 'silent' }) });
  try {
    expect(await driver.deliver([event], NEVER)).toEqual([{ ok: true }]);
  } finally {
    await driver.close();
  }
}

const SIGNING_SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

test.each([
  ['json', {}],
  ['json of the columns of its type', { columns: 'applicable' }],
  ['form', { format: 'form' }],
  ['compressed', { compress: true }],
  ['in a batch', { batch: { max_events: 100 } }],
  [
    'signed, with headers and credentials',
    { signing_secret: SIGNING_SECRET, headers: { 'X-Key': 'abcdef' }, auth: { bearer: 't0ken' } },
  ],
])('shows the very request that is sent: %s', async (_, settings) => {
  await using receiver = await createHttpReceiver({ body: 'ok' });
  const destination = { type: 'http_post', url: receiver.url('/a/b'), format: 'json', ...settings };
  const preview = (await previewed(destination)) as RequestPreview;
  expect(receiver.requests).toEqual([]);
  await deliver(destination);
  const [request] = receiver.requests;
  expect(preview).toMatchObject({
    kind: 'request',
    method: request?.method,
    url: receiver.url('/a/b'),
    body: request?.body,
  });
  const shown = Object.fromEntries(preview.headers.map(([name, value]) => [name.toLowerCase(), value]));
  // HTTP's own, and what holds a secret or the time.
  const { host, connection, 'content-length': length, ...sent } = request?.headers ?? {};
  const ofTheMoment = ['webhook-timestamp', 'webhook-signature'];
  expect(Object.keys(shown).sort()).toEqual(Object.keys(sent).sort());
  for (const [name, value] of Object.entries(shown)) {
    if (!value.includes('[secret]') && !ofTheMoment.includes(name)) expect(value, name).toBe(sent[name]);
  }
  expect(preview.batch_max_events).toBe('batch' in settings ? 100 : null);
});

test('masks every secret of a request', async () => {
  const preview = await previewed(
    {
      type: 'http_post',
      url: 'https://bob:hunter2@hooks.example.com/in?token=t0psecret',
      headers: { 'X-Api-Key': { env: 'KEY' }, 'User-Agent': 'k3y' },
      signing_secret: { env: 'SIGN' },
    },
    false,
    { KEY: 'apikey12', SIGN: SIGNING_SECRET },
  );
  expect(preview).toMatchObject({ url: 'https://hooks.example.com/in?[secret]' });
  const { headers } = preview as RequestPreview;
  expect(headers).toContainEqual(['authorization', 'Basic [secret]']);
  expect(headers.filter(([, value]) => value === '[secret]').map(([name]) => name)).toEqual([
    'X-Api-Key',
    'User-Agent',
  ]);
  const basic = Buffer.from('bob:hunter2').toString('base64');
  const secrets = ['hunter2', 't0psecret', 'apikey12', 'k3y', SIGNING_SECRET.slice(6), basic];
  expect(secrets.filter((secret) => JSON.stringify(preview).includes(secret))).toEqual([]);
});

test('shows nothing but the origin of a URL that was given as a secret', async () => {
  const env = { HOOK: 'https://hooks.example.com/T0/B0/xyz?a=b' };
  expect(await previewed({ type: 'http_post', url: { env: 'HOOK' } }, false, env)).toMatchObject({
    url: 'https://hooks.example.com/[secret]',
  });
});

test('says which proxy is in between, without its password', async () => {
  const env = { http_proxy: 'http://me:pr0xypw@proxy.example:3128' };
  const preview = (await previewed(
    { type: 'http_post', url: 'http://hooks.example.com/in' },
    false,
    env,
  )) as RequestPreview;
  expect(preview).toMatchObject({ url: 'http://hooks.example.com/in', through: 'the proxy proxy.example:3128' });
  expect(preview.headers).toContainEqual(['proxy-authorization', 'Basic [secret]']);
  expect(JSON.stringify(preview)).not.toContain('pr0xypw');
});

test('a body that goes out compressed is shown as the receiver reads it', async () => {
  const settings = { type: 'http_post', url: 'http://127.0.0.1:1/', format: 'json' };
  const plain = (await previewed(settings)) as RequestPreview;
  const packed = (await previewed({ ...settings, compress: true })) as RequestPreview;
  expect(packed.body).toBe(plain.body);
  expect(packed.headers).toContainEqual(['content-encoding', 'gzip']);
  expect(() => gunzipSync(Buffer.from(packed.body))).toThrow();
});

test('what is dropped or left is sent nothing', async () => {
  expect(await previewed({ type: 'leave_in_queue' })).toEqual({ kind: 'nothing' });
});

test.each([
  ['mysql://crm@10.0.0.5/crm', 'MySQL at 10.0.0.5:3306', 'UPDATE s SET n = ? WHERE email = ?'],
  ['postgresql://crm@10.0.0.5/crm', 'PostgreSQL at 10.0.0.5:5432', 'UPDATE s SET n = $1 WHERE email = $2'],
  ['mssql://crm@10.0.0.5/crm', 'SQL Server at 10.0.0.5:1433', 'UPDATE s SET n = @p1 WHERE email = @p2'],
])('shows a statement with the placeholders of its server: %s', async (db_dsn, server, sql) => {
  const preview = await previewed({
    type: 'custom_sql',
    db_dsn,
    db_password: 'pa55word',
    sql: 'UPDATE s SET n = ? WHERE email = ?',
    bind_list: ['event_time', 'email'],
  });
  expect(preview).toEqual({
    kind: 'statement',
    server,
    sql,
    table: null,
    parameters: [
      { column: 'event_time', value: '1767225600' },
      { column: 'email', value: 'jürgen "j" <j@example.org>' },
    ],
    notes: [],
  });
});

/** A connection URL as a destination wants it, of the test's own database. */
const dsnOf = (url: string): string => url.replace('postgres@', 'postgres:none@');

test('a statement that is shown does what the one that is sent does', async () => {
  await using database = await createTestDatabase();
  await database.query('CREATE TABLE seen (email text, at int)');
  const destination = {
    type: 'custom_sql',
    db_dsn: dsnOf(database.url),
    sql: 'INSERT INTO seen VALUES (?, ?)',
    bind_list: ['email', 'event_time'],
  };
  const { sql, parameters } = (await previewed(destination)) as StatementPreview;
  expect(await database.query('SELECT * FROM seen')).toEqual([]);
  await deliver(destination);
  await database.query(
    sql ?? '',
    parameters.map(({ value }) => value),
  );
  const [one, other, ...more] = await database.query('SELECT * FROM seen');
  expect([one, more]).toEqual([other, []]);
});

test('an INSERT is shown with the columns that the remote table has, when it is looked up', async () => {
  await using database = await createTestDatabase();
  await database.query('CREATE TABLE mail (event_unique_id text UNIQUE, email text, event_time int, headers text)');
  const destination = { type: 'sql_insert', db_dsn: dsnOf(database.url), table: 'mail' };

  const blind = (await previewed(destination)) as StatementPreview;
  expect(blind).toMatchObject({ sql: null, table: 'mail', notes: [expect.stringContaining('is not looked up')] });
  expect(blind.parameters).toContainEqual({ column: 'server_id', value: 'mail1' });

  const { sql, parameters, notes } = (await previewed(destination, true)) as StatementPreview;
  expect(await database.query('SELECT * FROM mail')).toEqual([]);
  expect(parameters.map(({ column }) => column).sort()).toEqual(['email', 'event_time', 'event_unique_id', 'headers']);
  expect(notes).toEqual([
    'the remote table has no column for event_type, user_agent, is_privacy_open, server_id: not delivered to it',
  ]);
  await deliver(destination);
  const [sent] = await database.query('DELETE FROM mail RETURNING *');
  // Each value as an array of one, as it goes to PostgreSQL.
  await database.query(
    sql ?? '',
    parameters.map(({ value }) => [value]),
  );
  expect(await database.query('SELECT * FROM mail')).toEqual([sent]);
});

test('a table that is missing or a server that is down is said, and the event is shown all the same', async () => {
  await using database = await createTestDatabase();
  const missing = await previewed({ type: 'sql_insert', db_dsn: dsnOf(database.url), table: 'nowhere' }, true);
  expect(missing).toMatchObject({ sql: null, notes: ['there is no such table that this user may see'] });
  const down = { type: 'sql_insert', db_dsn: 'postgresql://me:pa55word@127.0.0.1:1/x', table: 'mail' };
  const preview = (await previewed(down, true)) as StatementPreview;
  expect(preview.notes).toEqual([
    expect.stringMatching(/^it would fail now: PostgreSQL at 127\.0\.0\.1:1: .*ECONNREFUSED/),
  ]);
  expect(preview.parameters).toContainEqual({ column: 'server_id', value: 'mail1' });
  expect(JSON.stringify(preview)).not.toContain('pa55word');
});
