import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { LOGGED } from '../../src/flow/standing.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createFailingCalls, errno } from './failing-calls.ts';
import { logFileConfig, makeBatch, makeEvent, makeFolder, range, readIds, startStage } from './stage.ts';

/** Mounting needs root and the right to mount, which a container may not give. */
function canMount(): boolean {
  if (!requireTool('mount') || !requireTool('unshare')) return false;
  if (spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0) return true;
  if (process.env.TAILRACE_REQUIRE_TOOLS === '1') throw new Error('mount is not permitted, and all tests are to run');
  process.stderr.write('SKIPPED: a tmpfs cannot be mounted here\n');
  return false;
}

describe.skipIf(!canMount())('on a full disk', () => {
  test('a torn line stays, nothing passes, and the very bytes are finished when there is room', async () => {
    const folder = await makeFolder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', folder]);
    onTestFinished(() => void spawnSync('umount', ['-l', folder]));
    const file = logFileConfig(join(folder, 'events.jsonl'));
    const running = startStage(file);
    const batch = makeBatch(
      file,
      range(0, 2_000).map((id) => makeEvent(id)),
    );
    const passing = running.pass(batch);
    await waitFor(() => running.degraded.length > 0);
    const torn = await readFile(file.filename);
    expect(torn.length).toBe(65_536);
    expect(running.passed).toEqual([]);
    expect(running.degraded).toEqual(['LOG_FILE_NO_SPACE']);
    expect(running.stage.status()).toMatchObject({ state: 'degraded', lastError: { code: 'LOG_FILE_NO_SPACE' } });
    execFileSync('mount', ['-o', 'remount,size=8m', folder]);
    await passing;
    expect(running.recovered).toBe(1);
    expect(running.stage.status()).toMatchObject({ state: 'ok', lastError: null });
    expect((await readFile(file.filename)).subarray(0, torn.length).equals(torn)).toBe(true);
    expect(await readIds(file.filename)).toEqual(range(0, 2_000).map(String));
  });

  test('a file that is deleted to make room is let go, and its lines stand in the new one', async () => {
    const folder = await makeFolder();
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'none', folder]);
    onTestFinished(() => void spawnSync('umount', ['-l', folder]));
    const file = logFileConfig(join(folder, 'events.jsonl'));
    const running = startStage(file);
    let from = 0;
    const fill = async (): Promise<void> => {
      for (; running.recovered === 0; from += 50) {
        await running.pass(
          makeBatch(
            file,
            range(from, 50).map((id) => makeEvent(id)),
          ),
        );
      }
    };
    const filling = fill();
    await waitFor(() => running.degraded.length > 0);
    const torn = (await readFile(file.filename, 'utf8')).split('\n').length - 1;
    await unlink(file.filename);
    await filling;
    expect(torn).toBeGreaterThan(from - 100);
    expect(await readIds(file.filename)).toEqual(range(from - 50, 50).map(String));
  });
});

test('after a failed fdatasync nothing passes until the bytes have been written again in place', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const fs = createFailingCalls();
  const running = startStage(file, { fs });
  await running.pass(makeBatch(file, [makeEvent(1)]));
  const { size, ino } = await stat(file.filename);
  let failures = 0;
  fs.calls.length = 0;
  fs.before = async (call) => {
    if (call !== 'datasync' || ++failures > 3) return;
    expect(running.passed).toHaveLength(1);
    // What the kernel shows after the error is not what the disk has: here it shows nothing.
    await writeFile(file.filename, Buffer.alloc(0), { flag: 'r+' });
    throw errno('EIO');
  };
  await running.pass(makeBatch(file, [makeEvent(2)]));
  expect(running.degraded).toEqual(['LOG_FILE_IO']);
  expect(fs.calls).toEqual(range(0, 4).flatMap(() => ['write', 'datasync']));
  expect(await readIds(file.filename)).toEqual(['1', '2']);
  expect(await stat(file.filename)).toMatchObject({ ino, size: size * 2 });
  await running.pass(makeBatch(file, [makeEvent(3)]));
  expect(await readIds(file.filename)).toEqual(['1', '2', '3']);
});

test('after a failed fdatasync lines overwritten by others are appended again, not over them', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const fs = createFailingCalls();
  const running = startStage(file, { fs });
  let failed = false;
  fs.before = async (call) => {
    if (call !== 'datasync' || failed) return;
    failed = true;
    const { size } = await stat(file.filename);
    await writeFile(file.filename, `${' '.repeat(size - 1)}\n`);
    throw errno('EIO');
  };
  await running.pass(makeBatch(file, [makeEvent(1)]));
  const text = await readFile(file.filename, 'utf8');
  expect(text).toMatch(/^ +\n\{.*"event_id":1,.*\}\n$/);
});

test('a file that was moved after a failed fdatasync is not written, its lines go to the new one', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const fs = createFailingCalls();
  const running = startStage(file, { fs });
  let failed = false;
  fs.before = async (call) => {
    if (call !== 'datasync' || failed) return;
    failed = true;
    await rename(file.filename, `${file.filename}.1`);
    throw errno('EIO');
  };
  await running.pass(makeBatch(file, [makeEvent(1)]));
  expect(await readIds(file.filename)).toEqual(['1']);
  expect(fs.calls).toEqual(['write', 'datasync', 'write', 'datasync']);
});

test.each(['EINTR', 'EAGAIN'])('%s is tried again without a word', async (code) => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const fs = createFailingCalls();
  const running = startStage(file, { fs });
  let failures = 0;
  fs.before = (call) => {
    if (call === 'write' && ++failures <= 3) throw errno(code);
  };
  await running.pass(makeBatch(file, [makeEvent(1)]));
  expect(running.degraded).toEqual([]);
  expect(await readIds(file.filename)).toEqual(['1']);
});

test('short writes are continued to the last byte', async () => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const fs = createFailingCalls();
  fs.mostBytes = 7;
  const running = startStage(file, { fs });
  await running.pass(
    makeBatch(
      file,
      range(0, 5).map((id) => makeEvent(id)),
    ),
  );
  expect(await readIds(file.filename)).toEqual(range(0, 5).map(String));
});

test.each([
  ['a directory', (path: string) => mkdir(path), (path: string) => rm(path, { recursive: true })],
  ['a symbolic link', (path: string) => symlink('/etc/hostname', path), unlink],
  ['a FIFO', async (path: string) => execFileSync('mkfifo', [path]), unlink],
])('%s in place of the file is waited for, named, and followed by a new file', async (what, put, remove) => {
  const file = logFileConfig(join(await makeFolder(), 'events.jsonl'));
  const running = startStage(file);
  await running.pass(makeBatch(file, [makeEvent(1)]));
  const replaced = `${file.filename}.new`;
  await put(replaced);
  await rename(file.filename, `${file.filename}.1`);
  await rename(replaced, file.filename).catch(async () => {
    // The stage was quicker and has made a new file already.
    await rm(file.filename);
    await rename(replaced, file.filename);
  });
  const passing = running.pass(makeBatch(file, [makeEvent(2)]));
  await waitFor(() => running.degraded.length > 0);
  expect(running.stage.status().lastError?.message).toContain(what);
  expect(running.passed).toHaveLength(1);
  await remove(file.filename);
  await passing;
  expect(await readIds(`${file.filename}.1`, file.filename)).toEqual(['1', '2']);
});

test('a directory that goes away is waited for, idle too, and used again when it is back', async () => {
  const folder = join(await makeFolder(), 'logs');
  await mkdir(folder);
  const file = logFileConfig(join(folder, 'events.jsonl'));
  const running = startStage(file);
  await running.pass(makeBatch(file, [makeEvent(1)]));
  await rename(folder, `${folder}.away`);
  await waitFor(() => running.degraded.length > 0);
  expect(running.degraded).toEqual(['LOG_FILE_DIRECTORY_MISSING']);
  // Nothing new to write, and yet nothing is delivered meanwhile.
  const passing = running.pass(makeBatch(file, [makeEvent(1)], LOGGED_AND_WAITING));
  expect(await Promise.race([passing.then(() => 'passed'), sleep(150, 'held')])).toBe('held');
  await rename(`${folder}.away`, folder);
  await passing;
  await running.pass(makeBatch(file, [makeEvent(2)]));
  expect(running.recovered).toBe(1);
  expect(await readIds(file.filename)).toEqual(['1', '2']);
});

test('an abort while the file cannot be written ends the wait, and the batch is not passed on', async () => {
  const file = logFileConfig(join(await makeFolder(), 'missing', 'events.jsonl'));
  const abort = new AbortController();
  const running = startStage(file, { signal: abort.signal });
  const passing = running.pass(makeBatch(file, [makeEvent(1)]));
  await waitFor(() => running.degraded.length > 0);
  abort.abort();
  await expect(passing).rejects.toMatchObject({ name: 'AbortError' });
  expect(running.passed).toEqual([]);
});

describe.skipIf(process.getuid?.() !== 0)('as a user without the permission', () => {
  /** Runs something as root while the process is somebody else. */
  const asRoot = (run: () => void): void => {
    process.seteuid?.(0);
    run();
    process.seteuid?.(65_534);
  };

  test('a lost permission is named, nothing passes, and its return is noticed', async () => {
    const folder = await makeFolder();
    chmodSync(folder, 0o777);
    process.seteuid?.(65_534);
    onTestFinished(() => process.seteuid?.(0));
    const file = logFileConfig(join(folder, 'events.jsonl'));
    const running = startStage(file);
    await running.pass(makeBatch(file, [makeEvent(1)]));
    asRoot(() => chmodSync(folder, 0o700));
    const passing = running.pass(makeBatch(file, [makeEvent(2)]));
    await waitFor(() => running.degraded.length > 0);
    expect(running.degraded).toEqual(['LOG_FILE_PERMISSION']);
    expect(running.passed).toHaveLength(1);
    asRoot(() => chmodSync(folder, 0o777));
    await passing;
    expect(await readIds(file.filename)).toEqual(['1', '2']);
  });
});

const LOGGED_AND_WAITING = { ...LOGGED, waiting: [{ destinationId: 1, generation: 1 }] };
