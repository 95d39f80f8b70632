// Two hosts with a log folder each (FAULTS S2). The other host is staged by what makes it one: the journal of the first
// is not to be found there.

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stateDirectory } from '../../src/log-file/local-lock.ts';
import { readLines } from '../acceptance/world.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { waitUntilSettled } from './oracle.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene } from './scene.ts';
import { stop } from './sweep.ts';

test('a host that takes over without the journal of the first warns aloud, and loses nothing', async () => {
  await using scene = await createScene({ database: await createQueue() });
  const random = createRandom(SEED);
  await using first = scene.run();
  await first.started();
  const settled = await insert(scene, random, 60);
  await waitUntilSettled(scene);

  // In flight when the first host dies: logged there, not settled.
  await scene.database.query('BEGIN');
  await scene.database.query('LOCK TABLE tailrace.writer');
  const inFlight = await insert(scene, random, 30);
  await waitFor(async () => (await readLines(scene.log)).length === settled.length + inFlight.length, {
    what: 'the lines of what is in flight',
  });
  first.signal('SIGKILL');
  await first.exit;
  await scene.database.query('COMMIT');
  const hidden = join(scene.folder, 'of-the-first-host');
  await rename(stateDirectory(scene.log), hidden);

  const folder = join(scene.folder, 'second');
  await mkdir(folder);
  const log = join(folder, 'events.jsonl');
  const configuration = JSON.parse(await readFile(scene.config, 'utf8'));
  const config = join(folder, 'event_processor.json');
  await writeFile(config, JSON.stringify({ ...configuration, logfile: { filename: log } }));
  const after = await insert(scene, random, 30);
  await using second = scene.run({ args: ['--config', config] });
  await second.says(/took over from a process that did not stop cleanly and kept its state elsewhere/);
  await waitUntilSettled(scene);
  await stop(second);

  const [here, there] = await Promise.all([readLines(log), readLines(scene.log)]);
  const idsHere = here.map(({ id }) => id);
  expect(new Set(idsHere).size).toBe(idsHere.length);
  expect([...new Set([...idsHere, ...there.map(({ id }) => id)])].sort()).toEqual([...scene.committed.keys()].sort());
  // Only what was in flight may stand in both.
  expect(idsHere.filter((id) => settled.includes(id))).toEqual([]);
  expect([...idsHere].sort()).toEqual([...inFlight, ...after].sort());
});
