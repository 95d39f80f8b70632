// A process that is frozen between its look at the log's path and its write, across a rotation whose compressing has
// read the moved file to its end by then and deletes it later (FAULTS P5, QUEUE A7.12).

import { execFile } from 'node:child_process';
import { copyFile, readFile, rename, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { attach } from './attach.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { pathsOf } from './strace.ts';
import { restart, stop } from './sweep.ts';

const HELD_UP_MS = 2_500;
/** By then the write has begun. */
const BEGUN_MS = 500;

const run = promisify(execFile);
const linesIn = async (path: string): Promise<number> =>
  (await readFile(path, 'utf8').catch(() => '')).split('\n').length - 1;

/** Moves the log and has it compressed as it is now; `finish` deletes it, as gzip does at its end. */
async function compressSlowly({ log }: Scene): Promise<{ readonly moved: string; finish(): Promise<void> }> {
  const moved = `${log}.1`;
  await rename(log, moved);
  await copyFile(moved, `${log}.2`);
  await run('gzip', [`${log}.2`]);
  // Under a name that does not count before the other is gone.
  await rename(`${log}.2.gz`, `${log.replace('events', 'compressed')}`);
  return {
    moved,
    async finish() {
      await rename(`${log.replace('events', 'compressed')}`, `${log}.1.gz`);
      await unlink(moved);
    },
  };
}

describe.skipIf(!requireTool('strace'))('a write that is held up while the file is moved and compressed', () => {
  test.each([
    { name: 'is made again when the compressing missed it', isKilled: false },
    { name: 'is made again after a kill', isKilled: true },
  ])('$name', async ({ isKilled }) => {
    const random = createRandom(51);
    await using scene = await createScene({ database: await createQueue() });
    await using program = scene.run();
    await program.started();
    const first = (await insert(scene, random, 6)).length;
    await waitUntilSettled(scene);
    let compressing: Awaited<ReturnType<typeof compressSlowly>>;
    let ids: string[];
    {
      await using _ = await attach(program.pid, {
        ...{ call: 'write', paths: pathsOf(scene.log, scene.folder).log, when: '1' },
        effect: `delay_enter=${HELD_UP_MS * 1_000}`,
      });
      ids = await insert(scene, random, 12);
      await sleep(BEGUN_MS);
      compressing = await compressSlowly(scene);
      await waitFor(async () => (await linesIn(compressing.moved)) === first + ids.length, { what: 'the late lines' });
    }
    await passFreshEvent(scene);
    // Others pass, but nothing of these is sent or settled yet.
    expect(ids.filter((id) => scene.accepted.has(id))).toEqual([]);
    if (isKilled) {
      program.signal('SIGKILL');
      await program.exit;
    }
    await compressing.finish();
    if (isKilled) {
      // The journal knows those lines with the times of before, and they go behind those of the fresh event.
      const faults = await restart(scene);
      expect(faults.filter((fault) => !/time/.test(fault))).toEqual([]);
      return;
    }
    await program.says(/are written again/);
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    await stop(program);
    expect(await judge(scene), program.said).toEqual([]);
  });
});
