// Several processes on one queue, each with its slots and its log file, killed again and again and started in another
// number: whoever owns a slot now finds what was in flight, waited or failed, whatever file its line is in (QUEUE B6).

import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { scaled } from '../acceptance/world.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import type { Program } from './program.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

/** Numbers of shards, one after the other; all are killed in between. */
const LAYOUTS = scaled(24, 5);
const SIZES = [2, 4, 3, 1, 4, 2];

/** Each shard's configuration: the scene's, with a log file of its own beside the scene's. */
async function startShards(scene: Scene, of: number): Promise<Program[]> {
  const config = JSON.parse(await readFile(scene.config, 'utf8'));
  const programs: Program[] = [];
  for (let index = 0; index < of; index += 1) {
    const file = `${scene.config}.${index}`;
    await writeFile(file, JSON.stringify({ ...config, logfile: { filename: `${scene.log}.${index}` } }));
    programs.push(scene.run({ args: ['--config', file, ...(of > 1 ? ['--shard', `${index}/${of}`] : [])] }));
  }
  return programs;
}

const kill = (programs: readonly Program[]): Promise<unknown> =>
  Promise.all(
    programs.map((each) => {
      each.signal('SIGKILL');
      return each.exit;
    }),
  );

test('shards that are killed and started in another number lose and repeat nothing', { timeout: 600_000 }, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  // Few events that lie in all slots.
  await scene.database.query('ALTER SEQUENCE events_seq INCREMENT BY 97');
  const producer = startProducer({ ...scene, url: scene.database.url, random, pauseMs: 60 });
  let adopted = 0;
  let programs: Program[] = [];
  for (let at = 0; at < LAYOUTS; at += 1) {
    programs = await startShards(scene, SIZES[at % SIZES.length] ?? 1);
    // Now and then before all of them have begun.
    if (random.next() < 0.8) await Promise.all(programs.map((each) => each.started()));
    else await programs[0]?.started();
    await sleep(random.integer(100, 700));
    await kill(programs);
    adopted += programs.filter(({ said }) => /brought in what processes of another --shard layout/.test(said)).length;
  }
  await producer.end();
  programs = await startShards(scene, 2);
  const said = (): string => `TAILRACE_SEED=${SEED}\n${programs.map((each) => each.said.slice(-4_000)).join('\n')}`;
  await Promise.all(programs.map((each) => each.started()));
  await waitUntilSettled(scene, 60_000).catch((error: Error) => {
    throw new Error(`${error.message}\n${said()}`);
  });
  await passFreshEvent(scene);
  for (const each of programs) await stop(each);
  expect(await judge({ ...scene, mayBeTorn: false, sideBySide: true }), said()).toEqual([]);
  expect(adopted).toBeGreaterThan(0);
});
