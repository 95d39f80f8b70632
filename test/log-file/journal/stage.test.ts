// The stage with its journal, as the pipeline uses it.

import { readFile, rename, stat, truncate } from 'node:fs/promises';
import { expect, test, vi } from 'vitest';
import { loadJournal } from '../../../src/log-file/journal/load.ts';
import { Segment } from '../../../src/log-file/journal/segment.ts';
import { waitFor } from '../../helpers/wait-for.ts';
import { createFailingCalls, errno } from '../failing-calls.ts';
import { endStage, makeBatch, range, readIds, startStage } from '../stage.ts';
import { journalOptions, makeScene, restart, shortEvent } from './scene.ts';

const batchOf = (file: Parameters<typeof makeBatch>[0], ...ids: readonly number[]) =>
  makeBatch(
    file,
    ids.map((id) => shortEvent(id)),
  );

test('of two batches the second is journalled while the first is synced, and a crash there loses and doubles nothing', async () => {
  const scene = await makeScene();
  const fs = createFailingCalls();
  const running = startStage(scene.file, { fs, journal: journalOptions(scene, []) });
  await waitFor(() => running.stage.status().path);
  let hang = true;
  fs.before = async (call) => {
    if (call === 'datasync') await waitFor(() => !hang, { timeoutMs: 30_000 });
  };
  running.stage.write(batchOf(scene.file, 1, 2));
  running.stage.write(batchOf(scene.file, 3, 4));
  const intents = async () => (await loadJournal(scene.directory).catch(() => null))?.intents ?? [];
  await waitFor(async () => (await intents()).length === 2);
  expect(running.passed).toEqual([]);
  expect(await readIds(scene.path)).toEqual(['1', '2']);
  // What a kill would leave, in a folder of its own.
  const [first] = await intents();
  const left = await readFile(scene.path);
  hang = false;
  await waitFor(() => running.passed.length === 2);
  await running.stage.close();
  await truncate(scene.path, left.length - 3);
  expect(first?.ids).toEqual(['1', '2']);
  expect(await restart(scene, { queue: [1, 2, 3, 4] })).toEqual({ alarms: [] });
  expect(await readIds(scene.path)).toEqual(['1', '2', '3', '4']);
});

test('while the journal cannot be written nothing passes and nothing is logged, and it goes on by itself', async () => {
  const scene = await makeScene();
  const running = startStage(scene.file, { journal: journalOptions(scene, []) });
  await waitFor(() => running.stage.status().path);
  const create = vi.spyOn(Segment, 'create').mockRejectedValue(errno('ENOSPC'));
  const passing = running.pass(batchOf(scene.file, 1));
  await waitFor(() => running.degraded.length > 0);
  expect([running.degraded, running.passed, (await stat(scene.path)).size]).toEqual([['LOG_FILE_NO_SPACE'], [], 0]);
  create.mockRestore();
  await passing;
  expect(running.recovered).toBe(1);
  expect(await readIds(scene.path)).toEqual(['1']);
});

test('an error that is no fault of the file ends the stage instead of being tried for ever', async () => {
  const scene = await makeScene();
  const stillOpen = async (): Promise<ReadonlySet<string>> => {
    throw new TypeError('a bug');
  };
  const running = startStage(scene.file, { journal: journalOptions(scene, [], { stillOpen }) });
  await expect(running.pass(batchOf(scene.file, 1))).rejects.toThrow('a bug');
});

test('under load and rotation each event stands once in the files, and the journal forgets what is settled', async () => {
  const scene = await makeScene();
  const running = startStage(scene.file, { journal: journalOptions(scene, []) });
  const moved: string[] = [];
  running.stage.on('data', (batch) =>
    running.stage.settled(batch.events.map(({ event }: { event: { id: string } }) => event.id)),
  );
  for (const id of range(0, 60)) {
    running.stage.write(batchOf(scene.file, ...range(id * 20, 20)));
    if (id % 10 !== 9) continue;
    await waitFor(() => running.passed.length > id - 5, { intervalMs: 1 });
    const path = `${scene.path}.${moved.length}`;
    await waitFor(() => rename(scene.path, path).then(() => true), { intervalMs: 1 });
    moved.push(path);
  }
  await waitFor(() => running.passed.length === 60);
  expect(running.stage.unsettled()).toBe(0);
  await endStage(running);
  expect(await readIds(...moved, scene.path)).toEqual(range(0, 1_200).map(String));
  expect((await loadJournal(scene.directory)).intents.every(({ settled }) => settled)).toBe(true);
});

test('a journal of many megabytes is recovered in a few seconds', async () => {
  const scene = await makeScene();
  const running = startStage(scene.file, { journal: journalOptions(scene, []) });
  const email = 'x'.repeat(20_000);
  const batch = (at: number) =>
    makeBatch(
      scene.file,
      range(at * 100, 100).map((id) => shortEvent(id, email)),
    );
  for (const at of range(0, 16)) await running.pass(batch(at));
  await endStage(running);
  await truncate(scene.path, 1_000_000);
  const queue = range(0, 1_600);
  const started = performance.now();
  await restart(scene, { queue, email: () => email });
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(await readIds(scene.path)).toEqual(queue.map(String));
});
