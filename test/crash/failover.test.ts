// A server that forgets what was committed (FAULTS B3): deletes are undone and ids are given again. A row that came back
// is delivered again under the same key and gets no second line; other content under the same id is a new event.

import { execFile } from 'node:child_process';
import { rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { expect, test } from 'vitest';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { readLines } from '../acceptance/world.ts';
import { startPostgres } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createRow, type Row } from './events.ts';
import { insertRows, nextUnique } from './producer.ts';
import type { Program } from './program.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

const run = promisify(execFile);
const random = createRandom(SEED);

const dataOf = (server: EmbeddedPostgres): string => join(dirname(server.logPath), 'data');

/** Inserts rows of one type that is delivered. @returns them by id. */
async function insertDelivered(url: string, count: number): Promise<Map<string, Row>> {
  const rows = Array.from({ length: count }, () => createRow(random, nextUnique(), 'engine_open'));
  const client = await connect(url);
  const ids = await insertRows(client, rows);
  await client.end();
  return new Map(ids.map((id, at) => [id, rows[at] as Row])); // one id for each row
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function query<T extends pg.QueryResultRow>(url: string, sql: string): Promise<T[]> {
  const client = await connect(url);
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

const drained = (url: string): Promise<unknown> =>
  waitFor(async () => (await query(url, 'SELECT FROM events LIMIT 1')).length === 0, {
    what: 'an empty queue',
    timeoutMs: 60_000,
    intervalMs: 50,
  });

/** Holds that each event has one line, and was delivered under its own key. @returns how many lines each id has. */
async function expectOneLineEach(scene: Scene, rows: readonly Row[], program: Program): Promise<Map<string, number>> {
  const lines = await readLines(scene.log);
  const keys = lines.map(({ event }) => String(event.event_unique_id));
  expect([...keys].sort(), program.said).toEqual(rows.map(({ event_unique_id: key }) => key).sort());
  const delivered = [...scene.accepted.values()].flatMap(({ keys }) => [...keys]);
  expect(
    rows.filter(({ event_unique_id: key }) => !delivered.includes(key)),
    program.said,
  ).toEqual([]);
  const times = new Map<string, number>();
  for (const { id } of lines) times.set(id, (times.get(id) ?? 0) + 1);
  return times;
}

test('a row that is inserted again is delivered again under its key; with other content it gets a line', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const { url } = scene.database;
  const first = await insertDelivered(url, 3);
  await drained(url);
  const [same = '', other = ''] = first.keys();
  const again = async (id: string, row: Row): Promise<void> => {
    await scene.database.query(
      'INSERT INTO events (id, event_type, event_time, email, message, event_unique_id) VALUES ($1, $2, $3, $4, $5, $6)',
      [id, row.event_type, row.event_time, row.email, row.message, row.event_unique_id],
    );
  };
  const replacement = createRow(random, nextUnique(), 'engine_open');
  await again(same, first.get(same) as Row); // inserted above
  await again(other, replacement);
  await drained(url);
  const times = await expectOneLineEach(scene, [...first.values(), replacement], program);
  expect([times.get(same), times.get(other)]).toEqual([1, 2]);
  expect(scene.accepted.get(same)).toMatchObject({ times: 2, keys: { size: 1 } });

  // What it knows outlives the process, also one that is killed.
  program.signal('SIGKILL');
  await program.exit;
  await again(same, first.get(same) as Row);
  await using next = scene.run();
  await drained(url);
  expect((await expectOneLineEach(scene, [...first.values(), replacement], next)).get(same)).toBe(1);
  expect(scene.accepted.get(same)).toMatchObject({ times: 3, keys: { size: 1 } });
  await stop(next);
});

for (const dies of [true, false]) {
  const how = dies ? 'while nobody runs' : 'under a running program';
  test(`a server that goes back to an older copy of itself ${how} doubles no line and loses no event`, async () => {
    await using server = await startPostgres();
    const database = await createQueue({ server });
    await using scene = await createScene({ database });
    const { url } = database;
    await using program = scene.run();
    await program.started();
    const before = await insertDelivered(url, 40);
    await drained(url);
    // In the copy they are new; logged, delivered and deleted they are only afterwards.
    program.signal('SIGSTOP');
    const back = await insertDelivered(url, 40);
    await server.stop('fast');
    const copy = `${dataOf(server)}.copy`;
    await run('cp', ['-a', dataOf(server), copy]);
    await server.restart();
    program.signal('SIGCONT');
    const forgotten = await insertDelivered(url, 40);
    await drained(url);
    if (dies) {
      program.signal('SIGKILL');
      await program.exit;
    }
    await server.stop('immediate');
    await replaceData(server, copy);
    await server.restart();
    await using next = dies ? scene.run() : program;
    if (!dies) {
      // Nothing tells it but its own memory of what was confirmed.
      for (const [id, row] of await insertDelivered(url, 1)) forgotten.set(`again ${id}`, row);
      await next.says(/PostgreSQL has gone back in time/);
    }
    const after = await insertDelivered(url, 80);
    await drained(url);
    const rows = [before, back, forgotten, after].flatMap((each) => [...each.values()]);
    const times = await expectOneLineEach(scene, rows, next);
    // The fault has taken place: ids were given again, and what had been settled came back.
    expect([...times.values()].filter((count) => count === 2).length).toBeGreaterThanOrEqual(40);
    const repeated = [...back.keys()].filter((id) => (scene.accepted.get(id)?.times ?? 0) > 1);
    expect(repeated.length).toBeGreaterThan(0);
    await stop(next);
  });
}

test('a promoted asynchronous replica is noticed, doubles no line and loses none of its events', async () => {
  await using primary = await startPostgres();
  await using replica = await startPostgres();
  const database = await createQueue({ server: primary });
  // Ends with its server.
  await using scene = await createScene({ database: { ...database, [Symbol.asyncDispose]: async () => undefined } });
  // One address, which a fail-over gives to another server.
  const address = join(scene.folder, 'socket');
  await symlink(primary.socketDirectory, address);
  const url = database.url.replace(primary.socketDirectory, address);
  await makeReplica(primary, replica);

  await using program = scene.run({ database: url });
  await program.started();
  const before = await insertDelivered(url, 40);
  await drained(url);
  const caughtUp = async (): Promise<boolean> => {
    const [row] = await query<{ lag: string }>(
      primary.url(),
      'SELECT coalesce(sum(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 1) AS lag FROM pg_stat_replication',
    );
    return row?.lag === '0';
  };
  // What is committed on both, and logged, delivered and deleted on the one only.
  program.signal('SIGSTOP');
  const back = await insertDelivered(url, 40);
  await waitFor(caughtUp, { what: 'the replica to catch up', timeoutMs: 30_000 });
  await query(replica.url(), `ALTER SYSTEM SET primary_conninfo = ''`);
  await query(replica.url(), 'SELECT pg_reload_conf()');
  await waitFor(async () => (await query(primary.url(), 'SELECT FROM pg_stat_replication')).length === 0);
  program.signal('SIGCONT');
  const forgotten = await insertDelivered(url, 40);
  await drained(url);

  await primary.stop('immediate');
  await query(replica.url(), 'SELECT pg_promote()');
  await rm(address);
  await symlink(replica.socketDirectory, address);
  const after = await insertDelivered(url, 80);
  await program.says(/PostgreSQL has failed over or was replaced/);
  await drained(url);
  const rows = [before, back, forgotten, after].flatMap((each) => [...each.values()]);
  const times = await expectOneLineEach(scene, rows, program);
  expect([...times.values()].filter((count) => count === 2).length).toBeGreaterThan(0);
  expect([...back.keys()].filter((id) => (scene.accepted.get(id)?.times ?? 0) > 1).length).toBeGreaterThan(0);

  // Said once: the next start finds the server that it knows.
  await stop(program);
  await using third = scene.run({ database: url });
  await third.started();
  await stop(third);
  expect(third.said).not.toMatch(/failed over/);
});

/** Puts a copy of the data in the place of a stopped server's. */
async function replaceData(server: EmbeddedPostgres, copy: string): Promise<void> {
  await rm(dataOf(server), { recursive: true });
  await rename(copy, dataOf(server));
  await rm(join(dataOf(server), 'postmaster.pid'), { force: true });
}

/** Makes one server a streaming replica of another. */
async function makeReplica(primary: EmbeddedPostgres, replica: EmbeddedPostgres): Promise<void> {
  await replica.stop();
  const copy = `${dataOf(replica)}.copy`;
  const client = await connect(primary.url());
  await client.query(`SELECT pg_backup_start('replica', true)`);
  await run('cp', ['-a', dataOf(primary), copy]);
  const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)');
  await client.end();
  await replaceData(replica, copy);
  const data = dataOf(replica);
  await writeFile(join(data, 'backup_label'), rows[0]?.labelfile ?? '');
  await writeFile(join(data, 'standby.signal'), '');
  await writeFile(
    join(data, 'postgresql.auto.conf'),
    `primary_conninfo = 'host=${primary.socketDirectory} user=postgres'\n`,
  );
  const { uid, gid } = await stat(dirname(data));
  await run('chown', ['-R', `${uid}:${gid}`, data]);
  await replica.restart();
}
