import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCli, spawnCli } from '../helpers/cli.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';
import { findTool, requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { listenForNotices, type NotifySocket } from './notify-socket.ts';

const WATCHDOG_MS = 2_000;
/** Several processes are started in each test, which takes seconds on a machine that does much else. */
vi.setConfig({ testTimeout: 240_000 });

let folder = '';
let database: TestDatabase;
let socket: NotifySocket;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  database = await createTestDatabase();
  socket = await listenForNotices();
});
afterEach(async () => {
  await socket[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function prepare(): Promise<string[]> {
  const config = join(folder, 'event_processor.json');
  await writeFile(config, JSON.stringify({ logfile: { filename: 'events.jsonl' } }));
  const options = ['--config', config, '--database', database.url];
  expect(await runCli(['init', ...options])).toMatchObject({ code: 0 });
  return options;
}

const notified = (more: Readonly<Record<string, string>> = {}) => ({
  env: { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: String(WATCHDOG_MS * 1_000), ...more },
});

describe.skipIf(!requireTool('systemd-notify') || !requireTool('python3'))('under systemd', () => {
  test('says that it is ready, what it does, that it is alive, and that it stops', async () => {
    const options = await prepare();
    await using running = spawnCli(['run', ...options], notified());
    await socket.waitFor(/^READY=1$/);
    await socket.waitFor(/^STATUS=writer, epoch 1: 0 logged$/);
    await database.query(`INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, 7)`);
    await socket.waitFor(/^STATUS=writer, epoch 1: 7 logged, 7 delivered$/);
    expect(socket.count('READY=1')).toBe(1);

    await rm(join(folder, 'events.jsonl'));
    running.signal('SIGHUP');
    await waitFor(() => socket.count('READY=1') === 2, { what: 'the end of the reload' });
    expect((await stat(join(folder, 'events.jsonl'))).size).toBe(0);
    const [reloading] = socket.said.slice(socket.said.indexOf('RELOADING=1') + 1);
    expect(reloading).toMatch(/^MONOTONIC_USEC=\d+$/);

    running.signal('SIGTERM');
    expect(await running.exit).toBe(0);
    expect(socket.said).toContain('STOPPING=1');
    expect(running.stderrLines.filter((line) => /"level":[45]0/.test(line))).toEqual([]);
  });

  test('gives a sign of life twice within the time of the watchdog, and none while it stands still', async () => {
    const options = await prepare();
    await using running = spawnCli(['run', ...options], notified());
    await waitFor(() => socket.count('WATCHDOG=1') >= 4, { what: 'four signs of life' });
    running.signal('SIGSTOP');
    // One that was under way still arrives.
    const isSilent = async (): Promise<boolean> => {
      const before = socket.count('WATCHDOG=1');
      await sleep(WATCHDOG_MS * 2);
      return socket.count('WATCHDOG=1') === before;
    };
    await waitFor(isSilent, { what: 'no sign of life in twice the time of the watchdog' });
    const before = socket.count('WATCHDOG=1');
    running.signal('SIGCONT');
    await waitFor(() => socket.count('WATCHDOG=1') >= before + 2, { what: 'signs of life again' });
  });

  test('a process that stands by is ready and alive, and says for what it waits', async () => {
    const options = await prepare();
    await using first = spawnCli(['run', ...options]);
    await first.waitForStderr('started as the writer');
    await using second = spawnCli(['run', ...options], notified());
    await socket.waitFor(/^READY=1$/);
    await socket.waitFor(/^STATUS=standing by: another tailrace process holds the lock of .*events\.jsonl$/);
    await waitFor(() => socket.count('WATCHDOG=1') >= 3, { what: 'signs of life' });
    first.signal('SIGTERM');
    await socket.waitFor(/^STATUS=writer, epoch 2/);
    second.signal('SIGTERM');
    expect(await second.exit).toBe(0);
  });

  test('without PostgreSQL, and with a log file that cannot be written, it is ready and alive, and says so', async () => {
    const options = await prepare();
    const nowhere = ['--database', 'postgresql://nobody@127.0.0.1:1/nowhere'];
    {
      await using _ = spawnCli(['run', ...options.slice(0, 2), ...nowhere], notified());
      await socket.waitFor(/^READY=1$/);
      await socket.waitFor(/^STATUS=cannot start: .*127\.0\.0\.1:1/);
      await waitFor(() => socket.count('WATCHDOG=1') >= 3, { what: 'signs of life' });
    }
    await mkdir(join(folder, 'events.jsonl'));
    await using _ = spawnCli(['run', ...options], notified());
    await socket.waitFor(/^STATUS=writer, epoch 1; .*events\.jsonl is a directory/);
    const before = socket.count('WATCHDOG=1');
    await waitFor(() => socket.count('WATCHDOG=1') >= before + 3, { what: 'signs of life' });
  });

  test('a watchdog that is meant for another process gets no sign of life', async () => {
    const options = await prepare();
    await using running = spawnCli(['run', ...options], notified({ WATCHDOG_PID: '1' }));
    await socket.waitFor(/^STATUS=writer/);
    await sleep(WATCHDOG_MS * 2);
    running.signal('SIGTERM');
    expect(await running.exit).toBe(0);
    expect(socket.count('WATCHDOG=1')).toBe(0);
  });

  test('without systemd-notify it says so once, and runs', async () => {
    const options = await prepare();
    const bin = join(folder, 'bin');
    await mkdir(bin);
    await symlink(findTool('flock') ?? '/usr/bin/flock', join(bin, 'flock'));
    await using running = spawnCli(['run', ...options], notified({ PATH: bin }));
    await running.waitForStderr('cannot tell systemd how the service is');
    await running.waitForStderr('started as the writer');
    await sleep(WATCHDOG_MS * 2);
    running.signal('SIGTERM');
    expect(await running.exit).toBe(0);
    expect(running.stderrLines.filter((line) => line.includes('cannot tell systemd'))).toHaveLength(1);
    expect(socket.said).toEqual(['listening']);
  });
});
