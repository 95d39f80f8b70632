// Rows that become visible long after rows with higher ids were handled (FAULTS S6): no high-water mark may skip them.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene } from './scene.ts';
import { stop } from './sweep.ts';

test('rows that are committed late are found, each once', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const random = createRandom(SEED);
  const producer = startProducer({
    ...scene,
    url: scene.database.url,
    random,
    connections: 8,
    pauseMs: 5,
    mostRows: 8,
  });
  await sleep(2_500);
  await producer.end();
  await waitUntilSettled(scene);
  await passFreshEvent(scene);
  await stop(program);
  expect(await judge(scene), `TAILRACE_SEED=${SEED}`).toEqual([]);
});
