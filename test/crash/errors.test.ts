// Failing system calls on the log and the journal, once and until further notice, and a disk that is really full (FAULTS
// D1 to D4). The same process has to go on by itself when the fault ends: nothing restarts it.

import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { FULL } from '../acceptance/world.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { attach } from './attach.ts';
import { createMemoryDisk } from './disk.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, rotate } from './scene.ts';
import { type FileClass, pathsOf } from './strace.ts';
import { stop } from './sweep.ts';
import { DEGRADED, expectUntouched, saysAgain } from './trouble.ts';

const ERRORS = ['EIO', 'ENOSPC', 'EINTR'];
/** Calls that write an event on a class of files; those on a directory need a new file. */
const CALLS: readonly {
  readonly files: FileClass;
  readonly call: string;
  readonly rotated?: boolean;
  /** Errors besides those of `ERRORS` that this call is likely to give; TAILRACE_FULL=1 gives all of them to all. */
  readonly also?: readonly string[];
}[] = [
  { files: 'log', call: 'write', also: ['EDQUOT', 'EROFS', 'EAGAIN'] },
  { files: 'log', call: 'fdatasync', also: ['EAGAIN'] },
  { files: 'log', call: 'openat', rotated: true, also: ['EROFS'] },
  { files: 'directory', call: 'fsync', rotated: true },
  { files: 'journal', call: 'pwrite64,pwritev', also: ['EDQUOT', 'EROFS', 'EAGAIN'] },
  { files: 'journal', call: 'fdatasync' },
];
const RARE_ERRORS = ['EDQUOT', 'EROFS', 'EAGAIN'];

describe.skipIf(!requireTool('strace'))('a system call that fails', () => {
  for (const { files, call, rotated, also = [] } of CALLS) {
    for (const error of [...ERRORS, ...(FULL ? RARE_ERRORS : also)]) {
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
    for (let times = 0; times < 4; times += 1) await insert(scene, random, 600, { message: 'y'.repeat(1_500) });
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
