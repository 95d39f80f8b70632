import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { acquireLocalLock, isLocked, stateDirectory } from '../../src/log-file/local-lock.ts';
import { answerRequests, askToReopen, waitUntilLeft } from '../../src/log-file/rotate-request.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createFailingCalls, errno } from './failing-calls.ts';
import {
  endStage,
  logFileConfig,
  makeBatch,
  makeEvent,
  makeFolder,
  type Running,
  readIds,
  startStage,
} from './stage.ts';

/** For what must come: much longer than it takes. */
const PATIENCE_MS = 30_000;
/** For what must not come: longer than an answer takes. */
const MOMENT_MS = 1_000;

async function makeFile() {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const lock = await acquireLocalLock(file);
  if (lock === null) throw new Error('the lock of a new file is taken');
  onTestFinished(() => lock.release());
  return { file, lock, directory: lock.directory, moved: `${file.filename}.1` };
}

function answer(directory: string, reopen: () => Promise<unknown>): void {
  onTestFinished(answerRequests(() => [null, directory], reopen));
}

/** Has the next write of a stage wait until the function that it returns is called. */
function holdUp(fs: ReturnType<typeof createFailingCalls>): { readonly begun: () => boolean; readonly go: () => void } {
  let begun = false;
  let go = (): void => {};
  const gone = new Promise<void>((resolve) => {
    go = resolve;
  });
  fs.before = async (call) => {
    if (call !== 'write' || begun) return;
    begun = true;
    await gone;
  };
  return { begun: () => begun, go: () => go() };
}

test('is answered only when a write that looked at the path before the move is over', async () => {
  const { file, directory, moved } = await makeFile();
  const fs = createFailingCalls();
  const running = startStage(file, { fs });
  answer(directory, () => running.stage.reopen());
  await running.pass(makeBatch(file, [makeEvent(1)]));
  const write = holdUp(fs);
  running.stage.write(makeBatch(file, [makeEvent(2)]));
  await waitFor(write.begun);
  await rename(file.filename, moved);
  const { size } = await stat(moved);
  let outcome = '';
  const waiting = waitUntilLeft(directory, PATIENCE_MS).then((answered) => {
    outcome = answered;
  });
  await sleep(MOMENT_MS);
  expect(outcome).toBe('');
  write.go();
  await waiting;
  expect(outcome).toBe('left');
  const complete = await stat(moved);
  expect(complete.size).toBeGreaterThan(size);
  await running.pass(makeBatch(file, [makeEvent(3)]));
  expect((await stat(moved)).size).toBe(complete.size);
  expect(await readIds(moved, file.filename)).toEqual(['1', '2', '3']);
  await waitFor(async () => (await readdir(directory)).every((name) => !name.startsWith('rot')));
});

test('is answered while the new file cannot be written', async () => {
  const { file, directory, moved } = await makeFile();
  const fs = createFailingCalls();
  const running = startStage(file, { fs });
  answer(directory, () => running.stage.reopen());
  await running.pass(makeBatch(file, [makeEvent(1)]));
  let isFull = true;
  fs.before = (call) => {
    if (call === 'write' && isFull) throw errno('ENOSPC');
  };
  running.stage.write(makeBatch(file, [makeEvent(2)]));
  await waitFor(() => running.degraded.length > 0);
  await rename(file.filename, moved);
  expect(await waitUntilLeft(directory, PATIENCE_MS)).toBe('left');
  isFull = false;
  await waitFor(() => running.passed.length === 2);
  expect([await readIds(moved), await readIds(file.filename)]).toEqual([['1'], ['2']]);
});

test('each of several that wait under load gets its answer', async () => {
  const { file, directory } = await makeFile();
  const running: Running = startStage(file);
  answer(directory, () => running.stage.reopen());
  let loading = true;
  const load = async (): Promise<void> => {
    for (let id = 0; loading; id += 1) await running.pass(makeBatch(file, [makeEvent(id)]));
  };
  const loaded = load();
  const outcomes = await Promise.all([1, 2, 3].map(() => waitUntilLeft(directory, PATIENCE_MS)));
  loading = false;
  await loaded;
  expect(outcomes).toEqual(['left', 'left', 'left']);
});

test('is answered by a stage that has ended, and by a process that has not opened the file yet', async () => {
  const { file, directory } = await makeFile();
  const running = startStage(file);
  await running.pass(makeBatch(file, [makeEvent(1)]));
  await endStage(running);
  await running.stage.reopen();
  answer(directory, async () => undefined);
  expect(await waitUntilLeft(directory, PATIENCE_MS)).toBe('left');
});

test('without a process that writes nobody is waited for, and nothing is left behind', async () => {
  const { lock, directory } = await makeFile();
  await lock.release();
  const before = await readdir(directory);
  expect(await waitUntilLeft(directory, PATIENCE_MS)).toBe('nobody');
  expect(await askToReopen(directory)).toBe(false);
  expect(await readdir(directory)).toEqual(before);
});

test('a process that holds the lock and says nothing is waited for no longer than asked', async () => {
  const { directory } = await makeFile();
  const before = await readdir(directory);
  expect(await waitUntilLeft(directory, 500)).toBe('silent');
  expect(await readdir(directory)).toEqual(before);
});

test('a process that ends instead of answering is noticed', async () => {
  const { lock, directory } = await makeFile();
  const waiting = waitUntilLeft(directory, PATIENCE_MS);
  await waitFor(async () => (await readdir(directory)).some((name) => name.startsWith('rotate-')));
  await lock.release();
  expect(await waiting).toBe('nobody');
});

test('a question that went with its folder is asked again', async () => {
  const { directory } = await makeFile();
  const isAsked = async (): Promise<boolean> => (await readdir(directory)).some((name) => name.startsWith('rotate-'));
  const waiting = waitUntilLeft(directory, PATIENCE_MS);
  await waitFor(isAsked);
  for (const name of await readdir(directory)) if (name.startsWith('rot')) await rm(join(directory, name));
  await waitFor(isAsked);
  answer(directory, async () => undefined);
  expect(await waiting).toBe('left');
});

test('a request that nobody waits for is done once, and answers of long ago are removed', async () => {
  const { directory } = await makeFile();
  const old = join(directory, `rotated-${'0'.repeat(16)}`);
  await writeFile(old, '');
  await utimes(old, new Date(), Date.now() / 1_000 - 7_200);
  const [lock] = await readdir(directory);
  for (let times = 0; times < 2; times += 1) expect(await askToReopen(directory)).toBe(true);
  let reopened = 0;
  answer(directory, async () => {
    reopened += 1;
  });
  await waitFor(async () => (await readdir(directory)).join() === lock);
  expect(reopened).toBe(1);
});

test('an answer that failed is given when it is asked for again', async () => {
  const { directory } = await makeFile();
  let tries = 0;
  answer(directory, async () => {
    tries += 1;
    if (tries === 1) throw new Error('injected');
  });
  expect(await waitUntilLeft(directory, PATIENCE_MS)).toBe('left');
  expect(tries).toBe(2);
});

test('whether the lock is held is seen without making or changing anything', async () => {
  const folder = join(await makeFolder(), 'log');
  const directory = stateDirectory(join(folder, 'events.jsonl'));
  expect(await isLocked(directory)).toBe(false);
  await mkdir(directory, { recursive: true });
  expect(await isLocked(directory)).toBe(false);
  expect(await readdir(directory)).toEqual([]);
  for (const flock of ['flock', '/missing/flock']) {
    const lock = await acquireLocalLock({ filename: join(folder, 'events.jsonl'), createDirectory: false }, { flock });
    expect(await isLocked(directory, flock)).toBe(true);
    await lock?.release();
    expect(await isLocked(directory, flock)).toBe(false);
  }
  expect(await readFile(join(directory, 'lock'), 'utf8')).toBe('');
});
