// A server that is killed in the middle of a batch, and values that only one of the servers can take.

import { expect, test } from 'vitest';
import { requireMariadb, startMariadb } from '../../helpers/mariadb.ts';
import { createTestDatabase, startPostgres } from '../../helpers/postgres.ts';
import { waitFor } from '../../helpers/wait-for.ts';
import { NEVER, sampleEvent } from '../samples.ts';
import { sqlDestination, tableSql } from './subject.ts';

const TIMEOUT_MS = 120_000;
const batchOf = (from: number, count: number) =>
  Array.from({ length: count }, (_, at) => sampleEvent({ event_unique_id: `unique-${from + at}` }));

/** Delivers batches until told to stop, again and again until each is accepted. */
function keepDelivering(destination: Awaited<ReturnType<typeof sqlDestination>>) {
  const state = { accepted: 0, failures: 0, stop: false };
  const lane = async (first: number): Promise<void> => {
    for (let from = first; !state.stop; from += 1_000) {
      for (let left = batchOf(from, 20); left.length > 0; ) {
        const results = await destination.deliver(left, NEVER);
        state.accepted += results.filter(({ ok }) => ok).length;
        if (results.some(({ ok }) => !ok)) state.failures += 1;
        left = left.filter((_, at) => !results[at]?.ok);
      }
    }
  };
  const done = Promise.all([0, 100, 200, 300].map(lane));
  return { state, done };
}

const TO_MARIADB = [
  { type: 'sql_insert', table: 'events' },
  {
    type: 'custom_sql',
    sql: 'INSERT INTO events (event_type, event_unique_id) VALUES (?, ?)',
    bind_list: ['event_type', 'event_unique_id'],
    on_conflict: 'accept',
  },
];

const withMariadb = test.skipIf(!requireMariadb()).for(TO_MARIADB);

withMariadb('a MariaDB that is killed has each event of $type once', { timeout: TIMEOUT_MS }, async (settings) => {
  await using mariadb = await startMariadb([]);
  const database = await mariadb.createDatabase();
  await database.query(tableSql('mysql'));
  await using destination = await sqlDestination({ db_dsn: database.url, ...settings });
  const { state, done } = keepDelivering(destination);
  await waitFor(() => state.accepted > 100, { what: 'deliveries' });
  await mariadb.kill();
  await waitFor(() => state.failures > 4, { what: 'failures' });
  const before = state.accepted;
  await mariadb.start();
  await waitFor(() => state.accepted > before + 100, { what: 'deliveries after the restart', timeoutMs: 30_000 });
  state.stop = true;
  await done;
  const [row] = await database.query('SELECT COUNT(*) AS n, COUNT(DISTINCT event_unique_id) AS d FROM events');
  expect([Number(row?.n), Number(row?.d)]).toEqual([state.accepted, state.accepted]);
});

test('a PostgreSQL that is restarted has each event once', { timeout: TIMEOUT_MS }, async () => {
  await using server = await startPostgres({ fsync: 'on' });
  await using database = await createTestDatabase({ server });
  await database.query(tableSql('postgresql'));
  await using destination = await sqlDestination({ type: 'sql_insert', db_dsn: database.url, table: 'events' });
  const { state, done } = keepDelivering(destination);
  for (let round = 0; round < 5; round += 1) {
    const before = state.accepted;
    await waitFor(() => state.accepted > before + 100, { what: 'deliveries', timeoutMs: 30_000 });
    await database.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tailrace destination'",
    );
  }
  state.stop = true;
  await done;
  const [row] = await database.query('SELECT count(*) AS n, count(DISTINCT event_unique_id) AS d FROM events');
  expect([Number(row?.n), Number(row?.d)]).toEqual([state.accepted, state.accepted]);
});

test('a NUL character is refused by PostgreSQL for its event alone', async () => {
  await using database = await createTestDatabase();
  await database.query(tableSql('postgresql'));
  for (const settings of [
    { type: 'sql_insert', table: 'events' },
    { type: 'custom_sql', sql: 'INSERT INTO events (bounce_text) VALUES (?)', bind_list: ['bounce_text'] },
  ]) {
    await using destination = await sqlDestination({ db_dsn: database.url, ...settings });
    const results = await destination.deliver(
      ['a', 'b\u0000c', 'd'].map((bounce_text) => sampleEvent({ bounce_text })),
      NEVER,
    );
    expect(results).toMatchObject([{ ok: true }, { ok: false, blame: 'event', status: '22021' }, { ok: true }]);
  }
});

test('values go into columns of PostgreSQL of other types', async () => {
  await using database = await createTestDatabase();
  await database.query(
    'CREATE TABLE events (event_type bpchar(12), event_time text, studio_is_unique int, "timestamp" numeric, headers jsonb, bounce_text text[])',
  );
  await using destination = await sqlDestination({ type: 'sql_insert', db_dsn: database.url, table: 'events' });
  const event = sampleEvent({
    studio_is_unique: 't',
    timestamp: '1.5',
    headers: '{"a": "\\"b\\\\"}',
    bounce_text: '{"x y",z}',
  });
  expect(await destination.deliver([event], NEVER)).toEqual([{ ok: true }]);
  expect(await database.query('SELECT * FROM events')).toEqual([
    {
      event_type: 'bounce_all  ',
      event_time: '1317305252',
      studio_is_unique: 1,
      timestamp: '1.5',
      headers: { a: '"b\\' },
      bounce_text: ['x y', 'z'],
    },
  ]);
});

test('an event passes a partial key of PostgreSQL once', async () => {
  await using database = await createTestDatabase();
  await database.query(tableSql('postgresql', 'events', ''));
  await database.query('CREATE UNIQUE INDEX ON events (event_unique_id, server_id) WHERE event_unique_id IS NOT NULL');
  await using destination = await sqlDestination({ type: 'sql_insert', db_dsn: database.url, table: 'events' });
  const event = sampleEvent({ event_unique_id: 'a', server_id: 's' });
  for (let time = 0; time < 2; time += 1) expect(await destination.deliver([event], NEVER)).toEqual([{ ok: true }]);
  expect(await database.query('SELECT 1 FROM events')).toHaveLength(1);
});

test('nothing is connected before the first delivery, and no more than concurrency then', async () => {
  await using database = await createTestDatabase();
  await database.query(tableSql('postgresql'));
  const connections = async () => {
    const [row] = await database.query<{ n: number }>(
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'tailrace destination' AND datname = current_database()",
    );
    return row?.n;
  };
  const destination = await sqlDestination({
    type: 'sql_insert',
    db_dsn: database.url,
    table: 'events',
    concurrency: 3,
  });
  expect(await connections()).toBe(0);
  await Promise.all(
    Array.from({ length: 20 }, (_, at) =>
      destination.deliver(batchOf(at * 10, 5), { signal: new AbortController().signal }),
    ),
  );
  expect(await connections()).toBe(3);
  await destination.close();
  await waitFor(async () => (await connections()) === 0, { what: 'closed connections' });
});
