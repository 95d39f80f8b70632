import { mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { makeFolders } from '../../src/lib/make-folders.ts';

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-folders-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

test('what is missing is made, and the topmost of it is named', async () => {
  const folder = await makeFolder();
  expect(await makeFolders(join(folder, 'a/b/c'), { mode: 0o700 })).toBe(join(folder, 'a'));
  expect((await stat(join(folder, 'a/b/c'))).mode & 0o777).toBe(0o700);
  expect(await makeFolders(join(folder, 'a/b/c'))).toBeUndefined();
  expect(await makeFolders(join(folder, 'a/b/d'))).toBe(join(folder, 'a/b/d'));
  await symlink(join(folder, 'a'), join(folder, 'link'));
  expect(await makeFolders(join(folder, 'link'))).toBeUndefined();
});

test('of several at once one makes it', async () => {
  const path = join(await makeFolder(), 'a/b/c/d');
  const made = await Promise.all([1, 2, 3, 4].map(() => makeFolders(path)));
  expect(made).toContain(path.slice(0, -6));
  expect((await stat(path)).isDirectory()).toBe(true);
});

test('what stands in the way is an error', async () => {
  const folder = await makeFolder();
  await writeFile(join(folder, 'file'), '');
  await expect(makeFolders(join(folder, 'file'))).rejects.toMatchObject({ code: 'EEXIST' });
  await expect(makeFolders(join(folder, 'file/below'))).rejects.toMatchObject({ code: 'ENOTDIR' });
});

test.skipIf(process.platform !== 'linux')(
  'where no folder can be made it fails at once, and does not go round',
  async () => {
    await expect(makeFolders('/proc/tailrace/a')).rejects.toMatchObject({ code: 'ENOENT' });
  },
);
