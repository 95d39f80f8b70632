// A pooler between the program and PostgreSQL (FAULTS B7): in transaction mode its locks are nobody's, so it must not
// even begin; in session mode a connection is one.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createPooler, type PoolerOptions } from '../helpers/pooler.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene } from './scene.ts';
import { stop } from './sweep.ts';

const POOLS: readonly (readonly [string, PoolerOptions])[] = [
  ['that gives the connection used last', { mode: 'transaction', order: 'last' }],
  ['that gives its connections in turn', { mode: 'transaction', order: 'in turn' }],
  ['that says the process id of a server', { mode: 'transaction', order: 'in turn', honest: true }],
];

for (const [name, options] of POOLS) {
  for (const once of [true, false]) {
    test(`a transaction pool ${name} is refused with exit code 69${once ? ', by run --once too' : ''}`, async () => {
      await using scene = await createScene({ database: await createQueue() });
      await using pooler = await createPooler(scene.database.url, options);
      await insert(scene, createRandom(SEED), 12);
      await using program = scene.run({ once, database: pooler.url });
      expect(await program.exit, program.said).toBe(69);
      expect(program.said).toMatch(/tailrace: a connection pooler in transaction mode stands between/);
      expect(scene.accepted.size).toBe(0);
    });
  }
}

test('a session pool is as good as none', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using pooler = await createPooler(scene.database.url, { mode: 'session', order: 'last' });
  await using program = scene.run({ database: pooler.url });
  await program.started();
  await insert(scene, createRandom(SEED), 60);
  await waitUntilSettled(scene);
  await passFreshEvent(scene);
  await stop(program);
  expect(await judge(scene), program.said).toEqual([]);
});

test('a pool that changes its mode under a running program ends it, and nothing is lost', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using pooler = await createPooler(scene.database.url, { mode: 'session', order: 'in turn' });
  await using program = scene.run({ database: pooler.url });
  await program.started();
  await insert(scene, createRandom(SEED), 60);
  await waitUntilSettled(scene);
  pooler.options.mode = 'transaction';
  const inserting = (async () => {
    const random = createRandom(SEED + 1);
    while (!program.hasEnded) {
      await insert(scene, random, 6);
      await sleep(100);
    }
  })();
  expect(await program.exit, program.said).toBe(69);
  await inserting;
  await using next = scene.run();
  await waitUntilSettled(scene);
  await stop(next);
  expect(await judge(scene), `${program.said}\n${next.said}`).toEqual([]);
});
