import { mkdtemp, readFile, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../src/lib/logger.ts';
import { journalId } from '../../src/log-file/journal-id.ts';
import { acquireLocalLock, stateDirectory } from '../../src/log-file/local-lock.ts';
import type { JournalPlace } from '../../src/log-file/target.ts';
import type { Predecessor } from '../../src/queue/claim.ts';
import { inherit } from '../../src/take-over/inheritance.ts';
import { crash, JOURNAL_ID, journalOptions, restart } from '../log-file/journal/scene.ts';
import { logFileConfig, readIds } from '../log-file/stage.ts';

const OWN_ID = 'd2c3f3a0-9a55-4a53-a5b5-6f0f0ac0c001';
const OTHER_ID = 'd2c3f3a0-9a55-4a53-a5b5-6f0f0ac0c002';

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-inheritance-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A log file's state folder, as a process left it behind. */
async function leaveBehind(filename: string): Promise<{ readonly directory: string; readonly id: string }> {
  const lock = await acquireLocalLock(logFileConfig(filename));
  if (lock === null) throw new Error('the lock is taken');
  const id = await journalId(lock.directory);
  await lock.release();
  return { directory: lock.directory, id };
}

const predecessor = (id: string, directory: string, epoch = '1'): Predecessor => ({
  epoch,
  journal: id,
  journalAt: `host:${directory}`,
  slots: [0, 1],
});

const ownOf = (filename: string, id = OWN_ID) => ({
  id,
  directory: stateDirectory(filename),
  file: logFileConfig(filename),
});

function listen() {
  const warnings: unknown[] = [];
  const log = createLogger({ level: 'silent' });
  log.warn = (_fields: unknown, message?: unknown) => void warnings.push(message);
  return { warnings, log };
}

async function inheritOf(predecessors: readonly Predecessor[], own: Parameters<typeof inherit>[1]) {
  const { warnings, log } = listen();
  const inheritance = await inherit(predecessors, own, log);
  onTestFinished(() => inheritance.release());
  return { ...inheritance, warnings };
}

test('our own journal is not inherited, and nothing is without a log file', async () => {
  const filename = join(await makeFolder(), 'events.jsonl');
  const own = await inheritOf([predecessor(OWN_ID, stateDirectory(filename))], ownOf(filename));
  expect(own).toMatchObject({ inherited: [], lost: false, warnings: [] });
  expect(await inheritOf([predecessor(OTHER_ID, '/somewhere')], null)).toMatchObject({ inherited: [], warnings: [] });
});

test('only where every predecessor kept our own journal is what they settled in our files', async () => {
  const filename = join(await makeFolder(), 'events.jsonl');
  const ours = predecessor(OWN_ID, stateDirectory(filename));
  const other = predecessor(OTHER_ID, '/nowhere/.events.jsonl.tailrace', '2');
  expect((await inheritOf([ours, ours], ownOf(filename))).soleJournal).toBe(OWN_ID);
  expect((await inheritOf([ours, other], ownOf(filename))).soleJournal).toBeNull();
  // A journal that is away now and comes back later: what was settled meanwhile was settled elsewhere.
  expect((await inheritOf([other], ownOf(filename))).soleJournal).toBeNull();
  expect((await inheritOf([], ownOf(filename))).soleJournal).toBeNull();
});

test('a process without a log file leaves nothing to inherit', async () => {
  const filename = join(await makeFolder(), 'events.jsonl');
  expect(await inheritOf([predecessor(OTHER_ID, '')], ownOf(filename))).toMatchObject({
    inherited: [],
    lost: false,
    warnings: [],
  });
});

test('the journals of two other log files are inherited, each once, and their locks are held until the end', async () => {
  const folder = await makeFolder();
  const [one, two] = [join(folder, 'one.jsonl'), join(folder, 'two.jsonl')];
  const [left, right] = [await leaveBehind(one), await leaveBehind(two)];
  const { inherited, lost, warnings, release } = await inheritOf(
    [
      predecessor(left.id, left.directory),
      predecessor(right.id, right.directory, '2'),
      predecessor(left.id, left.directory, '3'),
    ],
    ownOf(join(folder, 'events.jsonl')),
  );
  expect(inherited.map(({ file, directory, id }) => [file.filename, directory, id])).toEqual([
    [one, left.directory, left.id],
    [two, right.directory, right.id],
  ]);
  expect([lost, warnings]).toEqual([false, []]);
  expect(await acquireLocalLock(logFileConfig(one))).toBeNull();
  await release();
  const again = await acquireLocalLock(logFileConfig(one));
  expect(again).not.toBeNull();
  await again?.release();
});

test('a journal id that is gone from our own folder is a lost journal', async () => {
  const filename = join(await makeFolder(), 'events.jsonl');
  const { directory, id } = await leaveBehind(filename);
  await unlink(join(directory, 'id'));
  const own = await leaveBehind(filename);
  expect(own.id).not.toBe(id);
  expect(await inheritOf([predecessor(id, directory)], ownOf(filename, own.id))).toMatchObject({
    inherited: [],
    lost: true,
  });
});

test.each(['on another host', 'removed', 'in use', 'replaced'])('a journal that is %s is warned of', async (what) => {
  const folder = await makeFolder();
  const filename = join(folder, 'other.jsonl');
  const { directory, id } = await leaveBehind(filename);
  if (what === 'removed') await rm(directory, { recursive: true });
  if (what === 'replaced') await writeFile(join(directory, 'id'), `${OTHER_ID}\n`);
  if (what === 'in use') {
    const lock = await acquireLocalLock(logFileConfig(filename));
    onTestFinished(async () => lock?.release());
  }
  const at = what === 'on another host' ? '/nowhere/.events.jsonl.tailrace' : directory;
  const { inherited, lost, warnings } = await inheritOf([predecessor(id, at)], ownOf(join(folder, 'events.jsonl')));
  expect([inherited, lost]).toEqual([[], false]);
  expect(warnings).toEqual([expect.stringContaining('did not stop cleanly')]);
});

test('after a changed name the old file is finished, and what stands in it is not logged in the new one', async () => {
  const old = await crash([
    [1, 2],
    [3, 4],
  ]);
  await truncate(old.path, (old.batches[0]?.length ?? 0) + 20);
  const other = await crash([[5]]);
  await rename(other.path, `${other.path}.1`);
  const places: JournalPlace[] = [old, other].map(({ file, directory }) => ({ file, directory, id: JOURNAL_ID }));
  const current = await crash([]);
  const queue = [1, 2, 3, 4, 5, 6];
  for (const inherited of [places, places]) {
    const { alarms } = await restart(current, {
      queue,
      settle: false,
      journal: journalOptions(current, queue, { inherited }),
    });
    expect(alarms).toEqual([]);
  }
  expect(await readIds(old.path)).toEqual(['1', '2', '3', '4']);
  expect(await readIds(`${other.path}.1`)).toEqual(['5']);
  expect(await readIds(current.path)).toEqual(['6']);
  expect(await readFile(other.path, 'utf8').catch(() => '')).toBe('');
});
