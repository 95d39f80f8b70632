// Every row of the recovery decision table, with the kill simulated by the files it would leave behind.

import { execFileSync } from 'node:child_process';
import { appendFile, readFile, rename, rm, stat, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { createFailingCalls, errno } from '../failing-calls.ts';
import { endStage, logFileConfig, makeBatch, range, readIds, SILENT, startStage } from '../stage.ts';
import { crash, JOURNAL_ID, journalOptions, makeScene, recoverOnly, restart, type Scene, shortEvent } from './scene.ts';

const ONE = [1, 2, 3];
const TWO = [4, 5, 6];
const ALL = [...ONE, ...TWO];

/** What killed us left of the second batch in the log file. */
const lengthOf = ({ batches }: Scene, part: number): number => (batches[0]?.length ?? 0) + part;
const wholeOf = (scene: Scene): number => lengthOf(scene, scene.batches[1]?.length ?? 0);
const midOf = (scene: Scene): number => lengthOf(scene, Math.floor((scene.batches[1]?.length ?? 0) / 2));

const expectAll = async (...paths: readonly string[]): Promise<void> =>
  expect(await readIds(...paths)).toEqual(ALL.map(String));

/** Expects ids in any order, each once; the last line of `torn` may be half one. */
async function expectEach(ids: readonly number[], paths: readonly string[], torn?: string): Promise<void> {
  const found: number[] = [];
  for (const path of paths) {
    const text = (/z(?:ip)?$/.test(path) ? gunzipSync(await readFile(path)) : await readFile(path)).toString();
    const whole = path === torn ? text.slice(0, text.lastIndexOf('\n') + 1) : text;
    for (const line of whole.split('\n').slice(0, -1)) found.push(JSON.parse(line).event_id);
  }
  expect(found.sort((a, b) => a - b)).toEqual(ids);
}

test('a batch that was journalled and not written is written', async () => {
  const scene = await crash([ONE, TWO]);
  await truncate(scene.path, lengthOf(scene, 0));
  expect(await restart(scene, { queue: ALL })).toEqual({ alarms: [] });
  await expectAll(scene.path);
});

test('a batch that was torn at any byte is finished in place, byte for byte', async () => {
  const scene = await crash([ONE, [4, 5]]);
  const before = await readFile(scene.path);
  for (let length = lengthOf(scene, 0); length <= before.length; length += 1) {
    await truncate(scene.path, length);
    expect(await recoverOnly(scene, ALL)).toEqual({ alarms: [] });
    expect((await readFile(scene.path)).equals(before)).toBe(true);
  }
});

test.each([0, 1, 40, 0.5, 1_000_000])(
  'after a restart the rows of a torn batch are known (%s bytes of it)',
  async (part) => {
    const scene = await crash([ONE, TWO]);
    const length = part === 0.5 ? midOf(scene) : lengthOf(scene, part);
    await truncate(scene.path, Math.min(length, wholeOf(scene)));
    await restart(scene, { queue: ALL });
    await restart(scene, { queue: TWO });
    await restart(scene, { queue: [] });
    await expectAll(scene.path);
  },
);

test('both of two batches that were on their way are finished, in their order', async () => {
  const scene = await crash([ONE, TWO]);
  await truncate(scene.path, 50);
  expect(await restart(scene, { queue: ALL })).toEqual({ alarms: [] });
  await expectAll(scene.path);
});

test.each(['moved', 'moved while whole'])(
  'a file that was %s is not written to, and the rest goes to a new one',
  async (how) => {
    const scene = await crash([ONE, TWO]);
    const moved = `${scene.path}.1`;
    await truncate(scene.path, how === 'moved' ? lengthOf(scene, 0) : wholeOf(scene));
    await rename(scene.path, moved);
    const before = await stat(moved, { bigint: true });
    expect(await restart(scene, { queue: ALL })).toEqual({ alarms: [] });
    const after = await stat(moved, { bigint: true });
    expect([after.mtimeNs, after.ctimeNs, after.size]).toEqual([before.mtimeNs, before.ctimeNs, before.size]);
    await restart(scene, { queue: ALL });
    await expectAll(moved, scene.path);
  },
);

test('of a torn batch in a moved file the whole lines count, and an alarm names the torn one', async () => {
  const whole = await crash([ONE, TWO]);
  const { length } = whole.batches[1] ?? Buffer.alloc(0);
  for (let part = 0; part <= length; part += part < 2 || part > length - 2 ? 1 : 23) {
    const scene = await crash([ONE, TWO]);
    const moved = `${scene.path}.1`;
    await truncate(scene.path, lengthOf(scene, part));
    await rename(scene.path, moved);
    const torn = await readFile(moved);
    const { alarms } = await restart(scene, { queue: ALL });
    const isTorn = part > 0 && torn.at(-1) !== 10;
    expect(alarms).toEqual(isTorn ? [expect.stringContaining('torn')] : []);
    expect((await readFile(moved)).equals(torn)).toBe(true);
    await expectEach(ALL, [moved, scene.path], moved);
  }
});

test.each(['.gz', '.gzip', '-z'])(
  'lines are found in a file that was moved and compressed to one that ends in %s',
  async (suffix) => {
    const scene = await crash([ONE, TWO]);
    const packed = `${scene.path}.1${suffix}`;
    await rename(scene.path, `${scene.path}.1`);
    execFileSync('gzip', ['--suffix', suffix, `${scene.path}.1`]);
    expect(await restart(scene, { queue: ALL })).toEqual({ alarms: [] });
    await expectEach(ALL, [packed, scene.path]);
  },
);

test('of a torn batch in a compressed file only what is missing is written again', async () => {
  const scene = await crash([ONE, TWO]);
  await truncate(scene.path, midOf(scene));
  await rename(scene.path, `${scene.path}.1`);
  const text = await readFile(`${scene.path}.1`, 'utf8');
  execFileSync('gzip', [`${scene.path}.1`]);
  const { alarms } = await restart(scene, { queue: ALL });
  expect(alarms).toEqual([expect.stringContaining('lines are missing')]);
  const there = text.split('\n').length - 1;
  expect(await readIds(scene.path)).toEqual(ALL.slice(there).map(String));
});

test('what is found nowhere is written again, with an alarm, since a duplicate is better than a loss', async () => {
  const scene = await crash([ONE, TWO]);
  await unlink(scene.path);
  const { alarms } = await restart(scene, { queue: TWO });
  expect(alarms).toEqual([expect.stringContaining('is gone')]);
  expect(await restart(scene, { queue: TWO })).toEqual({ alarms: [] });
  expect(await readIds(scene.path)).toEqual(TWO.map(String));
});

test('what PostgreSQL has settled is not written again when its file was removed', async () => {
  const scene = await crash([ONE, TWO]);
  await unlink(scene.path);
  expect(await restart(scene, { queue: [] })).toEqual({ alarms: [] });
  expect(await readIds(scene.path)).toEqual([]);
});

describe('a disk that has lost the end of the file, though PostgreSQL has settled its events', () => {
  const alone = { soleJournal: JOURNAL_ID };
  const alarms = [expect.stringContaining('the disk had confirmed it')];

  test('has the lines written again in place', async () => {
    const scene = await crash([ONE, TWO]);
    const before = await readFile(scene.path);
    await truncate(scene.path, lengthOf(scene, 0));
    expect(await recoverOnly(scene, [], alone)).toEqual({ alarms });
    expect((await readFile(scene.path)).equals(before)).toBe(true);
    expect(await recoverOnly(scene, [], alone)).toEqual({ alarms: [] });
  });

  test('has a torn line finished and the others written', async () => {
    const scene = await crash([ONE, TWO]);
    const before = await readFile(scene.path);
    await truncate(scene.path, midOf(scene));
    await recoverOnly(scene, [], alone);
    expect((await readFile(scene.path)).equals(before)).toBe(true);
  });

  test('has them written to the new file when it was moved since', async () => {
    const scene = await crash([ONE, TWO]);
    await truncate(scene.path, lengthOf(scene, 0));
    await rename(scene.path, `${scene.path}.1`);
    expect(await restart(scene, { queue: [], journal: alone })).toEqual({ alarms });
    expect(await readIds(scene.path)).toEqual(TWO.map(String));
    expect(await readIds(`${scene.path}.1`)).toEqual(ONE.map(String));
    expect(await restart(scene, { queue: [], journal: alone })).toEqual({ alarms: [] });
    expect(await readIds(scene.path)).toEqual(TWO.map(String));
  });

  test.each([1, 2, 3])('has all of them written though the recovery fails at write %i of three', async (fails) => {
    const THREE = [7, 8];
    const scene = await crash([[0], ONE, TWO, THREE]);
    await truncate(scene.path, lengthOf(scene, 0));
    await rename(scene.path, `${scene.path}.1`);
    const fs = createFailingCalls();
    let writes = 0;
    fs.before = (call) => {
      if (call === 'write' && ++writes >= fails) throw errno('ENOSPC');
    };
    await expect(recoverOnly(scene, [], alone, fs)).rejects.toThrow('ENOSPC');
    await recoverOnly(scene, [], alone);
    expect(await readIds(scene.path)).toEqual([...ALL, ...THREE].map(String));
    expect(await recoverOnly(scene, [], alone)).toEqual({ alarms: [] });
    expect(await readIds(scene.path)).toEqual([...ALL, ...THREE].map(String));
  });

  test('has the journal forget them once they are written', async () => {
    const scene = await crash([ONE, TWO]);
    await truncate(scene.path, lengthOf(scene, 0));
    await rename(scene.path, `${scene.path}.1`);
    const running = startStage(scene.file, { log: SILENT, journal: journalOptions(scene, [], alone) });
    await running.pass(makeBatch(scene.file, [shortEvent(9)]));
    running.stage.settled(['9']);
    expect(running.stage.unsettled()).toBe(0);
    await endStage(running);
  });

  test.each([
    [
      'another process may have settled them, with its own file',
      { soleJournal: null },
      (scene: Scene) => lengthOf(scene, 0),
    ],
    ['the file was emptied, which people do', alone, () => 0],
  ])('has nothing written when %s', async (_why, journal, length) => {
    const scene = await crash([ONE, TWO]);
    await truncate(scene.path, length(scene));
    const before = await readFile(scene.path);
    expect(await recoverOnly(scene, [], journal)).toEqual({ alarms: [] });
    expect((await readFile(scene.path)).equals(before)).toBe(true);
  });
});

test('of a batch that is settled in part only the rest is written again when its file was removed', async () => {
  const scene = await crash([ONE, TWO]);
  await unlink(scene.path);
  await restart(scene, { queue: [5] });
  expect(await readIds(scene.path)).toEqual(['5']);
});

test('a file that was truncated is never written at an old offset', async () => {
  const scene = await crash([ONE, TWO]);
  await truncate(scene.path, 0);
  const { alarms } = await restart(scene, { queue: TWO });
  expect(alarms).toEqual([expect.stringContaining('is gone')]);
  expect(await readIds(scene.path)).toEqual(TWO.map(String));
});

test('after copytruncate the lines are found in the copy', async () => {
  const scene = await crash([ONE, TWO]);
  await writeFile(`${scene.path}.1`, await readFile(scene.path));
  await truncate(scene.path, 0);
  expect(await restart(scene, { queue: ALL })).toEqual({ alarms: [] });
  await expectAll(`${scene.path}.1`, scene.path);
});

test('foreign bytes are never overwritten', async () => {
  const scene = await crash([ONE, TWO]);
  await truncate(scene.path, lengthOf(scene, 0));
  await appendFile(scene.path, '{"event_id":99}\n');
  const { alarms } = await restart(scene, { queue: ALL });
  expect(alarms).toHaveLength(1);
  const lines = (await readFile(scene.path, 'utf8')).split('\n').slice(0, -1);
  expect(lines.map((line) => JSON.parse(line).event_id)).toEqual([...ONE, 99, ...TWO]);
});

test('lines of others behind a whole batch leave it whole', async () => {
  const scene = await crash([ONE, TWO]);
  await appendFile(scene.path, '{"event_id":99}\n');
  expect(await restart(scene, { queue: ALL })).toEqual({ alarms: [] });
  await expectEach([...ALL, 99], [scene.path]);
});

test.each(['file', 'symbolic link', 'directory'])(
  'a foreign %s in the place of the file is left alone',
  async (what) => {
    const scene = await crash([ONE, TWO]);
    await truncate(scene.path, midOf(scene));
    await rename(scene.path, `${scene.path}.1`);
    const foreign = join(dirname(scene.path), 'foreign.txt');
    await writeFile(foreign, 'hello\n');
    if (what === 'file') await rename(foreign, scene.path);
    else if (what === 'symbolic link') await symlink(foreign, scene.path);
    else execFileSync('mkdir', [scene.path]);
    if (what !== 'file') {
      const restarting = restart(scene, { queue: ALL });
      await new Promise((resolve) => setTimeout(resolve, 200));
      if (what === 'directory') await rm(scene.path, { recursive: true });
      else await unlink(scene.path);
      await restarting;
      if (what === 'symbolic link') expect(await readFile(foreign, 'utf8')).toBe('hello\n');
      await expectEach(ALL, [`${scene.path}.1`, scene.path], `${scene.path}.1`);
      return;
    }
    await restart(scene, { queue: ALL });
    const text = await readFile(scene.path, 'utf8');
    expect(text.startsWith('hello\n{')).toBe(true);
    await writeFile(scene.path, text.slice('hello\n'.length));
    await expectEach(ALL, [`${scene.path}.1`, scene.path], `${scene.path}.1`);
  },
);

test('an inode that was used again is not taken for the old file', async () => {
  const scene = await crash([ONE, TWO]);
  // The same inode with other content before the place: what a new file on a small ext4 looks like.
  const size = lengthOf(scene, 0);
  await writeFile(scene.path, `${' '.repeat(size - 1)}\n`);
  await truncate(scene.path, size);
  const { alarms } = await restart(scene, { queue: TWO });
  expect(alarms).toHaveLength(1);
  expect((await readFile(scene.path, 'utf8')).slice(0, size).trim()).toBe('');
  await writeFile(scene.path, (await readFile(scene.path, 'utf8')).slice(size));
  expect(await readIds(scene.path)).toEqual(TWO.map(String));
});

test('an empty file that was moved and has the inode of the compressed one is not taken for it', async () => {
  const scene = await crash([ONE]);
  // What two rotations leave where inodes are used again: the lines in a .gz, and an empty file that came after it.
  execFileSync('gzip', ['--keep', scene.path]);
  await truncate(scene.path, 0);
  await rename(scene.path, `${scene.path}.1`);
  const { alarms } = await restart(scene, { queue: [...ONE, 99] });
  expect(alarms).toEqual([]);
  expect(await readIds(scene.path)).toEqual(['99']);
});

test('the lines of yesterday go to the file of yesterday', async () => {
  const made = await makeScene();
  const dated: Scene = {
    ...made,
    path: `${made.path}.2026-02-28`,
    file: logFileConfig(made.path, { appendDate: true }),
  };
  const scene = await crash([ONE, TWO], undefined, dated);
  await truncate(scene.path, midOf(scene));
  await restart(scene, { queue: ALL });
  await expectAll(scene.path);
  await rename(scene.path, `${scene.path}.gone`);
  await unlink(`${scene.path}.gone`);
});

test('a batch torn in the new file is finished before lines of the removed one are written behind it', async () => {
  const scene = await crash([ONE, TWO], async (batch, { path }) => {
    if (batch === 0) await rename(path, `${path}.1`);
  });
  await unlink(`${scene.path}.1`);
  await truncate(scene.path, Math.floor((scene.batches[1]?.length ?? 0) / 2));
  const { alarms } = await restart(scene, { queue: ALL });
  expect(alarms).toEqual([expect.stringContaining('is gone')]);
  const ids = (await readFile(scene.path, 'utf8'))
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line).event_id);
  expect(ids).toEqual([...TWO, ...ONE]);
});

test.each([1, 2, 3])('a crash in recovery leaves what the next one finishes (%s in a row)', async (crashes) => {
  const scene = await crash([ONE, TWO]);
  await truncate(scene.path, midOf(scene));
  const moved = `${scene.path}.1`;
  await rename(scene.path, moved);
  for (let at = 0; at < crashes; at += 1) {
    await restart(scene, { queue: TWO, settle: false });
    // As if it had died in the middle of what it wrote last.
    const { size } = await stat(scene.path);
    await truncate(scene.path, Math.max(0, size - 60 * (at + 1)));
  }
  await restart(scene, { queue: ALL });
  await expectEach(ALL, [moved, scene.path], moved);
});

test('a row that came back as it was is delivered and not logged again, with other content it is logged', async () => {
  const scene = await crash([ONE, TWO]);
  await restart(scene, { queue: [] });
  await restart(scene, { queue: ALL, email: (id) => (id === 5 ? 'new' : `é${id}`) });
  expect(await readIds(scene.path)).toEqual([...ALL, 5].map(String));
  await restart(scene, { queue: ALL, email: (id) => (id === 5 ? 'new' : `é${id}`) });
  expect(await readIds(scene.path)).toEqual([...ALL, 5].map(String));
});

test('a stop in order is remembered: the next start has nothing to ask and nothing to recover', async () => {
  const scene = await crash([ONE]);
  await restart(scene, { queue: [...ONE, 7] });
  const asked: (readonly string[])[] = [];
  const stillOpen = async (ids: readonly string[]): Promise<ReadonlySet<string>> => {
    asked.push(ids);
    return new Set(ids);
  };
  await restart(scene, { queue: [], journal: { stillOpen } });
  expect(asked).toEqual([[]]);
  expect(await readIds(scene.path)).toEqual([...ONE, 7].map(String));
});

test('a backlog of small batches is recovered to the last line', async () => {
  const scene = await crash(range(1, 300).map((id) => [id]));
  await truncate(scene.path, 0);
  await restart(scene, { queue: range(1, 300) });
  expect(await readIds(scene.path)).toEqual(range(1, 300).map(String));
});
