// FAULTS D6: a journal that is damaged, cut, or gone. The lines of both events are whole in the log file, and both rows
// are in the queue: never a second line, never a lost or a malformed one.

import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, open, readdir, readFile, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SEGMENT_BYTES } from '../../../src/log-file/journal/segment.ts';
import { waitFor } from '../../helpers/wait-for.ts';
import { readIds, startStage } from '../stage.ts';
import { crash, JOURNAL_ID, journalOptions, listen, restart, type Scene } from './scene.ts';

const IDS = [1, 2];
/** Every byte where there is time for it. */
const STEP = process.env.TAILRACE_FULL === '1' ? 1 : 7;

/** Removes what a restart made, so that the next case finds one segment again. */
async function reset(scene: Scene, log: Buffer): Promise<void> {
  for (const name of await readdir(scene.directory)) {
    if (name.startsWith('journal-') && name !== 'journal-000001') await unlink(join(scene.directory, name));
  }
  await writeFile(scene.path, log);
}

/** How many bytes of the segment are in use. */
const usedBytes = (segment: Buffer): number => segment.findLastIndex((byte) => byte !== 0) + 1;

async function expectOnce(scene: Scene, what: string): Promise<readonly string[]> {
  const { alarms } = await restart(scene, { queue: IDS });
  expect(await readIds(scene.path), what).toEqual(['1', '2']);
  return alarms;
}

test('a flipped bit in any byte of a journal doubles, tears and loses no line', async () => {
  const scene = await crash([[1], [2]]);
  const log = await readFile(scene.path);
  const intact = await readFile(scene.segment(1));
  for (let at = 0; at < usedBytes(intact); at += STEP) {
    const segment = await open(scene.segment(1), 'r+');
    await segment.write(Buffer.from([(intact[at] ?? 0) ^ (1 << (at & 7))]), 0, 1, at);
    await expectOnce(scene, `byte ${at}`);
    await segment.write(intact, at, 1, at);
    await segment.close();
    await reset(scene, log);
  }
}, 600_000);

test('a journal cut at any length doubles, tears and loses no line', async () => {
  const scene = await crash([[1], [2]]);
  const log = await readFile(scene.path);
  const used = (await readFile(scene.segment(1))).subarray(0, 2_000);
  for (let length = usedBytes(used); length >= 0; length -= 1) {
    await writeFile(scene.segment(1), used.subarray(0, length));
    const alarms = await expectOnce(scene, `${length} bytes`);
    expect(alarms).toEqual([expect.stringContaining('missing or damaged')]);
    await reset(scene, log);
  }
});

test('a damaged record does not hide the whole ones behind it: what they began is finished', async () => {
  const scene = await crash([[1], [2]]);
  await truncate(scene.path, (scene.batches[0]?.length ?? 0) + 30);
  const segment = await open(scene.segment(1), 'r+');
  await segment.write('x', 60);
  await segment.close();
  const alarms = await expectOnce(scene, 'the first record');
  expect(alarms).toEqual([expect.stringContaining('missing or damaged')]);
});

test.each([
  ['all segments', async ({ segment }: Scene) => unlink(segment(1))],
  ['the folder', async ({ directory }: Scene) => rm(directory, { recursive: true }).then(() => mkdir(directory))],
])('without %s of a journal the end of the log file tells what has its line', async (_what, remove) => {
  const scene = await crash([[1], [2]]);
  await remove(scene);
  expect(await expectOnce(scene, 'removed')).toEqual([]);
});

test.each([
  ['lines', true],
  ['nothing', false],
])('a journal that is missing after a crash is said when the log holds %s', async (_what, isSaid) => {
  const scene = await crash([[1], [2]]);
  await unlink(scene.segment(1));
  if (!isSaid) await truncate(scene.path, 0);
  const warnings: unknown[] = [];
  const { log, alarms } = listen();
  log.warn = (_fields: unknown, message?: unknown) => void warnings.push(message);
  const running = startStage(scene.file, { log, journal: journalOptions(scene, [], { crashed: true }) });
  await waitFor(() => running.stage.status().path);
  expect(warnings).toEqual(isSaid ? [expect.stringContaining('there is no journal')] : []);
  expect(alarms).toEqual([]);
});

test('a lost journal is said aloud, and files that were moved and compressed are read for it', async () => {
  const scene = await crash([[1], [2]]);
  await unlink(scene.segment(1));
  await rename(scene.path, `${scene.path}.1`);
  execFileSync('gzip', [`${scene.path}.1`]);
  const { alarms } = await restart(scene, { queue: [...IDS, 3], journal: { lost: true } });
  expect(alarms).toEqual([expect.stringContaining('missing or damaged')]);
  expect(await readIds(scene.path)).toEqual(['3']);
});

test('a segment that is missing between two others is noticed', async () => {
  const scene = await crash([[1], [2]]);
  await copyFile(scene.segment(1), scene.segment(3));
  const { alarms } = await restart(scene, { queue: IDS });
  expect(alarms).toEqual([expect.stringContaining('missing or damaged')]);
  expect(await readIds(scene.path)).toEqual(['1', '2']);
});

test('a journal of another version is told from ours', async () => {
  const scene = await crash([[1], [2]]);
  const other = Buffer.alloc(SEGMENT_BYTES);
  other.write(`TRJOURN9${JOURNAL_ID}`);
  await writeFile(scene.segment(1), other);
  expect(await expectOnce(scene, 'version 9')).toEqual([expect.stringContaining('missing or damaged')]);
});

test('a record that a crash has cut is no damage, and the rows of its batch are simply read again', async () => {
  const scene = await crash([[1], [2]]);
  const used = usedBytes(await readFile(scene.segment(1)));
  const segment = await open(scene.segment(1), 'r+');
  await segment.write(Buffer.alloc(40), 0, 40, used - 40);
  await segment.close();
  await truncate(scene.path, scene.batches[0]?.length ?? 0);
  expect(await expectOnce(scene, 'torn record')).toEqual([]);
});
