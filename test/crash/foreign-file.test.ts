// What stands at the log's path after a crash need not be the log (FAULTS F3, F10): another file in the same inode, a
// file that was truncated or copied. The journal's place must not be believed blindly, nor foreign bytes overwritten.

import { copyFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { createRow, knownOf } from './events.ts';
import { insertRows, nextUnique } from './producer.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, insertSmallWorkload, type Scene } from './scene.ts';
import { crashAt, restart } from './sweep.ts';

/** Lines of a batch of the small workload. */
const BATCH_LINES = 7;

/**
 * A scene whose program was killed before it synced its second batch. One line stood in the file long before: at the
 * start of an empty file nothing tells a truncated one from the one that was meant.
 */
async function createCrashed(): Promise<Scene> {
  const database = await createQueue();
  const scene = await createScene({ database });
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
