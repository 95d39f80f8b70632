import { createReadStream } from 'node:fs';
import { readFile, rename, stat, truncate, unlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createLogger } from '../../src/lib/logger.ts';
import { scaled } from '../acceptance/world.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createFailingCalls } from './failing-calls.ts';
import { endStage, logFileConfig, makeBatch, makeEvent, makeFolder, range, readIds, startStage } from './stage.ts';

/** The second of SPEC 4, with patience for a machine that does much else every day. */
const ONE_SECOND_MS = scaled(1_000, 5_000);

test('200 rotations under load lose, double and tear no line, and no moved file is written late', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const running = startStage(file);
  const moved: { path: string; atMs: number }[] = [];
  let loading = true;
  const rotate = async (): Promise<void> => {
    while (moved.length < 200) {
      const path = `${file.filename}.${moved.length}`;
      await waitFor(() => rename(file.filename, path).then(() => true), { intervalMs: 1 });
      moved.push({ path, atMs: Date.now() });
    }
    loading = false;
  };
  const load = async (): Promise<number> => {
    let id = 0;
    for (; loading; id += 50)
      await running.pass(
        makeBatch(
          file,
          range(id, 50).map((each) => makeEvent(each)),
        ),
      );
    return id;
  };
  const [sent] = await Promise.all([load(), rotate()]);
  await endStage(running);
  const last = await stat(file.filename).then(
    () => [file.filename],
    () => [],
  );
  const ids = await readIds(...moved.map(({ path }) => path), ...last);
  expect(ids).toEqual(range(0, sent).map(String));
  for (const { path, atMs } of moved) expect((await stat(path)).mtimeMs - atMs).toBeLessThan(ONE_SECOND_MS);
});

test('an idle file is replaced within a second of each of 50 moves', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  startStage(file);
  await waitFor(() => stat(file.filename));
  for (let at = 0; at < 50; at += 1) {
    await rename(file.filename, `${file.filename}.${at}`);
    await waitFor(() => stat(file.filename), { timeoutMs: ONE_SECOND_MS, intervalMs: 5, what: 'a new file' });
  }
});

test('a deleted idle file is replaced, and the next line stands in the new one', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const running = startStage(file);
  await running.pass(makeBatch(file, [makeEvent(1)]));
  await unlink(file.filename);
  await waitFor(() => stat(file.filename), { timeoutMs: ONE_SECOND_MS, what: 'a new file' });
  await running.pass(makeBatch(file, [makeEvent(2)]));
  expect(await readIds(file.filename)).toEqual(['2']);
});

test.each(['write', 'datasync'] as const)(
  'lines are written again when the file is deleted before the %s',
  async (at) => {
    const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
    const fs = createFailingCalls();
    const running = startStage(file, { fs });
    await running.pass(makeBatch(file, [makeEvent(1)]));
    let pending = true;
    fs.before = async (call) => {
      if (call !== at || !pending) return;
      pending = false;
      await unlink(file.filename);
    };
    await running.pass(makeBatch(file, [makeEvent(2), makeEvent(3)]));
    expect(await readIds(file.filename)).toEqual(['2', '3']);
  },
);

test('lines that reached a file moved at that moment stay there', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const fs = createFailingCalls();
  const running = startStage(file, { fs });
  fs.before = async (call) => {
    if (call === 'write') await rename(file.filename, `${file.filename}.1`).catch(() => {});
  };
  await running.pass(makeBatch(file, [makeEvent(1)]));
  fs.before = () => {};
  await running.pass(makeBatch(file, [makeEvent(2)]));
  expect(await readIds(`${file.filename}.1`, file.filename)).toEqual(['1', '2']);
});

test('a move between two halves of a write leaves whole lines behind and takes the torn one along', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const fs = createFailingCalls();
  const running = startStage(file, { fs });
  await waitFor(() => stat(file.filename));
  let writes = 0;
  fs.mostBytes = 250;
  fs.before = async (call) => {
    if (call === 'write' && ++writes === 2) await rename(file.filename, `${file.filename}.1`);
    if (writes === 3) fs.mostBytes = Number.POSITIVE_INFINITY;
  };
  await running.pass(
    makeBatch(
      file,
      range(10, 9).map((id) => makeEvent(id)),
    ),
  );
  const left = await readFile(`${file.filename}.1`, 'utf8');
  const whole = left.slice(0, left.lastIndexOf('\n') + 1);
  expect(left).not.toBe(whole);
  await writeFile(`${file.filename}.1`, whole);
  expect(await readIds(`${file.filename}.1`, file.filename)).toEqual(range(10, 9).map(String));
});

test('a truncated file is appended to without a hole, and the loss is said aloud', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const log = createLogger({ level: 'silent' });
  const errors: unknown[] = [];
  log.error = (_fields: unknown, message?: unknown) => void errors.push(message);
  const running = startStage(file, { log });
  await running.pass(makeBatch(file, [makeEvent(1)]));
  await truncate(file.filename, 0);
  await running.pass(makeBatch(file, [makeEvent(2)]));
  expect(await readIds(file.filename)).toEqual(['2']);
  expect(errors).toEqual([expect.stringContaining('copytruncate')]);
});

test("another program's torn line is not glued to ours", async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const running = startStage(file);
  await running.pass(makeBatch(file, [makeEvent(1)]));
  await writeFile(file.filename, '{"foreign":tru', { flag: 'a' });
  await running.pass(makeBatch(file, [makeEvent(2)]));
  const lines = (await readFile(file.filename, 'utf8')).split('\n');
  expect(lines).toHaveLength(4);
  expect(lines[1]).toBe('{"foreign":tru');
  expect(JSON.parse(lines[2] ?? '').event_id).toBe(2);
});

test('a file that is only touched is not reopened', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const running = startStage(file);
  await running.pass(makeBatch(file, [makeEvent(1)]));
  const { ino } = await stat(file.filename);
  await utimes(file.filename, 1, 1);
  await running.pass(makeBatch(file, [makeEvent(2)]));
  expect((await stat(file.filename)).ino).toBe(ino);
  expect(await readIds(file.filename)).toEqual(['1', '2']);
});

test('a reader that follows the file sees whole lines in order', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const running = startStage(file);
  await waitFor(() => stat(file.filename));
  let writing = true;
  let seen = '';
  const read = async (): Promise<void> => {
    for (let ending = false; ; ending = !writing) {
      const from = Buffer.byteLength(seen);
      for await (const chunk of createReadStream(file.filename, { start: from, encoding: 'utf8' })) seen += chunk;
      if (ending) return;
      await sleep(1);
    }
  };
  const write = async (): Promise<void> => {
    for (let id = 0; id < 10_000; id += 100) {
      await running.pass(
        makeBatch(
          file,
          range(id, 100).map((each) => makeEvent(each)),
        ),
      );
    }
    writing = false;
  };
  await Promise.all([write(), read()]);
  const ids = seen
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line).event_id);
  expect(ids).toEqual(range(0, 10_000));
});
