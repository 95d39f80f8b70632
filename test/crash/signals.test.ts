// Signals at any moment under load (FAULTS P3, P4, P5): an orderly end, one that is cut short, reloads, and a process
// that is frozen while its file is rotated.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FULL, scaled } from '../acceptance/world.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, rotate, type Scene } from './scene.ts';
import { restart, stop } from './sweep.ts';

const ENDS = scaled(200, 6);
const CUT_SHORT = scaled(100, 5);
const HANGUPS = 200;
const FREEZES = scaled(50, 3);
const TIMEOUT_MS = FULL ? 3_600_000 : 180_000;
/** How late the receiver answers: there is always something on its way. */
const ANSWER_MS = 150;
const SIGNALS = ['SIGTERM', 'SIGINT'] as const;
const NUMBERS = { SIGTERM: 15, SIGINT: 2 };
/** SPEC 4: a moved file may be compressed a second later. */
const BEFORE_GZIP_MS = 1_000;

const load = (scene: Scene, pauseMs: number): ReturnType<typeof startProducer> =>
  startProducer({ ...scene, url: scene.database.url, random: createRandom(SEED), pauseMs });

/** Events that were accepted more than once. */
const repeated = ({ accepted }: Scene): string[] =>
  [...accepted].filter(([, { times }]) => times > 1).map(([id]) => id);

test(`${ENDS} orderly ends amid deliveries lose and repeat nothing, at the destination either`, {
  timeout: TIMEOUT_MS,
}, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  scene.receiver.delayMs = ANSWER_MS;
  const producer = load(scene, 60);
  for (let ends = 0; ends < ENDS; ends += 1) {
    await using program = scene.run();
    await program.started();
    await sleep(random.integer(0, 500));
    const asked = performance.now();
    program.signal(random.pick(SIGNALS));
    expect(await program.exit, program.said).toBe(0);
    expect(performance.now() - asked).toBeLessThan(scaled(10_500, 30_000));
  }
  await producer.end();
  scene.receiver.delayMs = 0;
  expect(await restart(scene, { timeoutMs: 120_000 }), `TAILRACE_SEED=${SEED}`).toEqual([]);
  expect(repeated(scene), `TAILRACE_SEED=${SEED}`).toEqual([]);
});

test(`${CUT_SHORT} ends cut short by a second signal lose nothing and repeat no line`, {
  timeout: TIMEOUT_MS,
}, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  const producer = load(scene, 60);
  const codes: number[] = [];
  for (let ends = 0; ends < CUT_SHORT; ends += 1) {
    // Never answered while it stops, so that the second signal comes before the end.
    scene.receiver.delayMs = ends % 2 === 0 ? 3_000 : ANSWER_MS;
    await using program = scene.run();
    await program.started();
    await sleep(random.integer(0, 500));
    const [first, second] = [random.pick(SIGNALS), random.pick(SIGNALS)];
    program.signal(first);
    await program.says(/stopping/); // two equal signals at once are one
    await sleep(random.integer(0, 100));
    if (!program.hasEnded) program.signal(second);
    const asked = performance.now();
    const code = await program.exit;
    expect(performance.now() - asked).toBeLessThan(scaled(2_500, 8_000));
    expect([0, 128 + NUMBERS[second]], program.said).toContain(code);
    codes.push(code);
  }
  expect(codes.some((code) => code !== 0)).toBe(true);
  await producer.end();
  scene.receiver.delayMs = 0;
  expect(await restart(scene, { timeoutMs: 120_000 }), `TAILRACE_SEED=${SEED}`).toEqual([]);
});

test(`${HANGUPS} SIGHUPs under load and rotations end nothing, lose nothing and repeat nothing`, {
  timeout: TIMEOUT_MS,
}, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const producer = load(scene, 30);
  for (let hangups = 0; hangups < HANGUPS; hangups += 1) {
    if (hangups % 20 === 0) await rotate(scene, 'rename');
    program.signal('SIGHUP');
    await sleep(random.integer(0, 30));
  }
  await producer.end();
  await waitUntilSettled(scene, 60_000);
  await passFreshEvent(scene);
  await stop(program);
  expect(await judge(scene), `TAILRACE_SEED=${SEED}\n${program.said.slice(-3_000)}`).toEqual([]);
  expect(repeated(scene)).toEqual([]);
});

test(`${FREEZES} freezes across a rotation lose and repeat nothing`, { timeout: TIMEOUT_MS }, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  await using program = scene.run();
  await program.started();
  const producer = load(scene, 20);
  for (let freezes = 0; freezes < FREEZES; freezes += 1) {
    await sleep(random.integer(50, 400));
    program.signal('SIGSTOP');
    await rotate(scene, freezes % 2 === 0 ? 'rename + gzip' : 'rename', BEFORE_GZIP_MS);
    if (freezes === 0) await sleep(5_000); // as long as a virtual machine is held for a snapshot
    program.signal('SIGCONT');
  }
  await producer.end();
  await waitUntilSettled(scene, 60_000);
  await passFreshEvent(scene);
  await stop(program);
  expect(await judge({ ...scene, mayBeTorn: true }), `TAILRACE_SEED=${SEED}\n${program.said.slice(-3_000)}`).toEqual(
    [],
  );
});
