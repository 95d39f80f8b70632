// Bytes that are written long after the look at the path, to a file that was moved meanwhile (QUEUE A7.12): a compressing
// that is under way may have missed them.

import { execFileSync } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { existsSync } from 'node:fs';
import { copyFile, readFile, rename, unlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { createLogger } from '../../src/lib/logger.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createFailingCalls } from './failing-calls.ts';
import { journalOptions, makeScene, restart, type Scene, shortEvent } from './journal/scene.ts';
import { endStage, makeBatch, readIds, startStage } from './stage.ts';

/** Longer than a look at the path is believed. */
const HELD_UP_MS = 700;

const batchOf = ({ file }: Scene, ...ids: readonly number[]) =>
  makeBatch(
    file,
    ids.map((id) => shortEvent(id)),
  );

/**
 * A stage whose write of the second batch is held up until after the file was moved and half compressed.
 *
 * @param behind ids of batches of one event that are on their way behind it.
 * @param beforeNext called before each write after that one.
 */
async function startLate(
  scene: Scene,
  isMissed: boolean,
  behind: readonly number[] = [],
  beforeNext = async (): Promise<void> => undefined,
) {
  const fs = createFailingCalls();
  const warnings: unknown[] = [];
  const log = createLogger({ level: 'silent' });
  log.warn = (_fields: unknown, message?: unknown) => void warnings.push(message);
  const running = startStage(scene.file, { fs, log, journal: journalOptions(scene, []) });
  await running.pass(batchOf(scene, 1));
  const moved = `${scene.path}.1`;
  let isHeldUp = false;
  fs.before = async (call, path) => {
    if (call !== 'write' || path !== scene.path) return;
    if (isHeldUp) return beforeNext();
    isHeldUp = true;
    await sleep(HELD_UP_MS);
    await rename(scene.path, moved);
    if (isMissed) await copyFile(moved, `${scene.path}.2`);
  };
  running.stage.write(batchOf(scene, 2, 3));
  for (const id of behind) running.stage.write(batchOf(scene, id));
  await waitFor(async () => isHeldUp && (await readFile(moved, 'utf8').catch(() => '')).split('\n').length === 4);
  return { running, moved, warnings };
}

test('lines that a compressing missed are written again, and only then passed on; others pass meanwhile', async () => {
  const scene = await makeScene();
  const { running, moved, warnings } = await startLate(scene, true);
  await running.pass(batchOf(scene, 4));
  expect(running.passed).toHaveLength(2);
  execFileSync('gzip', [`${scene.path}.2`]);
  await unlink(moved);
  await waitFor(() => running.passed.length === 3);
  expect(warnings).toEqual([expect.stringContaining('written late')]);
  await endStage(running);
  expect(await readIds(scene.path)).toEqual(['4', '2', '3']);
  expect(String(gunzipSync(await readFile(`${scene.path}.2.gz`))).split('\n')).toHaveLength(2);
});

test('lines that are written again come after those that had their times already', async () => {
  const scene = await makeScene();
  const missed = new EventEmitter();
  const isSeen = once(missed, 'seen');
  const { running, moved, warnings } = await startLate(scene, true, [4, 5, 6], async () => void (await isSeen));
  execFileSync('gzip', [`${scene.path}.2`]);
  await unlink(moved);
  await waitFor(() => warnings.length > 0);
  missed.emit('seen');
  await waitFor(() => running.passed.length === 5);
  await endStage(running);
  const ids = await readIds(scene.path);
  expect(ids.slice(0, 2)).toEqual(['4', '5']);
  expect(ids.toSorted()).toEqual(['2', '3', '4', '5', '6']);
});

test('lines that a compressing took are not written again', async () => {
  const scene = await makeScene();
  const { running, moved, warnings } = await startLate(scene, false);
  execFileSync('gzip', [moved]);
  await waitFor(() => running.passed.length === 2);
  await waitFor(() => existsSync(scene.path));
  await endStage(running);
  expect(await readIds(scene.path)).toEqual([]);
  expect(warnings).toEqual([]);
});

test('a file that stands is believed after ten seconds', async () => {
  const scene = await makeScene();
  const { running, moved } = await startLate(scene, false);
  const started = performance.now();
  await waitFor(() => running.passed.length === 2, { timeoutMs: 20_000 });
  expect(performance.now() - started).toBeGreaterThan(9_000);
  await endStage(running);
  expect(await readIds(moved, scene.path)).toEqual(['1', '2', '3']);
});

test('a crash before it is certain leaves it to the recovery', async () => {
  const scene = await makeScene();
  const { running, moved } = await startLate(scene, true);
  await running.stage.close();
  execFileSync('gzip', [`${scene.path}.2`]);
  await unlink(moved);
  await restart(scene, { queue: [2, 3] });
  expect(await readIds(scene.path)).toEqual(['2', '3']);
});
