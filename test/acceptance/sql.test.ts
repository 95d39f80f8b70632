// The built program delivers to databases: to a table in MariaDB, and by a statement in PostgreSQL, with every event in
// the log file once, whatever happens to the databases meanwhile.

import { expect, test } from 'vitest';
import { requireMariadb, startMariadb } from '../helpers/mariadb.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, expectOneLineEach, SLOW_MS, scaled, stopped, waitUntilDrained } from './world.ts';

const EVENTS = scaled(48_000, 1_500);
const PASSWORD = 'Accept-s3cret';
const RETRY = { initial_ms: 20, max_ms: 200 };

test.skipIf(!requireMariadb())(
  `${EVENTS} events go to a table in MariaDB and through a statement in PostgreSQL, each once`,
  { timeout: SLOW_MS },
  async () => {
    await using world = await createWorld();
    await using mariadb = await startMariadb();
    const crm = await mariadb.createDatabase();
    await crm.query(
      'CREATE TABLE events (id BIGINT AUTO_INCREMENT PRIMARY KEY, event_type VARCHAR(30), event_time INT, email TEXT, event_unique_id VARCHAR(255) UNIQUE)',
    );
    await world.database.query('CREATE TABLE opens (event_unique_id text PRIMARY KEY, email text, opened_at int)');
    await world.configure({
      logfile: { filename: world.log },
      event_destinations: [
        {
          name: 'crm',
          matches: { event_type: 'bounce_all' },
          destination: { type: 'sql_insert', db_dsn: crm.url, table: 'events', retry: RETRY },
        },
        {
          matches: { all: true },
          destination: {
            type: 'custom_sql',
            db_dsn: world.database.url,
            db_password: { env: 'PG_SECRET' },
            sql: 'INSERT INTO opens (event_unique_id, email, opened_at) VALUES (?, ?, ?)',
            bind_list: ['event_unique_id', 'email', 'event_time'],
            on_conflict: 'accept',
            retry: RETRY,
          },
        },
      ],
    });
    await using running = await world.run({ env: { PG_SECRET: PASSWORD } });
    const insert = (from: number, to: number, type: string) =>
      world.database.query<{ id: string }>(
        `INSERT INTO events (event_type, event_time, email, event_unique_id)
         SELECT $3::text, 1767225600, n || '@example.com', $3::text || n FROM generate_series($1::int, $2::int) AS n RETURNING id`,
        [from, to, type],
      );
    const third = EVENTS / 3;
    const ids = [...(await insert(1, third, 'bounce_all')), ...(await insert(1, third, 'engine_open'))];
    const rows = async () => Number((await crm.query('SELECT COUNT(*) AS n FROM events'))[0]?.n);
    await waitFor(async () => (await rows()) > 0, { what: 'a row in MariaDB', timeoutMs: SLOW_MS });
    await mariadb.kill();
    ids.push(...(await insert(third + 1, 2 * third, 'bounce_all')));
    // The file and the other database do not wait for the one that is dead.
    await waitFor(async () => (await world.lines()).length === ids.length, { what: 'all lines', timeoutMs: SLOW_MS });
    await waitFor(async () => (await world.database.query('SELECT 1 FROM opens')).length === third, {
      what: 'all opens',
      timeoutMs: SLOW_MS,
    });
    await mariadb.start();
    await waitUntilDrained(world, SLOW_MS);
    expect(await stopped(running)).toBe(0);

    expectOneLineEach(
      await world.lines(),
      ids.map(({ id }) => String(id)),
    );
    expect(await rows()).toBe(2 * third);
    expect((await world.database.query('SELECT 1 FROM opens')).length).toBe(third);
    expect(running.stderr).toContain('the remote table lacks event columns; they are not delivered to it');
    expect(running.stderr).not.toContain(PASSWORD);
    expect(running.stderr).not.toContain('Maria-s3cret');
    const status = await world.cli(['status']);
    expect(status.stdout + status.stderr).not.toContain('Maria-s3cret');
  },
);

test('one event that a database refuses does not hold the others up', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await world.database.query('CREATE TABLE bounces (email varchar(20), code int)');
  await world.configure({
    logfile: { filename: world.log },
    event_destinations: [
      {
        matches: { all: true },
        destination: {
          type: 'custom_sql',
          db_dsn: world.database.url,
          sql: 'INSERT INTO bounces VALUES (?, ?)',
          bind_list: ['email', 'bounce_code'],
        },
      },
    ],
  });
  await world.insert(20, { bounce_code: 5 });
  await world.insert(1, { email: 'much-too-long-for-this@example.com' });
  await world.insert(20, { bounce_code: 5 });
  expect(await world.once()).toMatchObject({ read: 41, logged: 41, delivered: 40, failed: 1 });
  const { stdout } = await world.cli(['status']);
  expect(stdout).toContain('value too long');
  expect(await world.database.query('SELECT 1 FROM bounces')).toHaveLength(40);
});
