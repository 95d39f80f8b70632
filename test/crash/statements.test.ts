// SWEEP over PostgreSQL (FAULTS P1, B2): the program is killed, or its connection cut, before each statement reaches the
// server and after the server executed it but before the answer arrives.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FULL } from '../acceptance/world.ts';
import type { TestDatabase } from '../helpers/postgres.ts';
import type { Known } from './events.ts';
import { inParallel } from './in-parallel.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createProxy, type Side } from './proxy.ts';
import { createQueue, createScene, insertSmallWorkload, type Rotation, type Scene } from './scene.ts';
import { recoveryPoint, type Staging, stop, sweep } from './sweep.ts';
import { createTemplate, type Template } from './template.ts';

const SIDES: readonly Side[] = ['request', 'answer'];
const TIMEOUT_MS = FULL ? 7_200_000 : 600_000;

let queue: TestDatabase;
let template: Template;
let committed: Map<string, Known>;
/** Statements of an undisturbed `run --once`. */
let statements: number;

const newScene = async (): Promise<Scene> => createScene({ database: await template.copy(), committed });

beforeAll(async () => {
  queue = await createQueue();
  committed = await insertSmallWorkload(queue);
  template = await createTemplate(queue.name);
  await using scene = await newScene();
  await using proxy = await createProxy(scene.database.url);
  await using program = scene.run({ once: true, database: proxy.url });
  expect(await program.exit, program.said).toBe(0);
  statements = proxy.statements;
});

afterAll(async () => {
  await template?.[Symbol.asyncDispose]();
  await queue?.[Symbol.asyncDispose]();
});

/** The n-th statements of a run, every one or every second one. */
const numbers = (step: number): number[] =>
  Array.from({ length: statements }, (_, at) => at + 1).filter((n) => n % step === 0);

/** Kills the program at a boundary. @returns whether it came to that. */
async function killAt(scene: Scene, side: Side, n: number): Promise<boolean> {
  let kill = (): void => undefined;
  await using proxy = await createProxy(scene.database.url, { side, n, act: () => kill() });
  await using program = scene.run({ once: true, database: proxy.url });
  kill = () => program.signal('SIGKILL');
  return (await program.exit) === 137;
}

describe('a kill -9', () => {
  for (const side of SIDES) {
    const when = side === 'request' ? 'before each statement' : 'between each statement and its answer';
    test(`${when} loses and repeats nothing`, { timeout: TIMEOUT_MS }, async () => {
      const rotations: readonly Rotation[] = FULL ? ['none', 'rename', 'rename + gzip'] : ['none'];
      // What an unanswered statement leaves is where the next one would begin: those are the half that matters.
      const stagings = numbers(FULL || side === 'answer' ? 1 : 2).flatMap((n) =>
        rotations.map(
          (rotation): Staging => ({
            name: `killed at ${side} ${n}, ${rotation}`,
            crash: (scene) => killAt(scene, side, n),
            rotation,
            recoveryPoint: FULL || n % 8 === 0 ? recoveryPoint(n) : null,
          }),
        ),
      );
      const { met } = await sweep(stagings, newScene);
      // How often an idle `run --once` asks depends on the timing, so the last few may not be reached.
      expect(met).toBeGreaterThanOrEqual(stagings.length * 0.7);
    });
  }
});

test('a connection that is cut at each statement loses and repeats nothing', { timeout: TIMEOUT_MS }, async () => {
  const faults: string[] = [];
  const boundaries = SIDES.flatMap((side) => numbers(FULL ? 1 : 2).map((n) => ({ side, n })));
  await inParallel(boundaries, async ({ side, n }) => {
    await using scene = await newScene();
    await using proxy = await createProxy(scene.database.url, { side, n, act: ({ cut }) => cut() });
    await using program = scene.run({ database: proxy.url });
    try {
      await waitUntilSettled(scene);
      await passFreshEvent(scene);
      await stop(program);
    } catch (error) {
      faults.push(`cut at ${side} ${n}: ${error}\n${program.said.slice(-2_000)}`);
    }
    faults.push(...(await judge(scene)).map((fault) => `cut at ${side} ${n}: ${fault}`));
  });
  expect(faults).toEqual([]);
});
