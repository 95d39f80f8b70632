// PostgreSQL that forgets, restarts, hangs, refuses or locks (FAULTS B1, B2, B4, B5, B6, B10, QUEUE A6), under load and
// with the same process from beginning to end.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test } from 'vitest';
import { FULL, scaled } from '../acceptance/world.ts';
import { startPostgres } from '../helpers/postgres.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import type { Program } from './program.ts';
import { createProxy } from './proxy.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

/** Longer than the program's own deadline of a query. */
const QUERY_DEADLINE_PASSED_MS = 65_000;
const OWN_BACKENDS = `application_name = 'tailrace' AND datname = current_database()`;

/** The end of every test here. */
async function expectAllGood(scene: Scene, program: Program): Promise<void> {
  await waitUntilSettled(scene, 60_000).catch((error: Error) => {
    throw new Error(`${error.message}\nTAILRACE_SEED=${SEED}\n${program.said.slice(-5_000)}`, { cause: error });
  });
  await passFreshEvent(scene);
  await stop(program);
  expect(await judge(scene), `TAILRACE_SEED=${SEED}\n${program.said.slice(-5_000)}`).toEqual([]);
}

const load = (scene: Scene, url = scene.database.url) =>
  startProducer({ ...scene, url, random: createRandom(SEED), pauseMs: 60, mostRows: 20 });

/** The producer's promises are its own: it asks for durable commits and for the right to write. */
const withSettings = (url: string, settings: string): string => `${url}&options=${encodeURIComponent(settings)}`;

test('a crash of a server that commits asynchronously brings back nothing that was settled', async () => {
  // The WAL writer sleeps as long as it may: an asynchronous COMMIT is then lost for certain.
  await using server = await startPostgres({ synchronous_commit: 'off', wal_writer_delay: '10s' });
  await using database = await createQueue({ server });
  await using scene = await createScene({ database });
  await using program = scene.run();
  await program.started();
  for (let crashes = 0; crashes < scaled(20, 4); crashes += 1) {
    const producer = load(scene, withSettings(database.url, '-c synchronous_commit=on'));
    await sleep(600);
    await producer.end();
    const { said } = program;
    await waitUntilSettled(reconnected(scene));
    // Frozen, so that it cannot settle a second time what came back.
    program.signal('SIGSTOP');
    await server.restart('immediate');
    expect(await judge(reconnected(scene)), said).toEqual([]);
    program.signal('SIGCONT');
  }
  await expectAllGood(reconnected(scene), program);
});

test('a server that crashes and restarts under load costs nothing', { timeout: 300_000 }, async () => {
  await using server = await startPostgres();
  await using database = await createQueue({ server });
  await using scene = await createScene({ database });
  await using program = scene.run();
  await program.started();
  const producer = load(scene);
  for (let restarts = 0; restarts < scaled(50, 6); restarts += 1) {
    await sleep(700);
    await server.restart(restarts % 3 === 2 ? 'fast' : 'immediate');
  }
  await sleep(500);
  await producer.end();
  await expectAllGood(reconnected(scene), program);
});

test('back ends that are terminated at any moment under load cost nothing', { timeout: 300_000 }, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const producer = load(scene);
  for (let times = 0; times < scaled(400, 40); times += 1) {
    await sleep(random.integer(0, 150));
    await scene.database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${OWN_BACKENDS} AND random() < 0.6`,
    );
  }
  await producer.end();
  await expectAllGood(scene, program);
});

test('a connection that hangs half open is given up, and nothing is lost', { timeout: 300_000 }, async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using proxy = await createProxy(scene.database.url);
  await using program = scene.run({ database: proxy.url });
  await program.started();
  const producer = load(scene);
  await sleep(500);
  proxy.blackHole = true;
  await sleep(FULL ? QUERY_DEADLINE_PASSED_MS : 3_000);
  if (FULL) expect(program.said).toMatch(/no answer within/);
  proxy.blackHole = false;
  await sleep(500);
  await producer.end();
  await expectAllGood(scene, program);
});

test('while the server is read-only nothing is logged or sent, and it goes on afterwards', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const writable = withSettings(scene.database.url, '-c default_transaction_read_only=off');
  const setReadOnly = async (value: 'on' | 'off'): Promise<void> => {
    await scene.database.query('SET transaction_read_only = off');
    await scene.database.query(`ALTER DATABASE ${scene.database.name} SET default_transaction_read_only = ${value}`);
    await scene.database.query(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE ${OWN_BACKENDS}`);
  };
  await passFreshEvent(scene);
  await setReadOnly('on');
  await program.says(/read-only/);
  const producer = load(scene, writable);
  await sleep(1_500);
  await producer.end();
  expect([...scene.accepted.keys()].filter((id) => scene.committed.has(id))).toHaveLength(1);
  expect(scene.committed.size).toBeGreaterThan(1);
  await setReadOnly('off');
  await expectAllGood(scene, program);
});

test('timeouts that the database sets for its sessions do not apply to ours', async () => {
  await using scene = await createScene({ database: await createQueue() });
  for (const setting of ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'])
    await scene.database.query(`ALTER DATABASE ${scene.database.name} SET ${setting} = '5ms'`);
  await using program = scene.run();
  await program.started();
  const producer = load(
    scene,
    withSettings(
      scene.database.url,
      '-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0',
    ),
  );
  await sleep(1_500);
  await producer.end();
  await expectAllGood(scene, program);
});

test('a lock on the table is waited out, longer than the lock timeout too', { timeout: 120_000 }, async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const producer = load(scene);
  await sleep(500);
  const locker = await scene.database.client();
  await locker.query('BEGIN; LOCK TABLE events IN ACCESS EXCLUSIVE MODE');
  await sleep(scaled(25_000, 12_000));
  await locker.query('COMMIT');
  await sleep(300);
  await producer.end();
  await expectAllGood(scene, program);
});

/** The scene with a connection for each question: that of the helper was lost with the server. */
function reconnected(scene: Scene): Scene {
  const query: Scene['database']['query'] = async (sql, params = []) => {
    const client = new pg.Client({ connectionString: scene.database.url });
    await client.connect();
    try {
      return (await client.query(sql, [...params])).rows;
    } finally {
      await client.end();
    }
  };
  return { ...scene, database: { ...scene.database, query } };
}
