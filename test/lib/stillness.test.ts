import { mkdir, mkdtemp, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { Stillness } from '../../src/lib/stillness.ts';

/** Whether each look finds all well, and how many there were. */
interface Looks {
  isWell: boolean;
  count: number;
  look(): Promise<boolean>;
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
  onTestFinished(() => void vi.useRealTimers());
});

async function makeFolder() {
  const outer = await mkdtemp(join(tmpdir(), 'tailrace-stillness-'));
  onTestFinished(() => rm(outer, { recursive: true, force: true }));
  const folder = join(outer, 'folder');
  await mkdir(folder);
  const clock = join(outer, 'clock');
  await writeFile(clock, '');
  const looks: Looks = {
    isWell: true,
    count: 0,
    look: async () => {
      looks.count += 1;
      return looks.isWell;
    },
  };
  const stillness = new Stillness(folder);
  /** Asks after so long. @returns how many looks that took, and the answer. */
  const ask = async (afterMs: number): Promise<[number, boolean]> => {
    vi.advanceTimersByTime(afterMs);
    const before = looks.count;
    const isWell = await stillness.isWell(looks.look);
    return [looks.count - before, isWell];
  };
  /** Has it look for so long that nothing can be hidden. */
  const settle = async (): Promise<void> => {
    for (const ms of [0, 1_000, 2_000]) expect(await ask(ms)).toEqual([1, true]);
    // Our seconds are none of the file system's, whose clock has to move on.
    const { ctimeMs } = await stat(folder);
    do await utimes(clock, 0, 0);
    while ((await stat(clock)).ctimeMs <= ctimeMs);
  };
  return { folder, looks, ask, settle };
}

test('is looked at until a change could not bear the stamp of the one before, then spared', async () => {
  const { ask, settle } = await makeFolder();
  await settle();
  for (let at = 0; at < 15; at += 1) expect(await ask(500)).toEqual([0, true]);
});

test('is looked at again when a name in it comes, goes or becomes another file', async () => {
  const { folder, settle } = await makeFolder();
  const [file, draft] = [join(folder, 'lock'), join(folder, 'draft')];
  await writeFile(draft, '');
  for (const change of [() => writeFile(file, ''), () => rename(draft, file), () => rm(file)]) {
    await settle();
    await change();
  }
  await settle();
});

test('is looked at again when another folder takes its place, and as long as there is none', async () => {
  const { folder, ask, settle } = await makeFolder();
  await settle();
  await rename(folder, `${folder}.moved`);
  for (const ms of [0, 5_000, 500]) expect(await ask(ms)).toEqual([1, true]);
  await rename(`${folder}.moved`, folder);
  await settle();
});

test('is looked at until all is well, and every ten seconds whatever its stamp says', async () => {
  const { looks, ask } = await makeFolder();
  looks.isWell = false;
  for (const ms of [0, 5_000, 500]) expect(await ask(ms)).toEqual([1, false]);
  looks.isWell = true;
  expect(await ask(500)).toEqual([1, true]);
  expect(await ask(9_000)).toEqual([0, true]);
  expect(await ask(2_000)).toEqual([1, true]);
  expect(await ask(500)).toEqual([0, true]);
  looks.isWell = false;
  expect(await ask(10_000)).toEqual([1, false]);
  expect(await ask(500)).toEqual([1, false]);
  looks.isWell = true;
  expect(await ask(500)).toEqual([1, true]);
});

test('a look that fails is made again', async () => {
  const { looks, ask, settle } = await makeFolder();
  await settle();
  vi.advanceTimersByTime(20_000);
  const { look } = looks;
  looks.look = async () => {
    throw new Error('the disk is gone');
  };
  await expect(ask(0)).rejects.toThrow('the disk is gone');
  looks.look = look;
  expect(await ask(500)).toEqual([1, true]);
});
