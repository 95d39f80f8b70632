// Ctrl-C before a command has begun its work.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runCli, spawnCli } from '../helpers/cli.ts';
import { waitFor } from '../helpers/wait-for.ts';

async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-interrupted-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

/** A program that is interrupted as soon as it minds signals at all. */
const INTERRUPTED_AT_ONCE = `process.once('newListener', function listen(name) {
  if (name === 'SIGINT') setImmediate(() => process.kill(process.pid, 'SIGINT'));
  else process.once('newListener', listen);
});`;

test.each(['plan', 'status', 'run'])('%s says that it was interrupted while it was still loading', async (command) => {
  const folder = await createFolder();
  const preload = join(folder, 'preload.mjs');
  await writeFile(preload, INTERRUPTED_AT_ONCE);
  expect(await runCli([command], { cwd: folder, env: { NODE_OPTIONS: `--import=${preload}` } })).toEqual({
    code: 130,
    stdout: '',
    stderr: 'tailrace: interrupted before it began; nothing was done\n',
  });
});

test('plan says that it was interrupted while it waits for the database', async () => {
  const folder = await createFolder();
  await writeFile(join(folder, 'event_processor.json'), JSON.stringify({ logfile: { filename: 'events.jsonl' } }));
  let connections = 0;
  const silent = createServer((socket) => {
    connections += 1;
    socket.on('error', () => {}).resume();
  });
  await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void silent.close());
  const address = silent.address();
  const port = typeof address === 'object' ? address?.port : null;
  await using running = spawnCli(['plan'], {
    cwd: folder,
    env: { TAILRACE_DATABASE_URL: `postgresql://127.0.0.1:${port}/x` },
  });
  await waitFor(() => connections > 0, { what: 'plan to ask the database', timeoutMs: 60_000 });
  running.signal('SIGINT');
  expect(await running.exit).toBe(130);
  expect(running.stderr).toBe('tailrace: interrupted before anything was counted; nothing was changed\n');
});
