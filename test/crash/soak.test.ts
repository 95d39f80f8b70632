// Months in a minute (FAULTS S7, H7): rotations, hangups, a receiver that fails half of the time, lost connections. At the
// end the program holds no more descriptors and no more memory than after a third of it.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FULL, report, scaled } from '../acceptance/world.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { openFiles, residentMiB } from './process-facts.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, rotate } from './scene.ts';
import { stop } from './sweep.ts';

const SOAK_MS = scaled(3_600_000, 45_000);
const SAMPLE_MS = scaled(5_000, 500);
const OWN_BACKENDS = `application_name = 'tailrace' AND datname = current_database()`;

test(`after ${SOAK_MS / 1000} s of everything it holds no more than after a third of them`, {
  timeout: SOAK_MS + scaled(1_200_000, 180_000), // twenty thousand files are judged at its end
}, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const producer = startProducer({
    ...{ ...scene, url: scene.database.url, random: createRandom(SEED + 1) },
    ...{ connections: 4, pauseMs: FULL ? 40 : 10, mostRows: 30 },
  });
  const began = performance.now();
  const elapsed = (): number => performance.now() - began;
  const samples: { readonly atMs: number; readonly files: number; readonly mib: number }[] = [];
  let rotations = 0;

  const sample = async (): Promise<void> => {
    while (elapsed() < SOAK_MS) {
      samples.push({
        atMs: elapsed(),
        files: await openFiles(program.pid),
        mib: await residentMiB(program.pid),
      });
      await sleep(SAMPLE_MS);
    }
  };
  const disturb = async (): Promise<void> => {
    while (elapsed() < SOAK_MS) {
      await sleep(random.integer(50, 250));
      if (await rotate(scene, 'rename')) rotations += 1;
      if (random.next() < 0.3) program.signal('SIGHUP');
      scene.receiver.delayMs = random.pick([0, 0, 5, 40]);
      if (random.next() < 0.04)
        await scene.database.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${OWN_BACKENDS} AND random() < 0.5`,
        );
    }
  };
  await Promise.all([sample(), disturb()]);
  scene.receiver.delayMs = 0;
  await producer.end();
  await waitUntilSettled(scene, 120_000);
  await passFreshEvent(scene);

  /** What it came back to again and again in a part of the time. */
  const quiet = (key: 'files' | 'mib', from: number, to: number): number => {
    const values = samples.filter(({ atMs }) => atMs >= from * SOAK_MS && atMs < to * SOAK_MS).map((each) => each[key]);
    return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
  };
  const figures = {
    events: scene.committed.size,
    rotations,
    files: [quiet('files', 0.2, 0.4), quiet('files', 0.8, 1)],
    mib: [quiet('mib', 0.2, 0.4), quiet('mib', 0.8, 1)],
  };
  process.stderr.write(`soak: ${JSON.stringify(figures)}\n`);
  report(figures);
  expect(rotations).toBeGreaterThan(SOAK_MS / 1_000);
  const [filesThen = 0, filesNow = 0] = figures.files;
  expect(filesNow).toBeLessThanOrEqual(filesThen + 6);
  const [mibThen = 0, mibNow = 0] = figures.mib;
  expect(mibNow).toBeLessThan(mibThen * 1.25 + 10);
  await stop(program);
  expect(await judge(scene), `TAILRACE_SEED=${SEED}\n${program.said.slice(-5_000)}`).toEqual([]);
});
