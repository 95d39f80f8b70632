// A journal whose segments lose their names while it is open (QUEUE A7.9).

import { mkdir, readdir, readFile, rename, rm, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadJournal } from '../../../src/log-file/journal/load.ts';
import { SEGMENT_BYTES } from '../../../src/log-file/journal/segment.ts';
import { waitFor } from '../../helpers/wait-for.ts';
import { makeFolder, range } from '../stage.ts';
import { openJournal } from './scene.ts';

const PLACE = { path: '/log/events.jsonl', inode: 7n, offset: 0, before: { length: 0, crc: 0 } };
const ELSEWHERE = { ...PLACE, inode: 8n, offset: 40 };

const intentOf = (ids: readonly number[], lineBytes = 10) => ({
  place: PLACE,
  bytes: Buffer.from(ids.map((id) => `${String(id).padEnd(lineBytes - 1, '.')}\n`).join('')),
  ids: ids.map(String),
  lastTimeUs: 1_700_000_000_000_000,
});

async function makeState(): Promise<string> {
  const directory = join(await makeFolder(), 'state');
  await mkdir(directory);
  return directory;
}

const segmentsIn = async (directory: string): Promise<string[]> =>
  (await readdir(directory)).filter((name) => name.startsWith('journal-')).sort();

test('what stands in its place is left alone', async () => {
  const directory = await makeState();
  const journal = await openJournal(directory);
  expect(await journal.keep()).toBe(true);
  await journal.intend(intentOf([1]));
  const before = await segmentsIn(directory);
  expect(await journal.keep()).toBe(true);
  expect(await segmentsIn(directory)).toEqual(before);
});

test('what is unsettled of several segments is written anew, with what is known of it', async () => {
  const directory = await makeState();
  const journal = await openJournal(directory);
  await journal.intend(intentOf([1, 2, 3], SEGMENT_BYTES / 4));
  await journal.intend(intentOf([4, 5]));
  await journal.intend(intentOf([6], SEGMENT_BYTES - 200_000));
  await journal.intend(intentOf([7, 8]));
  await journal.placed(4, ELSEWHERE, 10);
  journal.appended(1);
  journal.settled(['2', '4', '5']);
  await rename(directory, `${directory}.away`);
  await mkdir(directory);
  expect(await journal.keep()).toBe(false);
  expect(await journal.keep()).toBe(true);
  const { intents, damaged, torn } = await loadJournal(directory);
  expect([damaged, torn]).toEqual([[], false]);
  expect(intents).toMatchObject([
    { seq: 1, ids: ['1', '2', '3'], place: PLACE, from: 0, settled: false, logged: true },
    { seq: 3, ids: ['6'], place: PLACE, from: 0, settled: false, logged: false },
    { seq: 4, ids: ['7', '8'], place: ELSEWHERE, from: 10, settled: false, logged: false },
  ]);
  expect(String(await intents[2]?.read())).toBe('7........\n8........\n');
  // Also what was settled is known, though only this process can still read it.
  expect([...(await journal.linesOf(new Set(['1', '4', '7']))).keys()].sort()).toEqual(['1', '4', '7']);
  expect(await journal.intend(intentOf([9]))).toBe(5);
  journal.settled(['1', '3', '6', '7', '8', '9']);
  expect(journal.unsettled).toBe(0);
  await journal.close();
  expect((await loadJournal(directory)).intents.every(({ settled }) => settled)).toBe(true);
});

test('a segment that was unlinked among others leaves no gap behind', async () => {
  const directory = await makeState();
  const journal = await openJournal(directory);
  for (const id of [1, 2, 3]) await journal.intend(intentOf([id], SEGMENT_BYTES - 200_000));
  await waitFor(async () => (await segmentsIn(directory)).length === 4);
  await unlink(join(directory, 'journal-000002'));
  expect(await journal.keep()).toBe(false);
  const { intents, damaged } = await loadJournal(directory);
  expect(damaged).toEqual([]);
  expect(intents.map(({ ids }) => ids)).toEqual([['1'], ['2'], ['3']]);
});

test('while the folder is missing it says so, and goes on when that is back', async () => {
  const directory = await makeState();
  const journal = await openJournal(directory);
  await journal.intend(intentOf([1]));
  await rm(directory, { recursive: true });
  await expect(journal.keep()).rejects.toMatchObject({ code: 'ENOENT' });
  await mkdir(directory);
  expect(await journal.keep()).toBe(false);
  expect((await loadJournal(directory)).intents).toMatchObject([{ seq: 1, ids: ['1'] }]);
});

test('a journal that loses its folder again and again holds no more descriptors than at first', async () => {
  const directory = await makeState();
  const journal = await openJournal(directory);
  const open = async (): Promise<number> => (await readdir('/proc/self/fd')).length;
  let most = 0;
  for (const id of range(1, 12)) {
    await journal.intend(intentOf([id]));
    await rm(directory, { recursive: true });
    await mkdir(directory);
    await journal.keep();
    if (id > 1) journal.settled([String(id - 1)]);
    if (id === 5) most = await open();
  }
  await waitFor(async () => (await open()) <= most);
  await journal.close();
  expect(await readFile(join(directory, (await segmentsIn(directory))[0] ?? ''))).toHaveLength(SEGMENT_BYTES);
});
