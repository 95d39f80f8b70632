import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCli, spawnCli } from './helpers/cli.ts';
import { waitFor } from './helpers/wait-for.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  // PostgreSQL's account is to have its files in it too.
  await chmod(directory, 0o755);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function linesOf(file: string): Promise<string[]> {
  return (await readFile(join(directory, file), 'utf8')).trimEnd().split('\n');
}

/** Whether any process still has the folder in its command line. */
async function isUsed(): Promise<boolean> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(join('/proc', pid, 'cmdline'), 'utf8').catch(() => '');
    if (command.includes(directory)) return true;
  }
  return false;
}

test('the demo adds up, on disk too, and cleans up after itself', async () => {
  const { code, stdout, stderr } = await runCli(['demo', '--directory', directory, '--seconds', '3']);
  expect(`${stdout}${stderr}`).toContain('It adds up.');
  expect(code).toBe(0);
  expect(stdout).not.toContain('\x1b');

  const recorded = Number(/recorded +([\d,]+)$/m.exec(stdout)?.[1]?.replaceAll(',', ''));
  expect(recorded).toBeGreaterThan(2000);
  const moved = await linesOf('events.jsonl.1');
  const current = await linesOf('events.jsonl');
  const ids = [...moved, ...current].map((line) => JSON.parse(line).event_id);
  expect(moved.length).toBeGreaterThan(0);
  expect(current.length).toBeGreaterThan(0);
  expect(ids).toHaveLength(recorded);
  expect(new Set(ids).size).toBe(recorded);

  expect(stdout).toContain(`${directory}/events.jsonl*`);
  expect((await readdir(directory)).filter((name) => name.includes('postgres'))).toEqual([]);
  if (process.platform === 'linux') expect(await isUsed()).toBe(false);
});

test('Ctrl-C ends a demo that is to be kept in order, and it still adds up', async () => {
  await using running = spawnCli(['demo', '--directory', directory, '--keep']);
  const runLog = join(directory, 'events.jsonl');
  await waitFor(async () => (await readFile(runLog, 'utf8').catch(() => '')).length > 0, {
    timeoutMs: 30_000,
    what: 'the first line in the log file',
  });
  running.signal('SIGINT');
  running.signal('SIGINT'); // npm's echo of the first
  expect(await running.exit).toBe(0);
  expect(running.stdout).toContain('It adds up.');
});

test('Ctrl-C before anything runs ends the demo with nothing left running', async () => {
  await using running = spawnCli(['demo', '--directory', directory]);
  await waitFor(() => running.stdout.includes(directory), { what: 'the first words' });
  running.signal('SIGINT');
  expect(await running.exit).toBe(0);
  expect(running.stderr).toBe('');
});

test('a folder that holds something already is not used', async () => {
  await writeFile(join(directory, 'events.jsonl'), 'precious\n');
  const { code, stderr } = await runCli(['demo', '--directory', directory]);
  expect(code).toBe(2);
  expect(stderr).toContain('is not empty');
  expect(await linesOf('events.jsonl')).toEqual(['precious']);
});

test('a number of seconds that is none is wrong usage', async () => {
  const { code, stderr } = await runCli(['demo', '--seconds', 'soon']);
  expect(code).toBe(2);
  expect(stderr).toContain('--seconds');
});

test('the configuration of the demo is a good one', async () => {
  const file = fileURLToPath(new URL('../fixtures/event_processor.json', import.meta.url));
  const { code, stderr } = await runCli(['check', file]);
  expect(stderr).toBe('');
  expect(code).toBe(0);
});
