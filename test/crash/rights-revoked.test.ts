// A queue table that changes, or may not be deleted from any more, under a running program (FAULTS B9): deliver once, then
// refuse, and go on when the right is there again; and never begin without it.

import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

/** A role with the rights of the README. @returns the database's URL for it. */
async function createRole({ database }: Scene): Promise<{ readonly role: string; readonly url: string }> {
  const role = `${database.name}_run`;
  const page = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const granted = /CREATE ROLE tailrace_run LOGIN;\n(?:GRANT .*tailrace_run;\n)+/.exec(page)?.[0] ?? '';
  await database.query(granted.replaceAll('tailrace_run', role));
  onTestFinished(async () => {
    const admin = await database.client().catch(() => null);
    await admin?.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await admin?.end();
  });
  return { role, url: database.url.replace('postgres@', `${role}@`) };
}

const mostDeliveries = (scene: Scene): number => Math.max(0, ...[...scene.accepted.values()].map(({ times }) => times));

test('DELETE that is revoked stops it after one delivery each, restarts too, and it goes on when granted', async () => {
  const database = await createQueue();
  await using scene = await createScene({ database });
  const { role, url } = await createRole(scene);
  await using program = scene.run({ database: url });
  await program.started();
  const random = createRandom(SEED);
  await insert(scene, random, 60);
  await waitUntilSettled(scene);

  await database.query(`REVOKE DELETE ON events FROM ${role}`);
  await insert(scene, random, 600);
  await program.says(/permission denied for table events.*cannot settle events in PostgreSQL/);
  await sleep(1_500);
  expect(mostDeliveries(scene)).toBe(1);

  // A service manager that starts it again and again does not make it deliver again and again.
  program.signal('SIGKILL');
  await program.exit;
  // What it had sent by then may still be on its way into the receiver.
  await scene.receiver.idle();
  const sent = [...scene.accepted.values()].reduce((sum, { times }) => sum + times, 0);
  for (const once of [true, false]) {
    await using again = scene.run({ database: url, once });
    if (once) expect(await again.exit, again.said).toBe(1);
    await again.says(new RegExp(`the database role ${role} lacks DELETE on [a-z_.]*events`));
    expect([...scene.accepted.values()].reduce((sum, { times }) => sum + times, 0)).toBe(sent);
    if (once) continue;
    await database.query(`GRANT DELETE ON events TO ${role}`);
    await again.started();
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    await stop(again);
  }
  expect(await judge(scene), program.said).toEqual([]);
});

test('each right that tailrace needs on its own tables is asked for before anything is read', async () => {
  const database = await createQueue();
  await using scene = await createScene({ database });
  const { role, url } = await createRole(scene);
  await insert(scene, createRandom(SEED), 12);
  await database.query(`REVOKE INSERT ON tailrace.pending FROM ${role}; REVOKE UPDATE ON tailrace.ledger FROM ${role}`);
  await using refused = scene.run({ database: url, once: true });
  expect(await refused.exit).toBe(1);
  expect(refused.said).toMatch(/lacks UPDATE on tailrace\.ledger, INSERT on tailrace\.pending; grant it/);
  expect(scene.accepted.size).toBe(0);
});

test('columns that come, go and change their type under load cost nothing', async () => {
  await using scene = await createScene({ database: await createQueue() });
  const { query } = scene.database;
  await using program = scene.run();
  await program.started();
  const producer = startProducer({
    ...{ ...scene, url: scene.database.url, random: createRandom(SEED) },
    ...{ pauseMs: 30, mostRows: 20 },
  });
  const changes = [
    'ADD COLUMN extra text',
    'ALTER COLUMN message TYPE varchar(5000)',
    'DROP COLUMN extra',
    'ALTER COLUMN event_time TYPE bigint',
    'DROP COLUMN headers',
    'ADD COLUMN headers text',
    'ALTER COLUMN message TYPE text',
  ];
  for (const change of changes) {
    await sleep(300);
    await query(`ALTER TABLE events ${change}`);
  }
  await sleep(300);
  await producer.end();
  await waitUntilSettled(scene, 60_000);
  await passFreshEvent(scene);
  await stop(program);
  expect(await judge(scene), `TAILRACE_SEED=${SEED}\n${program.said.slice(-5_000)}`).toEqual([]);
});
