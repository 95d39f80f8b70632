import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { Journal } from '../../../src/log-file/journal/journal.ts';
import { loadJournal } from '../../../src/log-file/journal/load.ts';
import { SEGMENT_BYTES, Segment } from '../../../src/log-file/journal/segment.ts';
import { waitFor } from '../../helpers/wait-for.ts';
import { errno } from '../failing-calls.ts';
import { makeFolder, range, SILENT } from '../stage.ts';
import { JOURNAL_ID, openJournal } from './scene.ts';

const PLACE = { path: '/log/events.jsonl', inode: 7n, offset: 0, before: { length: 0, crc: 0 } };
const ELSEWHERE = { ...PLACE, inode: 8n, offset: 40 };

const intentOf = (ids: readonly number[], bytes = 10) => ({
  place: PLACE,
  bytes: Buffer.concat(ids.map((id) => Buffer.from(`${String(id).padEnd(Math.floor(bytes / ids.length) - 1, '.')}\n`))),
  ids: ids.map(String),
  lastTimeUs: 1_700_000_000_000_000,
});

const segmentsIn = async (directory: string): Promise<string[]> =>
  (await readdir(directory)).filter((name) => name.startsWith('journal-')).sort();

/** Fills a segment from the journal's place on with one intent of this id. */
const fill = (journal: Journal, id: number): Promise<number> => journal.intend(intentOf([id], SEGMENT_BYTES - 200_000));

test('what was journalled is loaded: the lines, the last place of each, and what is settled', async () => {
  const directory = await makeFolder();
  const journal = await openJournal(directory);
  const seqs = [
    await journal.intend(intentOf([1, 2])),
    await journal.intend(intentOf([3])),
    await journal.intend({ ...intentOf([4]), replaces: 2 }),
  ];
  await journal.placed(1, ELSEWHERE, 5);
  journal.settled(['4', '1']);
  await journal.close();
  const { intents, damaged, torn } = await loadJournal(directory);
  expect(seqs).toEqual([1, 2, 3]);
  expect([damaged, torn]).toEqual([[], false]);
  expect(intents).toMatchObject([
    { seq: 1, ids: ['1', '2'], place: ELSEWHERE, from: 5, settled: false, replaced: false },
    { seq: 2, ids: ['3'], place: PLACE, from: 0, settled: false, replaced: true },
    { seq: 3, ids: ['4'], settled: true, replaced: false },
  ]);
  expect(String(await intents[0]?.read())).toBe('1...\n2...\n');
});

test('records asked for at the same time stand one behind the other', async () => {
  const directory = await makeFolder();
  const journal = await openJournal(directory);
  const seqs = await Promise.all(range(1, 50).map((id) => journal.intend(intentOf([id], 1_000 * id))));
  await Promise.all(seqs.map((seq) => journal.placed(seq, ELSEWHERE, 0)));
  await journal.close();
  const { intents } = await loadJournal(directory);
  expect(intents.map(({ seq, place }) => [seq, place.inode])).toEqual(range(1, 50).map((seq) => [seq, 8n]));
  for (const [at, { read }] of intents.entries()) expect((await read()).length).toBe(1_000 * (at + 1));
});

test('an open journal makes nothing before its first intent', async () => {
  const directory = await makeFolder();
  await (await openJournal(directory)).close();
  expect(await readdir(directory)).toEqual([]);
});

test('a segment goes when all of it and all before it is settled, and two settled ones are kept', async () => {
  const directory = await makeFolder();
  const journal = await openJournal(directory);
  for (const id of range(1, 6)) await fill(journal, id);
  await waitFor(async () => (await segmentsIn(directory)).length === 7);
  journal.settled(['2', '3', '4', '5']);
  expect(journal.unsettled).toBe(2);
  expect(await segmentsIn(directory)).toHaveLength(7);
  journal.settled(['1']);
  await waitFor(async () => (await segmentsIn(directory))[0] === 'journal-000004');
  expect([journal.knows('3'), journal.knows('4'), journal.knows('6'), journal.knows('7')]).toEqual([
    false,
    true,
    true,
    false,
  ]);
  expect([...(await journal.linesOf(new Set(['4', '6', '9']))).keys()].sort()).toEqual(['4', '6']);
});

test('a segment that was given up is used again, and nothing of its old contents is read', async () => {
  const directory = await makeFolder();
  const journal = await openJournal(directory);
  for (const id of range(1, 12)) {
    await fill(journal, id);
    if (id > 9) continue;
    journal.settled([String(id)]);
  }
  await journal.close();
  const { intents, damaged, torn } = await loadJournal(directory);
  expect([damaged, torn]).toEqual([[], false]);
  expect(intents.filter(({ settled }) => !settled).map(({ ids }) => ids)).toEqual([['10'], ['11'], ['12']]);
  expect(await readdir(directory)).not.toContain('journal-000001');
  expect((await readdir(directory)).length).toBeLessThan(9);
});

test('an intent of several ids is settled when all of them are', async () => {
  const directory = await makeFolder();
  const journal = await openJournal(directory);
  await journal.intend(intentOf([1, 2, 3]));
  journal.settled(['1', '3', '3', '99']);
  await journal.intend(intentOf([4]));
  expect((await loadJournal(directory)).intents.map(({ settled }) => settled)).toEqual([false, false]);
  journal.settled(['2']);
  await journal.intend(intentOf([5]));
  expect((await loadJournal(directory)).intents.map(({ settled }) => settled)).toEqual([true, false, false]);
});

test('an id that came back in another intent does not hold the older one', async () => {
  const directory = await makeFolder();
  const journal = await openJournal(directory);
  await journal.intend(intentOf([1]));
  await journal.intend(intentOf([1]));
  journal.settled(['1']);
  await journal.close();
  expect((await loadJournal(directory)).intents.map(({ settled }) => settled)).toEqual([true, true]);
});

test('an intent larger than a segment has one of its own', async () => {
  const directory = await makeFolder();
  const journal = await openJournal(directory);
  await journal.intend(intentOf([1]));
  await journal.intend(intentOf([2], 2 * SEGMENT_BYTES));
  await journal.intend(intentOf([3]));
  await journal.close();
  const { intents, damaged } = await loadJournal(directory);
  expect(damaged).toEqual([]);
  expect(await Promise.all(intents.map(async ({ read }) => (await read()).length))).toEqual([
    10,
    2 * SEGMENT_BYTES,
    10,
  ]);
});

test.each(['before', 'after'])(
  'a write or a sync that fails %s the bytes are there goes on in a new segment',
  async (when) => {
    const directory = await makeFolder();
    const journal = await openJournal(directory);
    await journal.intend(intentOf([1]));
    journal.settled(['1']);
    const append = Segment.prototype.append;
    const failing = vi.spyOn(Segment.prototype, 'append').mockImplementationOnce(async function (
      this: Segment,
      ...rest
    ) {
      if (when === 'after') await append.apply(this, rest);
      throw errno('EIO');
    });
    await expect(journal.intend(intentOf([2, 3]))).rejects.toMatchObject({ code: 'EIO' });
    failing.mockRestore();
    expect(await journal.intend({ ...intentOf([2, 3]), place: ELSEWHERE })).toBe(2);
    await journal.close();
    expect(await segmentsIn(directory)).toEqual(['journal-000001', 'journal-000002']);
    expect((await loadJournal(directory)).intents).toMatchObject([
      { seq: 1, settled: true, segment: 1 },
      { seq: 2, settled: false, segment: 2, place: ELSEWHERE },
    ]);
  },
);

test('a segment that cannot be made is made at the next intent, with the same number', async () => {
  const directory = join(await makeFolder(), 'state');
  await mkdir(directory);
  const journal = await openJournal(directory);
  const create = vi.spyOn(Segment, 'create').mockRejectedValueOnce(errno('ENOSPC'));
  await expect(journal.intend(intentOf([1]))).rejects.toMatchObject({ code: 'ENOSPC' });
  await journal.intend(intentOf([1]));
  create.mockRestore();
  expect(await segmentsIn(directory)).toEqual(['journal-000001']);
});

test('the numbers of intents and segments go on after a restart', async () => {
  const directory = await makeFolder();
  const first = await openJournal(directory);
  await first.intend(intentOf([1]));
  await first.close();
  const second = await openJournal(directory);
  expect([second.knows('1'), second.condition, await second.intend(intentOf([2]))]).toEqual([true, 'whole', 2]);
  expect(await segmentsIn(directory)).toEqual(['journal-000001', 'journal-000002']);
});

test('what was recovered keeps its segment until it is settled', async () => {
  const directory = await makeFolder();
  const first = await openJournal(directory);
  for (const id of range(1, 5)) await fill(first, id);
  await first.close();
  const { journal, loaded } = await Journal.open(directory, JOURNAL_ID, SILENT);
  journal.keepOpen(loaded.intents, new Set(['2', '5']));
  await journal.intend(intentOf([6]));
  journal.settled(['5']);
  await waitFor(async () => (await segmentsIn(directory))[0] === 'journal-000002');
  expect(journal.unsettled).toBe(2);
  journal.settled(['2', '6']);
  await waitFor(async () => (await segmentsIn(directory))[0] !== 'journal-000002');
  await journal.close();
});

test('closing notes what is settled, and may be done twice', async () => {
  const directory = await makeFolder();
  const journal = await openJournal(directory);
  await journal.intend(intentOf([1]));
  journal.settled(['1']);
  await Promise.all([journal.close(), journal.close()]);
  expect((await loadJournal(directory)).intents).toMatchObject([{ settled: true }]);
});
