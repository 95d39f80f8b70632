import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runCli } from '../helpers/cli.ts';
import { crash, JOURNAL_ID } from '../log-file/journal/scene.ts';

const journalOf = async (...args: readonly string[]) => runCli(['journal', ...args]);

test('a journal is printed for a log file, for its folder and for one segment', async () => {
  const scene = await crash([[1, 2], [3]]);
  const byLog = await journalOf(scene.path);
  expect(byLog).toMatchObject({ code: 0, stderr: '' });
  const [first, second, third, ...rest] = byLog.stdout.split('\n');
  expect(first).toBe(`${scene.segment(1)}: segment 1 of journal ${JOURNAL_ID}`);
  expect(second).toMatch(
    /^ {2}intent 1: \d+ bytes to .*events\.jsonl \(inode \d+\) at 0, 2 ids 1 … 2, last \d+\.\d{6}$/,
  );
  expect(third).toContain(`at ${scene.batches[0]?.length}, id 3,`);
  expect(rest).toEqual(['']);
  expect(await journalOf(scene.directory)).toEqual(byLog);
  expect(await journalOf(scene.segment(1))).toEqual(byLog);
});

test('as JSON it is one object a record', async () => {
  const scene = await crash([[1, 2], [3]]);
  const { code, stdout } = await journalOf('--json', scene.path);
  const records = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  expect(code).toBe(0);
  expect(records).toMatchObject([
    { segment: 1, type: 'intent', meta: { seq: 1, ids: '1,2', path: scene.path, offset: 0 } },
    { segment: 1, type: 'intent', meta: { seq: 2, ids: '3' } },
  ]);
});

test('damage is said on standard error, and the rest is printed', async () => {
  const scene = await crash([[1], [2]]);
  const segment = await open(scene.segment(1), 'r+');
  await segment.write('x', 60);
  await segment.close();
  const { code, stdout, stderr } = await journalOf(scene.path);
  expect(code).toBe(1);
  expect(stdout).toContain('intent 2:');
  expect(stderr).toContain(`${scene.segment(1)}: damaged`);
  await writeFile(scene.segment(1), 'something else');
  expect(await journalOf(scene.path)).toMatchObject({ code: 1, stdout: '' });
});

test('no journal yet is no problem, a folder that is not there is one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-journal-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const scene = await crash([]);
  expect(await journalOf(scene.path)).toMatchObject({ code: 0, stdout: expect.stringContaining('no journal') });
  const missing = await journalOf(join(folder, 'events.jsonl'));
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain('cannot read the journal');
});
