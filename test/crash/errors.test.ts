// Failing system calls on the log and the journal, once and until further notice, and a disk that is really full (FAULTS
// D1 to D4). The same process has to go on by itself when the fault ends: nothing restarts it.

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { attach } from './attach.ts';
import { createMemoryDisk } from './disk.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import type { Program } from './program.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, rotate, type Scene } from './scene.ts';
import { type FileClass, pathsOf } from './strace.ts';
import { stop } from './sweep.ts';

const ERRORS = ['EIO', 'ENOSPC', 'EINTR'];
/** Calls that write an event on a class of files; those on a directory need a new file. */
const CALLS: readonly { readonly files: FileClass; readonly call: string; readonly rotated?: boolean }[] = [
  { files: 'log', call: 'write' },
  { files: 'log', call: 'fdatasync' },
  { files: 'log', call: 'openat', rotated: true },
  { files: 'directory', call: 'fsync', rotated: true },
  { files: 'journal', call: 'pwrite64,pwritev' },
  { files: 'journal', call: 'fdatasync' },
];
/** What the program says when it waits for its files. */
const DEGRADED = /log file cannot be written/;

/** Holds that none of the events has been delivered or taken from the queue. */
async function expectUntouched(scene: Scene, ids: readonly string[]): Promise<void> {
  const [row] = await scene.database.query<{ n: number }>('SELECT count(*)::int AS n FROM events WHERE id = ANY($1)', [
    ids,
  ]);
  expect(row?.n).toBe(ids.length);
  expect(ids.filter((id) => scene.accepted.has(id))).toEqual([]);
}

/** Waits until the program says more than it had. */
async function saysAgain(program: Program, what: RegExp, before: string): Promise<void> {
  await waitFor(() => what.test(program.said.slice(before.length)), { what: `${what}`, timeoutMs: 20_000 });
}

describe.skipIf(!requireTool('strace'))('a system call that fails', () => {
  for (const { files, call, rotated } of CALLS) {
    for (const error of ERRORS) {
      test(`once with ${error}, ${call} on the ${files}, costs nothing`, async () => {
        const random = createRandom(11);
        await using scene = await createScene({ database: await createQueue() });
        await using program = scene.run();
        await program.started();
        await insert(scene, random, 6);
        await waitUntilSettled(scene);
        {
          await using _ = await attach(program.pid, {
            ...{ call, paths: pathsOf(scene.log, scene.folder)[files] },
            ...{ effect: `error=${error}`, when: '1' },
          });
          if (rotated) await rotate(scene, 'rename');
          await insert(scene, random, 12);
          await waitUntilSettled(scene);
        }
        await passFreshEvent(scene);
        await stop(program);
        expect(await judge(scene), program.said).toEqual([]);
      });

      test(`with ${error} until further notice, ${call} on the ${files}, holds everything back and ends by itself`, async () => {
        const random = createRandom(12);
        await using scene = await createScene({ database: await createQueue() });
        await using program = scene.run();
        await program.started();
        await insert(scene, random, 6);
        await waitUntilSettled(scene);
        {
          await using _ = await attach(program.pid, {
            ...{ call, paths: pathsOf(scene.log, scene.folder)[files] },
            ...{ effect: `error=${error}`, when: '1+' },
          });
          const before = program.said;
          if (rotated) await rotate(scene, 'rename');
          const ids = await insert(scene, random, 12);
          // An interrupted call is made again below the program, which never hears of it.
          if (error === 'EINTR') await sleep(500);
          else await saysAgain(program, DEGRADED, before);
          await expectUntouched(scene, ids);
        }
        await waitUntilSettled(scene);
        await passFreshEvent(scene);
        await stop(program);
        expect(await judge(scene), program.said).toEqual([]);
      });
    }
  }
});

describe.skipIf(!requireTool('mount'))('a full disk', () => {
  test('holds everything back, with no torn line when it grows again', async () => {
    const random = createRandom(13);
    // A segment of the journal fits, and then a little of the log.
    await using disk = await createMemoryDisk('18m');
    await using scene = await createScene({ database: await createQueue(), parent: disk.path });
    await using program = scene.run();
    await program.started();
    await insert(scene, random, 6);
    await waitUntilSettled(scene);
    const before = program.said;
    for (let times = 0; times < 4; times += 1) await insert(scene, random, 600, 'y'.repeat(1_500));
    await saysAgain(program, DEGRADED, before);
    await disk.remount('size=128m');
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    await stop(program);
    expect(await judge(scene), program.said).toEqual([]);
  });

  test('on which not even the journal fits holds everything back until it grows', async () => {
    const random = createRandom(14);
    await using disk = await createMemoryDisk('2m');
    await using scene = await createScene({ database: await createQueue(), parent: disk.path });
    await using program = scene.run();
    await program.started();
    const ids = await insert(scene, random, 6);
    await program.says(DEGRADED);
    await expectUntouched(scene, ids);
    await disk.remount('size=128m');
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    await stop(program);
    expect(await judge(scene), program.said).toEqual([]);
  });
});
