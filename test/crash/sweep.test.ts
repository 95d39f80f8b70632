// SWEEP (FAULTS P1, P2, F9): the program is killed at every call that changes its files, with and without a rotation
// before the next start, and again during the recovery. TAILRACE_FULL=1 stages every combination.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FULL } from '../acceptance/world.ts';
import type { TestDatabase } from '../helpers/postgres.ts';
import { requireTool } from '../helpers/require-tool.ts';
import type { Known } from './events.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, insertSmallWorkload, type Rotation, type Scene } from './scene.ts';
import { countCalls, type FileClass, noting, pathsOf } from './strace.ts';
import { crashAt, type FilePoint, LAST_LINE, nameOf, recoveryPoint, type Staging, sweep, tearOff } from './sweep.ts';
import { createTemplate, type Template } from './template.ts';

const ROTATIONS: readonly Rotation[] = ['rename', 'rename + gzip'];
const CLASSES: readonly FileClass[] = ['log', 'journal', 'state', 'directory'];
/** Points that are staged with a rotation in the bounded form. */
const SAMPLE = 60;
/** What is torn off: the last line, a number of bytes, or a share of the batch. */
const TEARS = [LAST_LINE, 1, 20, 0.3, 0.95];
const TIMEOUT_MS = FULL ? 7_200_000 : 600_000;

let queue: TestDatabase;
let template: Template;
let committed: Map<string, Known>;
let points: FilePoint[];

const newScene = async (): Promise<Scene> => createScene({ database: await template.copy(), committed });

beforeAll(async () => {
  queue = await createQueue();
  committed = await insertSmallWorkload(queue);
  template = await createTemplate(queue.name);
  points = [];
  for (const files of CLASSES) {
    for (const [call, count] of await callsOf(files)) {
      for (let n = 1; n <= count; n += 1) points.push({ files, call, n });
    }
  }
});

afterAll(async () => {
  await template?.[Symbol.asyncDispose]();
  await queue?.[Symbol.asyncDispose]();
});

/** Which calls an undisturbed run makes on a class of files. */
async function callsOf(files: FileClass): Promise<Map<string, number>> {
  await using scene = await newScene();
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-calls-'));
  try {
    const output = join(folder, 'calls');
    await using program = scene.run({ once: true, under: noting(pathsOf(scene.log, scene.folder)[files], output) });
    expect(await program.exit, program.said).toBe(0);
    return await countCalls(output);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const stagingOf = (point: FilePoint, rotation: Rotation, again: FilePoint | null): Staging => ({
  name: `killed at ${nameOf(point)}, ${rotation}${again ? `, killed again at ${nameOf(again)}` : ''}`,
  crash: (scene) => crashAt(scene, point),
  rotation,
  recoveryPoint: again,
});

describe.skipIf(!requireTool('strace'))('a kill -9 at a system call', () => {
  for (const files of CLASSES) {
    test(`on the ${files}, each in turn, loses and repeats nothing`, { timeout: TIMEOUT_MS }, async () => {
      const chosen = points.filter((point) => point.files === files);
      expect(chosen.length).toBeGreaterThan(0);
      const stagings = chosen.map((point, at) => stagingOf(point, 'none', FULL || at % 2 ? recoveryPoint(at) : null));
      const { met } = await sweep(stagings, newScene);
      // A point that a run did not reach says nothing; a few may vary with the timing.
      expect(met).toBeGreaterThanOrEqual(chosen.length * 0.9);
    });
  }

  test('in the middle of a write, which leaves a torn line, loses and repeats nothing', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const rotations: readonly Rotation[] = ['none', ...ROTATIONS];
    const cuts = [1, 2].flatMap((batch) => TEARS.map((tear) => ({ batch, tear })));
    const stagings = cuts.flatMap(({ batch, tear }, at) =>
      rotations.map(
        (rotation): Staging => ({
          name: `batch ${batch} torn ${tear} before its end, ${rotation}`,
          crash: async (scene) => {
            const met = await crashAt(scene, { files: 'log', call: 'fdatasync', n: batch });
            await tearOff(scene, tear);
            return met;
          },
          rotation,
          recoveryPoint: FULL || at % 3 === 0 ? recoveryPoint(at) : null,
        }),
      ),
    );
    const { met } = await sweep(stagings, newScene);
    expect(met).toBe(stagings.length);
  });

  test('and a rotation before the restart lose and repeat nothing', { timeout: TIMEOUT_MS }, async () => {
    const random = createRandom(3);
    const chosen = points.flatMap((point) => ROTATIONS.map((rotation) => ({ point, rotation })));
    const sample = FULL ? chosen : Array.from({ length: SAMPLE }, () => random.pick(chosen));
    const stagings = sample.map(({ point, rotation }, at) =>
      stagingOf(point, rotation, at % 2 ? recoveryPoint(at) : null),
    );
    const { met, metAgain } = await sweep(stagings, newScene);
    expect(met).toBeGreaterThanOrEqual(sample.length * 0.9);
    expect(metAgain).toBeGreaterThan(0);
  });
});
