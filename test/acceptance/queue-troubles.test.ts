// What other people do to the queue and its server while events are under way (FAULTS B1, B3, B9, B10).

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, expectOneLineEach, httpPost, stopped, type World, waitUntilDrained } from './world.ts';

interface DestinationStatus {
  readonly waiting: number;
  readonly retrying: number;
  readonly parked: number;
}

async function destination(world: World): Promise<DestinationStatus> {
  const { stdout } = await world.cli(['status', '--json']);
  return JSON.parse(stdout).destinations[0];
}

test('an event that failed max_attempts times is parked, and neither tried nor logged again', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ status: 500 });
  const retry = { initial_ms: 10, max_ms: 10, max_attempts: 3 };
  const entry = httpPost(receiver.url(), { retry });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [entry] });
  const ids = await world.insert(4);
  await using running = await world.run();
  await waitFor(async () => (await destination(world)).parked === 4, { what: '4 parked events' });
  receiver.script({});
  await sleep(300);
  expect(await stopped(running)).toBe(0);
  expect(receiver.requests).toHaveLength(12);
  expect(await world.once()).toMatchObject({ read: 0 });
  expectOneLineEach(await world.lines(), ids);
  expect(await world.queued()).toBe(4);
});

test('rows deleted by somebody else are forgotten, and an id that comes back is a new event', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ status: 500 });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
  const [id] = await world.insert(3);
  await using running = await world.run();
  await waitFor(async () => (await destination(world)).retrying === 3, { what: '3 failed events' });
  await world.database.query('DELETE FROM events');
  await waitFor(async () => (await destination(world)).retrying === 0, { what: 'no failed event' });
  await waitFor(async () => {
    const [row] = await world.database.query<{ bits: string }>(
      `SELECT coalesce(sum(bit_count(ids)), 0) AS bits FROM tailrace.ledger`,
    );
    return row?.bits === '0';
  });
  receiver.script({});
  await world.database.query(`INSERT INTO events (id, event_type, email) VALUES ($1, 'scomp', 'b@example.com')`, [id]);
  await waitUntilDrained(world);
  expect((await world.lines()).filter((line) => line.id === id).map(({ event }) => event.email)).toEqual([
    'a@example.com',
    'b@example.com',
  ]);
  expect(await stopped(running)).toBe(0);
});

test('a table that is locked for a while holds nothing up for longer', async () => {
  await using world = await createWorld();
  await using running = await world.run();
  const before = await world.insert(100);
  const locker = await world.database.client();
  await locker.query('BEGIN');
  await locker.query('LOCK TABLE events IN ACCESS EXCLUSIVE MODE');
  await sleep(1_500);
  const { rows } = await locker.query<{ id: string }>(
    `INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, 100) RETURNING id`,
  );
  await locker.query('COMMIT');
  await waitUntilDrained(world);
  expectOneLineEach(await world.lines(), [...before, ...rows.map(({ id }) => id)]);
  expect(await stopped(running)).toBe(0);
});

test('a database that turns read-only gets no event delivered again and again', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
  await using running = await world.run();
  const setReadOnly = async (value: 'on' | 'off'): Promise<void> => {
    const admin = await world.database.client();
    await admin.query('SET default_transaction_read_only = off');
    await admin.query(`ALTER DATABASE ${world.database.name} SET default_transaction_read_only = ${value}`);
    await admin.query(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'tailrace'`,
    );
  };
  const before = await world.insert(20);
  await waitUntilDrained(world);
  await setReadOnly('on');
  const during = await world.insert(20);
  await running.waitForStderr(/read-only/);
  await sleep(500);
  expect(receiver.requests.length).toBe(20);
  await setReadOnly('off');
  await waitUntilDrained(world);
  expect(receiver.requests.length).toBe(40);
  expectOneLineEach(await world.lines(), [...before, ...during]);
  expect(await stopped(running)).toBe(0);
});

test('when the right to delete is taken away nothing is delivered or logged twice', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  const role = `${world.database.name}_reader`;
  const { query } = world.database;
  await query(`CREATE ROLE ${role} LOGIN`);
  try {
    await query(`GRANT ALL ON SCHEMA tailrace TO ${role}`);
    await query(`GRANT ALL ON ALL TABLES IN SCHEMA tailrace TO ${role}`);
    await query(`GRANT ALL ON ALL SEQUENCES IN SCHEMA tailrace TO ${role}`);
    await query(`GRANT SELECT, DELETE ON events TO ${role}`);
    await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
    const env = { TAILRACE_DATABASE_URL: world.database.url.replace('postgres@', `${role}@`) };
    await using running = await world.run({ env });
    await query(`REVOKE DELETE ON events FROM ${role}`);
    const ids = await world.insert(10);
    await running.waitForStderr(/permission denied/);
    await sleep(1_500);
    expect(receiver.requests.length).toBeLessThanOrEqual(10);
    await query(`GRANT DELETE ON events TO ${role}`);
    await waitUntilDrained(world);
    expect(receiver.requests.length).toBe(10);
    expectOneLineEach(await world.lines(), ids);
    expect(await stopped(running)).toBe(0);
  } finally {
    await query(`DROP OWNED BY ${role}`);
    await query(`DROP ROLE ${role}`);
  }
});

test('a destination that is swapped under load leaves no event out', async () => {
  await using world = await createWorld();
  await using one = await createHttpReceiver();
  await using other = await createHttpReceiver();
  const use = (url: string): Promise<void> =>
    world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(url)] });
  await use(one.url());
  await using running = await world.run();
  const ids: string[] = [];
  for (let time = 0; time < 20; time += 1) {
    ids.push(...(await world.insert(50)));
    if (time % 2 === 0) await use(time % 4 === 0 ? other.url() : one.url());
    await sleep(40);
  }
  await waitUntilDrained(world);
  expectOneLineEach(await world.lines(), ids);
  const delivered = [...one.requests, ...other.requests].map(({ body }) => String(JSON.parse(body).id));
  expect([...delivered].sort()).toEqual([...ids].sort());
  expect(await stopped(running)).toBe(0);
});
