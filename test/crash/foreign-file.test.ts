// What stands at the log's path after a crash need not be the log (FAULTS F3, F10): another file in the same inode, a
// file that was truncated or copied. The journal's place must not be believed blindly, nor foreign bytes overwritten.

import { copyFile, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { createDisk, DISK_TOOLS } from './disk.ts';
import { createRow, knownOf } from './events.ts';
import { passFreshEvent, waitUntilSettled } from './oracle.ts';
import { insertRows, nextUnique } from './producer.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, insertSmallWorkload, type Scene } from './scene.ts';
import { crashAt, restart, stop } from './sweep.ts';

/** Lines of a batch of the small workload. */
const BATCH_LINES = 7;

/**
 * A scene whose program was killed before it synced its second batch. One line stood in the file long before: at the
 * start of an empty file nothing tells a truncated one from the one that was meant.
 */
async function createCrashed(parent?: string): Promise<Scene> {
  const database = await createQueue();
  const scene = await createScene({ database, ...(parent === undefined ? {} : { parent }) });
  const row = createRow(createRandom(8), nextUnique(), 'delivery_attempt');
  await database.query(`SELECT setval('events_seq', 900, false)`);
  const [id = ''] = await insertRows(await database.client(), [row]);
  scene.committed.set(id, knownOf(row));
  await using first = scene.run({ once: true });
  expect(await first.exit, first.said).toBe(0);
  for (const [known, fate] of await insertSmallWorkload(database)) scene.committed.set(known, fate);
  expect(await crashAt(scene, { files: 'log', call: 'fdatasync', n: 2 })).toBe(true);
  return scene;
}

async function linesOf(scene: Scene): Promise<string[]> {
  return (await readFile(scene.log, 'utf8')).split('\n').slice(0, -1);
}

const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

describe.skipIf(!requireTool('strace'))('after a crash', () => {
  test('another file in the same inode is not taken for the log', async () => {
    await using scene = await createCrashed();
    const lines = await linesOf(scene);
    const { ino } = await stat(scene.log);
    await writeFile(`${scene.log}.1`, textOf(lines.slice(-BATCH_LINES)));
    // As long as the log was before the second batch, and yet not what it was.
    await writeFile(scene.log, textOf(lines.slice(0, -BATCH_LINES).reverse()));
    expect((await stat(scene.log)).ino).toBe(ino);
    const foreign = await readFile(scene.log, 'utf8');
    // The order of the lines is what makes it another file here, so their times do not grow.
    expect(await restart(scene, { clockMoved: true })).toEqual([]);
    expect((await readFile(scene.log, 'utf8')).startsWith(foreign)).toBe(true);
  });

  test('a log that was copied and truncated gets no hole, and the copy counts', async () => {
    await using scene = await createCrashed();
    await copyFile(scene.log, `${scene.log}.1`);
    await truncate(scene.log, 0);
    expect(await restart(scene)).toEqual([]);
    expect((await readFile(scene.log)).includes(0)).toBe(false);
  });

  test('a log that another program wrote to keeps all its bytes, and what is missing is appended', async () => {
    await using scene = await createCrashed();
    // Torn in the second batch; then somebody ended that line.
    await truncate(scene.log, (await stat(scene.log)).size - 40);
    await writeFile(scene.log, '\n', { flag: 'a' });
    const before = await readFile(scene.log, 'utf8');
    const faults = await restart(scene);
    expect(faults.filter((fault) => !fault.startsWith('1 × malformed line'))).toEqual([]);
    expect((await readFile(scene.log, 'utf8')).startsWith(before)).toBe(true);
  });
});

/** Removes the log and makes files in its place until one has its inode. */
async function reuseInode({ log }: Scene, contents: string): Promise<void> {
  const { ino } = await stat(log);
  await rm(log);
  // Files that are kept, so that another inode is given each time.
  for (let tries = 0; tries < 1_000; tries += 1) {
    await writeFile(log, contents);
    if ((await stat(log)).ino === ino) return;
    await rename(log, `${log}-other-${tries}`);
  }
  throw new Error(`inode ${ino} did not come back`);
}

describe.skipIf(![...DISK_TOOLS, 'strace'].map(requireTool).every(Boolean))(
  'after a crash, on a small file system',
  () => {
    const FOREIGN = "somebody else's line\n";
    for (const [what, contents] of [
      ['an empty file', () => ''],
      ['a short file', () => FOREIGN],
      ['a file as long as the log', (size: number) => FOREIGN.repeat(Math.ceil(size / FOREIGN.length)).slice(-size)],
      ['a longer file', (size: number) => FOREIGN.repeat(Math.ceil((2 * size) / FOREIGN.length))],
    ] as const) {
      test(`${what} that was given the inode of the removed log is not taken for it`, async () => {
        await using disk = await createDisk();
        await using scene = await createCrashed(disk.path);
        const removed = await readFile(scene.log);
        const foreign = contents(removed.length);
        await reuseInode(scene, foreign);
        for (const name of await readdir(scene.folder))
          if (name.includes('-other-')) await rm(join(scene.folder, name));
        const open = new Set(
          (await scene.database.query<{ id: string }>('SELECT id::text AS id FROM events')).map(({ id }) => id),
        );
        await using program = scene.run();
        await program.started();
        await waitUntilSettled(scene);
        await passFreshEvent(scene);
        await stop(program);
        const text = await readFile(scene.log, 'utf8');
        expect(text.startsWith(foreign)).toBe(true);
        // What was not settled is written again, since nobody can know whether somebody kept the removed file.
        const again = idsOf(text.slice(foreign.length));
        expect(new Set(again).size, program.said).toBe(again.length);
        const everywhere = new Set([...idsOf(removed.toString()), ...again]);
        expect(
          [...scene.committed.keys()].filter((id) => !everywhere.has(id)),
          program.said,
        ).toEqual([]);
        expect(
          idsOf(removed.toString()).filter((id) => again.includes(id) && !open.has(id)),
          program.said,
        ).toEqual([]);
        expect(program.said).toMatch(/log file that lines were going to is gone|lines are missing from a log file/);
      });
    }
  },
);

const idsOf = (text: string): string[] =>
  [...text.matchAll(/^\{"time_written_to_logfile":[\d.]+,"event_id":(\d+),/gm)].map(([, id]) => String(id));
