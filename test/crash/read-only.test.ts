// A file system that is really read-only (FAULTS D4): from the start, and from the moment when ext4 meets an error in
// itself. (A file system that is in use cannot be remounted read-only by hand.)

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { findTool, requireTool } from '../helpers/require-tool.ts';
import { createDisk, createMemoryDisk, DISK_TOOLS } from './disk.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene } from './scene.ts';
import { restart, stop } from './sweep.ts';
import { DEGRADED, expectUntouched, saysAgain } from './trouble.ts';

const run = promisify(execFile);

describe.skipIf(!DISK_TOOLS.map(requireTool).every(Boolean))('a read-only file system', () => {
  test('at the start is waited for, and used when it is writable', async () => {
    const random = createRandom(41);
    await using disk = await createMemoryDisk('128m');
    await using scene = await createScene({ database: await createQueue(), parent: disk.path });
    await disk.remount('ro');
    await using program = scene.run();
    const ids = await insert(scene, random, 6);
    await program.says(/read-only/);
    await expectUntouched(scene, ids);
    await disk.remount('rw');
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    await stop(program);
    expect(await judge(scene), program.said).toEqual([]);
  });

  test('that became so by an error holds everything back, and nothing is lost over its repair', async () => {
    const random = createRandom(42);
    await using disk = await createDisk();
    await run('mount', ['-o', 'remount,errors=remount-ro', disk.path]);
    await using scene = await createScene({ database: await createQueue(), parent: disk.path });
    await using program = scene.run();
    await program.started();
    await insert(scene, random, 30);
    await waitUntilSettled(scene);
    await run('sync', ['-f', disk.path]); // the configuration is not what the test is about
    const before = program.said;
    const trigger = `/sys/fs/ext4/${basename(await disk.device())}/trigger_fs_error`;
    expect(existsSync(trigger), trigger).toBe(true);
    await writeFile(trigger, 'test');
    await expect(writeFile(join(disk.path, 'probe'), '')).rejects.toMatchObject({ code: 'EROFS' });
    const ids = await insert(scene, random, 12);
    await saysAgain(program, DEGRADED, before);
    expect(program.said.slice(before.length)).toMatch(/read-only|EROFS|EIO/);
    await expectUntouched(scene, ids);
    await stop(program);
    await disk.repair(findTool('fsck.ext4') ?? 'fsck.ext4');
    expect(await restart(scene)).toEqual([]);
  });
});
