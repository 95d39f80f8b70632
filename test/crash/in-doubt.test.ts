// The session that holds the queue's locks dies while the process lives and waits for a slow receiver (FAULTS B8): from
// that moment nothing is written or sent, and the local lock still keeps others from the file.

import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { stateDirectory } from '../../src/log-file/local-lock.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene } from './scene.ts';
import { stop } from './sweep.ts';

const SLOW_MS = 2_000;

test('nothing is written or sent while the lock session is gone, and nobody else gets the file', {
  skip: !requireTool('flock'),
}, async () => {
  await using scene = await createScene({ database: await createQueue() });
  const { query, name } = scene.database;
  await using program = scene.run();
  await program.started();
  const random = createRandom(SEED);
  scene.receiver.delayMs = SLOW_MS;
  const before = await insert(scene, random, 6);
  const slow = before[0] ?? '';
  await waitFor(async () => (await readFile(scene.log, 'utf8').catch(() => '')).split('\n').length > 6, {
    what: 'the lines of what is on its way',
  });
  // A new connection cannot be made; those that there are go on.
  await using admin = await createQueue();
  await admin.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`);
  const ended = await query(
    `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid IN
       (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid < 64)`,
  );
  expect(ended).toHaveLength(1);
  await program.says(/lost the connection to PostgreSQL/);
  const lines = await readFile(scene.log, 'utf8');
  await query(`INSERT INTO events (event_type) SELECT 'engine_open' FROM generate_series(1, 200)`);

  // The request that was under way ends as it will; nothing begins.
  await waitFor(() => scene.accepted.has(slow), { what: 'the slow answer' });
  await sleep(500);
  expect(scene.accepted.size).toBe(1);
  expect(await readFile(scene.log, 'utf8')).toBe(lines);
  const lock = join(stateDirectory(scene.log), 'lock');
  expect(spawnSync('flock', ['-n', lock, 'true']).status).toBe(1);

  await query('DELETE FROM events WHERE event_time IS NULL');
  await admin.query(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS true`);
  await program.says(/connected to PostgreSQL again, still the writer/);
  scene.receiver.delayMs = 0;
  await insert(scene, random, 60);
  await waitUntilSettled(scene);
  await passFreshEvent(scene);
  await stop(program);
  expect(await judge(scene), program.said).toEqual([]);
  expect(scene.accepted.get(slow)?.times).toBe(1);
});
