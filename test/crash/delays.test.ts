// A process that is held up between looking at the log's path and writing, or while it syncs (FAULTS P5, D5): what was
// written to a file that is gone by then is written again, and no time limit lets anything pass unsynced.

import { rm } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { attach } from './attach.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, rotate, type Scene } from './scene.ts';
import { pathsOf } from './strace.ts';
import { stop } from './sweep.ts';

/** Longer than what is done meanwhile takes on a busy machine. */
const HELD_UP_MS = 5_000;
/** By then the call has begun. */
const BEGUN_MS = 300;
/** SPEC 4: a moved file may be compressed a second later. */
const BEFORE_GZIP_MS = 1_000;

const cases: readonly {
  readonly name: string;
  readonly call: 'write' | 'fdatasync';
  readonly meanwhile: (scene: Scene) => Promise<unknown>;
}[] = [
  {
    name: 'a write that is held up while the file is moved and compressed',
    call: 'write',
    meanwhile: (scene) => rotate(scene, 'rename + gzip', BEFORE_GZIP_MS),
  },
  {
    name: 'a write that is held up while the file is moved',
    call: 'write',
    meanwhile: (scene) => rotate(scene, 'rename'),
  },
  { name: 'a sync that takes long', call: 'fdatasync', meanwhile: async () => undefined },
  {
    name: 'a sync that takes long while the file is moved',
    call: 'fdatasync',
    meanwhile: (scene) => rotate(scene, 'rename'),
  },
  {
    name: 'a sync that takes long while the file is moved and compressed',
    call: 'fdatasync',
    meanwhile: (scene) => rotate(scene, 'rename + gzip', BEFORE_GZIP_MS),
  },
];

describe.skipIf(!requireTool('strace'))('a process that is held up', () => {
  for (const { name, call, meanwhile } of cases) {
    test(`loses and repeats nothing: ${name}`, async () => {
      const random = createRandom(21);
      await using scene = await createScene({ database: await createQueue() });
      await using program = scene.run();
      await program.started();
      await insert(scene, random, 6);
      await waitUntilSettled(scene);
      {
        await using _ = await attach(program.pid, {
          ...{ call, paths: pathsOf(scene.log, scene.folder).log, when: '1' },
          effect: `delay_enter=${HELD_UP_MS * 1_000}`,
        });
        const ids = await insert(scene, random, 12);
        await sleep(BEGUN_MS);
        await meanwhile(scene);
        expect(ids.filter((id) => scene.accepted.has(id))).toEqual([]);
        await waitUntilSettled(scene);
      }
      await passFreshEvent(scene);
      await stop(program);
      expect(await judge(scene), program.said).toEqual([]);
    });
  }

  test('while its file is deleted writes what it had begun to the new one', async () => {
    const random = createRandom(22);
    await using scene = await createScene({ database: await createQueue() });
    await using program = scene.run();
    await program.started();
    {
      await using _ = await attach(program.pid, {
        ...{ call: 'fdatasync', paths: pathsOf(scene.log, scene.folder).log, when: '1' },
        effect: `delay_enter=${HELD_UP_MS * 1_000}`,
      });
      await insert(scene, random, 12);
      await sleep(BEGUN_MS);
      await rm(scene.log);
      await waitUntilSettled(scene);
    }
    await passFreshEvent(scene);
    await stop(program);
    expect(await judge(scene), program.said).toEqual([]);
  });
});
