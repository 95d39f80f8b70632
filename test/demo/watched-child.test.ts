import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runWatched, spawnWatched } from '../../src/demo/watched-child.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function childOf(program: string, ...args: string[]) {
  const logPath = join(directory, 'child.log');
  const env = { PATH: process.env.PATH };
  return { program, args, cwd: directory, env, logPath, orphanSignal: 'TERM' } as const;
}

test('standard output goes to a file of its own when one is named', async () => {
  const stdoutPath = join(directory, 'out');
  await runWatched({ ...childOf('sh', '-c', 'echo data; echo diagnostics >&2'), stdoutPath });
  expect(await readFile(stdoutPath, 'utf8')).toBe('data\n');
  expect(await readFile(join(directory, 'child.log'), 'utf8')).toBe('diagnostics\n');
});

test('a program that fails is reported with its exit code and its last words', async () => {
  const running = runWatched(childOf('sh', '-c', 'echo all is lost >&2; exit 3'));
  await expect(running).rejects.toMatchObject({
    code: 'CHILD_FAILED',
    message: expect.stringMatching(/exited with 3; it said last:\nall is lost$/),
  });
});

test('a program that does not exist is reported as such', async () => {
  const running = runWatched(childOf('no-such-program'));
  await expect(running).rejects.toMatchObject({ code: 'CHILD_FAILED', message: expect.stringContaining('not found') });
});

test('ending it twice is as good as once', async () => {
  const child = await spawnWatched(childOf('sleep', '60'));
  expect(child.isRunning).toBe(true);
  await child.end('SIGTERM');
  await child.end('SIGTERM');
  expect(child.isRunning).toBe(false);
  expect(await child.exit).toBeNull();
});
