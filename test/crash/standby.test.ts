// Several processors on one queue and one file (FAULTS S1): one is active, another takes over within three seconds when
// it is killed, and there are never two writers.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { scaled } from '../acceptance/world.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import type { Program } from './program.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

const TAKE_OVER_MS = scaled(3_000, 15_000);
const STARTED = /started as the writer/;

const isActive = (program: Program): boolean => !program.hasEnded && STARTED.test(program.said);

/** Sessions that hold the queue's locks: those of the one writer. */
async function lockHolders(scene: Scene): Promise<number> {
  const [row] = await scene.database.query<{ n: number }>(
    `SELECT count(DISTINCT pid)::int AS n FROM pg_locks WHERE locktype = 'advisory' AND objid < 64 AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
  );
  return row?.n ?? -1;
}

for (const count of [2, 4]) {
  test(`of ${count} processors one is active, and another soon after it is killed`, { timeout: 600_000 }, async () => {
    await using scene = await createScene({ database: await createQueue() });
    const programs = Array.from({ length: count }, () => scene.run());
    onTestFinished(() => Promise.all(programs.map((each) => each[Symbol.asyncDispose]())).then(() => undefined));
    const producer = startProducer({
      ...scene,
      url: scene.database.url,
      random: createRandom(SEED),
      pauseMs: 80,
      mostRows: 15,
    });
    await waitFor(() => programs.some(isActive), { what: 'a writer', timeoutMs: 30_000 });

    /** The others are really standing by: one that has only begun to start does not listen to signals yet. */
    const allStandBy = (): Promise<unknown> =>
      waitFor(() => programs.every((each) => each.hasEnded || isActive(each) || /standing by/.test(each.said)), {
        what: 'the others to stand by',
        timeoutMs: 30_000,
      });
    const takeOversMs: number[] = [];
    for (let kills = 0; kills < scaled(20, 4); kills += 1) {
      await allStandBy();
      await sleep(1_200);
      expect(programs.filter(isActive)).toHaveLength(1);
      expect(await lockHolders(scene)).toBe(1);
      const active = programs.find(isActive);
      active?.signal('SIGKILL');
      const killed = performance.now();
      await active?.exit;
      await waitFor(() => programs.some(isActive), {
        what: 'the next writer',
        timeoutMs: 2 * TAKE_OVER_MS,
        intervalMs: 5,
      });
      takeOversMs.push(performance.now() - killed);
      programs.push(scene.run());
    }
    expect(Math.max(...takeOversMs)).toBeLessThan(TAKE_OVER_MS);
    await producer.end();
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    await allStandBy();
    for (const each of programs) if (!each.hasEnded) await stop(each);
    expect(await judge(scene), `TAILRACE_SEED=${SEED}`).toEqual([]);
  });
}
