// Statements that PostgreSQL refuses though nothing is wrong with them (FAULTS B6, B10): deadlocks, timeouts, conflicts,
// locks that somebody waits for. They are tried again; nothing is lost, parked or logged twice.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { scaled } from '../acceptance/world.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import type { Program } from './program.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

const OURS = `application_name = 'tailrace' AND datname = current_database()`;

async function expectAllGood(scene: Scene, program: Program): Promise<void> {
  await waitUntilSettled(scene, 60_000);
  await passFreshEvent(scene);
  await stop(program);
  expect(await judge(scene), `TAILRACE_SEED=${SEED}\n${program.said.slice(-5_000)}`).toEqual([]);
}

/** Waits until a statement of the program waits for a lock. */
async function untilItWaits(scene: Scene): Promise<void> {
  const waits = `SELECT FROM pg_stat_activity WHERE ${OURS} AND wait_event_type = 'Lock'`;
  await waitFor(async () => (await scene.database.query(waits)).length > 0, {
    what: 'the program to wait for a lock',
    intervalMs: 5,
  });
}

const load = (scene: Scene) =>
  startProducer({ ...scene, url: scene.database.url, random: createRandom(SEED), pauseMs: 60, mostRows: 20 });

/** Makes every such statement on a table fail, with a probability, until it is called. */
async function failing(
  scene: Scene,
  table: string,
  when: string,
  state: string,
  p: number,
): Promise<() => Promise<void>> {
  const name = `refuse_${table.replace('.', '_')}`;
  const end = when.includes('DELETE') ? 'RETURN OLD' : 'RETURN NEW';
  await scene.database.query(`CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF random() < ${p} THEN RAISE EXCEPTION 'refused for a test' USING ERRCODE = '${state}'; END IF; ${end}; END $$`);
  await scene.database.query(
    `CREATE TRIGGER ${name} BEFORE ${when} ON ${table} FOR EACH ROW EXECUTE FUNCTION ${name}()`,
  );
  return async () => void (await scene.database.query(`DROP FUNCTION ${name}() CASCADE`));
}

for (const [state, what] of [
  ['40001', 'a serialization failure'],
  ['40P01', 'a deadlock'],
  ['55P03', 'a lock timeout'],
  ['57014', 'a statement timeout'],
  ['53100', 'a full disk'],
] as const) {
  test(`${what} (${state}) while settling is tried again until it works`, async () => {
    await using scene = await createScene({ database: await createQueue() });
    await using program = scene.run();
    await program.started();
    const heal = [
      await failing(scene, 'events', 'DELETE', state, 0.05),
      await failing(scene, 'tailrace.ledger', 'INSERT OR UPDATE', state, 0.2),
    ];
    const ids = await insert(scene, createRandom(SEED), 120);
    await program.says(new RegExp(`"code":"${state}".*cannot settle events in PostgreSQL`));
    await sleep(1_000);
    // Whatever goes wrong there, each was sent once.
    expect(Math.max(0, ...ids.map((id) => scene.accepted.get(id)?.times ?? 0))).toBeLessThanOrEqual(1);
    for (const end of heal) await end();
    await expectAllGood(scene, program);
    expect(Math.max(...ids.map((id) => scene.accepted.get(id)?.times ?? 0))).toBe(1);
  });
}

test('of a real deadlock with another session it is the victim, and settles afterwards', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const other = await scene.database.client();
  // Never the victim: it looks for deadlocks later than the program does.
  await other.query(`SET deadlock_timeout = '60s'`);
  await other.query('BEGIN');
  await other.query('SELECT FROM tailrace.writer');
  program.signal('SIGSTOP');
  await insert(scene, createRandom(SEED), 12);
  await other.query('SELECT FROM events FOR UPDATE');
  program.signal('SIGCONT');
  await untilItWaits(scene);
  await other.query('UPDATE tailrace.writer SET clean = clean WHERE NOT revoked');
  await other.query('COMMIT');
  await program.says(/"code":"40P01"/);
  await expectAllGood(scene, program);
});

test('statements that are cancelled at any moment, reading and settling, cost nothing', async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const producer = load(scene);
  for (let times = 0; times < scaled(2_000, 200); times += 1) {
    await sleep(random.integer(0, 15));
    await scene.database.query(
      `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE ${OURS} AND state = 'active'`,
    );
  }
  await producer.end();
  await expectAllGood(scene, program);
  expect(program.said).toMatch(/canceling statement/);
});

test('a database whose transactions are serializable by default costs nothing', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await scene.database.query(
    `ALTER DATABASE ${scene.database.name} SET default_transaction_isolation = 'serializable'`,
  );
  await using program = scene.run();
  await program.started();
  // Rows that somebody else changes while they are settled.
  const other = await scene.database.client();
  program.signal('SIGSTOP');
  await insert(scene, createRandom(SEED), 60);
  await other.query('BEGIN; UPDATE events SET destination_id = destination_id');
  program.signal('SIGCONT');
  await untilItWaits(scene);
  await other.query('COMMIT');
  await expectAllGood(scene, program);
  expect(program.said).not.toMatch(/40001/);
});

test('an ALTER TABLE that waits behind a long transaction holds up no longer than it lasts', {
  timeout: 120_000,
}, async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const producer = load(scene);
  await sleep(500);
  const reader = await scene.database.client();
  await reader.query('BEGIN; SELECT count(*) FROM events');
  const owner = await scene.database.client();
  const altering = owner.query('ALTER TABLE events ADD COLUMN of_the_owner text');
  await waitFor(
    async () =>
      (await scene.database.query(`SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'`)).length >
      0,
    { what: 'the ALTER TABLE to wait' },
  );
  // In full it is longer than the lock timeout of the program's sessions.
  await sleep(scaled(25_000, 2_000));
  await reader.query('COMMIT');
  await altering;
  await sleep(500);
  await producer.end();
  await expectAllGood(scene, program);
});
