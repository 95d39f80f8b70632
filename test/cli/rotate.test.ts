import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { runCli, spawnCli } from '../helpers/cli.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';

/** Several processes are started in each test, which takes seconds on a machine that does much else. */
vi.setConfig({ testTimeout: 240_000 });

let folder = '';
let file = '';
let database: TestDatabase;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  file = join(folder, 'events.jsonl');
  database = await createTestDatabase();
});
afterEach(async () => {
  await database[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function start(name = 'events') {
  const config = join(folder, `${name}.json`);
  await writeFile(config, JSON.stringify({ logfile: { filename: `${name}.jsonl` } }));
  const options = ['--config', config, '--database', database.url];
  expect(await runCli(['init', ...options])).toMatchObject({ code: 0 });
  const running = spawnCli(['run', ...options]);
  return { running, config };
}

test('a moved file is left and replaced when the command returns, with the file or the configuration named', async () => {
  const { running, config } = await start();
  await using _ = running;
  await running.waitForStderr('log file opened');
  for (const [at, words] of [[file], ['--config', config]].entries()) {
    await rename(file, `${file}.${at}`);
    expect(await runCli(['rotate', '--wait', ...words])).toEqual({ code: 0, stdout: '', stderr: '' });
    expect((await stat(file)).size).toBe(0);
  }
  await rename(file, `${file}.2`);
  expect(await runCli(['rotate', file])).toEqual({ code: 0, stdout: '', stderr: '' });
  await waitFor(() => stat(file));
});

test('a stopped process is not taken for one that has left the file: 75 after the time given', async () => {
  const { running } = await start();
  await using _ = running;
  await running.waitForStderr('log file opened');
  running.signal('SIGSTOP');
  await rename(file, `${file}.1`);
  const rotated = await runCli(['rotate', '--wait', '--timeout', '1.5', file]);
  expect(rotated).toMatchObject({ code: 75, stdout: '' });
  expect(rotated.stderr).toMatch(/^tailrace: the process that writes .*events\.jsonl has not said in time .*\n$/);
  running.signal('SIGCONT');
  expect(await runCli(['rotate', '--wait', file])).toMatchObject({ code: 0 });
});

test('after the end of the process it returns at once, and the next start does not write to the moved file', async () => {
  const { running, config } = await start();
  {
    await using _ = running;
    await running.waitForStderr('log file opened');
    await database.query(`INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, 100)`);
    await waitFor(async () => (await stat(file)).size > 0);
  } // killed
  await rename(file, `${file}.1`);
  expect(await runCli(['rotate', '--wait', file])).toEqual({ code: 0, stdout: '', stderr: '' });
  const { size, mtimeMs } = await stat(`${file}.1`);
  const once = await runCli(['run', '--once', '--config', config, '--database', database.url]);
  expect(once.code).toBe(0);
  expect(await stat(`${file}.1`)).toMatchObject({ size, mtimeMs });
});

test('several files are waited for together, and a file that nobody has written is said', async () => {
  const { running } = await start();
  await using _ = running;
  await running.waitForStderr('log file opened');
  await mkdir(join(folder, '.other.jsonl.tailrace'));
  expect(await runCli(['rotate', '--wait', file, join(folder, 'other.jsonl')])).toMatchObject({ code: 0 });
  const misnamed = await runCli(['rotate', '--wait', file, `${file}.2026-01-31`]);
  expect(misnamed).toMatchObject({ code: 1, stdout: '' });
  expect(misnamed.stderr).toContain('name the log file as the configuration does, without a date');
  expect(await readdir(join(folder, '.other.jsonl.tailrace'))).toEqual([]);
});

test('a configuration that cannot be read, or names no file, is no reason to say that all is well', async () => {
  const config = join(folder, 'event_processor.json');
  await writeFile(
    config,
    '{"event_destinations": [{"matches": {"all": true}, "destination": {"type": "drop_from_queue"}}]}',
  );
  expect(await runCli(['rotate', '--config', config])).toMatchObject({ code: 1 });
  await writeFile(config, '{');
  const broken = await runCli(['rotate', '--wait', '--config', config]);
  expect(broken.code).toBe(1);
  expect(broken.stderr).toContain('name the log file itself: tailrace rotate FILE');
  expect(await runCli(['rotate'], { cwd: folder, env: { TAILRACE_CONFIG: '' } })).toMatchObject({ code: 1 });
  expect(await runCli(['rotate', '--wait', '--timeout', '0', file])).toMatchObject({ code: 2 });
});
