import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FRESH, LOGGED } from '../../src/flow/standing.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createFailingCalls } from './failing-calls.ts';
import { endStage, logFileConfig, makeBatch, makeEvent, makeFolder, range, readIds, startStage } from './stage.ts';

test('passes an event on only after fsync, as logged', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const fs = createFailingCalls();
  const running = startStage(file, { fs });
  const seenAtSync: number[] = [];
  fs.before = (call) => {
    if (call === 'datasync') seenAtSync.push(running.passed.length);
  };
  await running.pass(makeBatch(file, [makeEvent(1), makeEvent(2)]));
  await waitFor(() => running.passed.length === 1);
  expect(fs.calls).toEqual(['write', 'datasync']);
  expect(seenAtSync).toEqual([0]);
  expect(running.passed[0]?.events.map(({ standing }) => standing)).toEqual([LOGGED, LOGGED]);
  expect(await readIds(file.filename)).toEqual(['1', '2']);
});

test('an event that is logged is not logged again, and keeps the rest of its standing', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const running = startStage(file);
  const waiting = { ...FRESH, unlogged: true, waiting: [{ destinationId: 3, generation: 1 }] };
  await running.pass(makeBatch(file, [makeEvent(1)], { ...waiting, unlogged: false, logged: true }));
  await running.pass(makeBatch(file, [makeEvent(2)], waiting));
  await endStage(running);
  expect(await readIds(file.filename)).toEqual(['2']);
  expect(running.passed[1]?.events[0]?.standing).toEqual({ ...waiting, unlogged: false, logged: true });
});

test('without a log file a batch passes with its standing untouched', async () => {
  const running = startStage(null);
  const batch = makeBatch(null, [makeEvent(1)]);
  await running.pass(batch);
  await endStage(running);
  expect(running.passed).toEqual([batch]);
  expect(batch.events[0]?.standing).toBe(FRESH);
  expect(running.stage.status()).toMatchObject({ path: null, state: 'ok' });
});

test('the file is there before the first event', async () => {
  const file = logFileConfig(join(await makeFolder(), 'logs', 'events.jsonl'), { createDirectory: true, mode: 0o600 });
  startStage(file);
  await waitFor(async () => (await stat(file.filename)).mode === 0o100600, { what: 'the file' });
});

test('stamps grow strictly over restarts, also when the clock stepped back a little', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  for (const [run, nowUs] of [1_700_000_003_000_000, 1_700_000_000_000_000, 1_700_000_001_000_000].entries()) {
    const running = startStage(file, { now: () => nowUs });
    await running.pass(
      makeBatch(
        file,
        range(run * 10, 10).map((id) => makeEvent(id)),
      ),
    );
    await endStage(running);
  }
  expect(await readIds(file.filename)).toEqual(range(0, 30).map(String));
});

test('a batch is cut at midnight, and each line is in the file of its date', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'), { appendDate: true });
  const midnight = new Date(2026, 2, 1).getTime() * 1_000;
  const running = startStage(file, { now: () => midnight - 30 });
  await running.pass(
    makeBatch(
      file,
      range(0, 100).map((id) => makeEvent(id)),
    ),
  );
  await endStage(running);
  expect(await readIds(`${file.filename}.2026-02-28`)).toEqual(range(0, 30).map(String));
  expect(await readIds(`${file.filename}.2026-03-01`)).toEqual(range(30, 70).map(String));
});

test('a clock that goes back a day appends to the earlier file', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'), { appendDate: true });
  const noon = new Date(2026, 2, 1, 12).getTime() * 1_000;
  let nowUs = noon;
  const running = startStage(file, { now: () => nowUs });
  await running.pass(makeBatch(file, [makeEvent(1)]));
  nowUs = noon + 86_400_000_000;
  await running.pass(makeBatch(file, [makeEvent(2)]));
  nowUs = noon + 1_000_000;
  await running.pass(makeBatch(file, [makeEvent(3)]));
  await endStage(running);
  expect(await readIds(`${file.filename}.2026-03-01`)).toEqual(['1', '3']);
  expect(await readIds(`${file.filename}.2026-03-02`)).toEqual(['2']);
});

test('another file is used only after everything for the first one is settled', async () => {
  const folder = await makeFolder();
  const [first, second] = [logFileConfig(join(folder, 'a.jsonl')), logFileConfig(join(folder, 'b.jsonl'))];
  const switches: unknown[] = [];
  const running = startStage(first, {
    beforeSwitch: async (from, to) => {
      await waitFor(() => running.passed.length === switches.length + 1);
      switches.push([from?.filename, to?.filename, await readdir(folder)]);
    },
  });
  await running.pass(makeBatch(first, [makeEvent(1)]));
  await running.pass(makeBatch(second, [makeEvent(2)]));
  await running.pass(makeBatch(null, [makeEvent(3)]));
  await endStage(running);
  expect(await readIds(first.filename)).toEqual(['1']);
  expect(await readIds(second.filename)).toEqual(['2']);
  expect(switches).toEqual([
    [first.filename, second.filename, ['a.jsonl']],
    [second.filename, undefined, ['a.jsonl', 'b.jsonl']],
  ]);
});

test('reopening opens the file at the path anew and loses nothing', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const running = startStage(file);
  for (let id = 0; id < 200; id += 1) {
    running.stage.reopen();
    await running.pass(makeBatch(file, [makeEvent(id)]));
  }
  await endStage(running);
  expect(await readIds(file.filename)).toEqual(range(0, 200).map(String));
});

test('a batch larger than the buffer arrives whole', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const running = startStage(file);
  const email = `ü€"\u0001${'x'.repeat(200_000)}`;
  await running.pass(
    makeBatch(
      file,
      range(0, 60).map((id) => makeEvent(id, email)),
    ),
  );
  await running.pass(makeBatch(file, [makeEvent(60)]));
  await endStage(running);
  expect(await readIds(file.filename)).toEqual(range(0, 61).map(String));
  expect(JSON.parse((await readFile(file.filename, 'utf8')).split('\n')[59] ?? '').email).toBe(email);
});

test('logs no further ahead than a few batches when the router takes none, however slowly they come', async () => {
  const folder = await makeFolder();
  const file = logFileConfig(join(folder, 'events.jsonl'));
  const { stage } = startStage(file);
  stage.pause();
  let logged = 0;
  const isLogged = () => readIds(file.filename).then((ids) => ids.length > logged);
  for (let isHeldBack = false; !isHeldBack && logged < 20; ) {
    stage.write(makeBatch(file, [makeEvent(logged)]));
    isHeldBack = await waitFor(isLogged, { timeoutMs: 1_000, intervalMs: 2 }).then(
      () => false,
      () => true,
    );
    if (!isHeldBack) logged += 1;
  }
  expect(logged).toBeLessThan(5);
  stage.resume();
});
