import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { acquireLocalLock, type LocalLock, stateDirectory } from '../../src/log-file/local-lock.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { makeFolder } from './stage.ts';

const BUILT = new URL('../../dist/log-file/local-lock.js', import.meta.url).href;

async function take(filename: string, options: { flock?: string; createDirectory?: boolean } = {}) {
  const { createDirectory = false, ...rest } = options;
  const lock = await acquireLocalLock({ filename, createDirectory }, rest);
  if (lock !== null) onTestFinished(() => lock.release());
  return lock;
}

/** Another process that holds the lock of a file; it has it when this resolves. */
async function startHolder(filename: string, flock: string): Promise<ChildProcess> {
  const script = `
    import { acquireLocalLock } from ${JSON.stringify(BUILT)};
    const [filename, flock] = ${JSON.stringify([filename, flock])};
    const lock = await acquireLocalLock({ filename, createDirectory: false }, { flock });
    console.log(lock === null ? 'taken' : 'locked');
    setInterval(() => lock, 1_000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(() => ['ended']);
  const [said] = await Promise.race([once(child.stdout, 'data'), ended]);
  expect(String(said)).toBe('locked\n');
  return child;
}

test('the lock is keyed by the name without its date and hidden beside the log', () => {
  expect(stateDirectory('/var/log/tailrace/events.jsonl')).toBe('/var/log/tailrace/.events.jsonl.tailrace');
});

describe.skipIf(!requireTool('flock')).each([
  ['flock', 'flock'],
  ['a socket where there is no flock', '/nonexistent/flock'],
])('by %s', (_name, flock) => {
  test('one of two gets the lock, and the other after its release', async () => {
    const path = join(await makeFolder(), 'events.jsonl');
    const first = await take(path, { flock });
    expect(first).not.toBeNull();
    expect(await take(path, { flock })).toBeNull();
    await first?.release();
    await first?.release();
    expect(await take(path, { flock })).not.toBeNull();
  });

  test('of ten that come at once one gets the lock', async () => {
    const path = join(await makeFolder(), 'events.jsonl');
    const locks = await Promise.all(Array.from({ length: 10 }, () => take(path, { flock })));
    expect(locks.filter((lock) => lock !== null)).toHaveLength(1);
  });

  test('files of one directory have locks of their own', async () => {
    const folder = await makeFolder();
    expect(await take(join(folder, 'a.jsonl'), { flock })).not.toBeNull();
    expect(await take(join(folder, 'b.jsonl'), { flock })).not.toBeNull();
  });

  test('a stopped process keeps the lock, a killed one loses it', async () => {
    const path = join(await makeFolder(), 'events.jsonl');
    const holder = await startHolder(path, flock);
    expect(await take(path, { flock })).toBeNull();
    holder.kill('SIGSTOP');
    expect(await take(path, { flock })).toBeNull();
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    const lock: LocalLock | null = await waitFor(() => take(path, { flock }));
    expect(lock).not.toBeNull();
  });

  test('no process inherits the lock', async () => {
    const path = join(await makeFolder(), 'events.jsonl');
    const lock = await take(path, { flock });
    const child = spawn('sleep', ['60'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child, 'spawn');
    await lock?.release();
    expect(await take(path, { flock })).not.toBeNull();
  });
});

test('the folder and the lock are for their owner alone', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  await take(path);
  const folder = stateDirectory(path);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o077).toBe(0);
});

test.skipIf(!requireTool('flock'))(
  'a lock whose folder is removed is not taken for the lock of the new one',
  async () => {
    const path = join(await makeFolder(), 'events.jsonl');
    const flock = join(await makeFolder(), 'flock');
    const folder = stateDirectory(path);
    // Removes the folder, once, between our opening of the lock file and the locking.
    await writeFile(
      flock,
      `#!/bin/sh\n[ -e ${flock}.done ] || { touch ${flock}.done; rm -r ${folder}; mkdir ${folder}; }\nexec flock "$@"\n`,
    );
    await chmod(flock, 0o755);
    expect(await take(path, { flock })).not.toBeNull();
    expect(spawnSync('flock', ['-n', join(folder, 'lock'), 'true']).status).toBe(1);
  },
);

test('a missing log directory is named, or created where that is configured', async () => {
  const path = join(await makeFolder(), 'logs', 'events.jsonl');
  await expect(take(path)).rejects.toMatchObject({ code: 'LOG_FILE_DIRECTORY_MISSING' });
  expect(await take(path, { createDirectory: true })).not.toBeNull();
});

test('a symbolic link in place of the folder or of the lock is refused', async () => {
  const folder = await makeFolder();
  const path = join(folder, 'events.jsonl');
  await mkdir(join(folder, 'elsewhere'));
  await symlink(join(folder, 'elsewhere'), stateDirectory(path));
  await expect(take(path)).rejects.toMatchObject({ code: 'LOG_FILE_NOT_REGULAR' });
  await rm(stateDirectory(path));
  await mkdir(stateDirectory(path));
  await symlink(join(folder, 'target'), join(stateDirectory(path), 'lock'));
  await expect(take(path)).rejects.toMatchObject({ code: 'LOG_FILE_IO' });
  expect(await readdir(folder)).not.toContain('target');
});

test('a flock that fails is an error, not a lock', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  await expect(take(path, { flock: 'false' })).resolves.toBeNull();
  const broken = join(await makeFolder(), 'flock');
  await writeFile(broken, '#!/bin/sh\nexit 71\n');
  await chmod(broken, 0o755);
  await expect(take(path, { flock: broken })).rejects.toMatchObject({ code: 'LOCK_FAILED' });
});
