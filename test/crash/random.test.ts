// Kills at any moment under load, with a rotation every two seconds (FAULTS P1). Weaker than the sweep at each of its
// points, but it meets what nobody thought of.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FULL, scaled } from '../acceptance/world.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Rotation, rotate } from './scene.ts';
import { killAgainAndAgain, restart } from './sweep.ts';

const KILLS = scaled(1_000, 100);
/** Then everything is judged. */
const KILLS_OF_ROUND = 100;
const ROTATE_EVERY_MS = 2_000;
const ROTATIONS: readonly Rotation[] = ['rename', 'rename + gzip'];
/** SPEC 4: a moved file may be compressed a second later. */
const BEFORE_GZIP_MS = 1_000;

test(`${KILLS} kills under load, with rotations, lose and repeat nothing`, {
  timeout: FULL ? 7_200_000 : 900_000,
}, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  for (let kills = 0; kills < KILLS; kills += KILLS_OF_ROUND) {
    const stopRotating = new AbortController();
    const rotating = rotateNowAndThen(stopRotating.signal);
    const producer = startProducer({ ...scene, url: scene.database.url, random, pauseMs: 100 });
    await killAgainAndAgain(scene, random, KILLS_OF_ROUND);
    stopRotating.abort();
    await rotating;
    await producer.end();
    // Now and then, or a slow machine would never come to the end of what was left to do.
    expect(await restart(scene, { mayBeTorn: true, timeoutMs: 120_000 }), `TAILRACE_SEED=${SEED}`).toEqual([]);
    process.stderr.write(`${kills + KILLS_OF_ROUND} kills, ${scene.committed.size} events\n`);
  }

  async function rotateNowAndThen(signal: AbortSignal): Promise<void> {
    for (let at = 0; !signal.aborted; at += 1) {
      await sleep(ROTATE_EVERY_MS, undefined, { signal }).catch(() => undefined);
      await rotate(scene, ROTATIONS[at % 2] ?? 'rename', BEFORE_GZIP_MS);
    }
  }
});
