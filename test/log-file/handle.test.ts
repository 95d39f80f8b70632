import { execFileSync } from 'node:child_process';
import {
  appendFile,
  link,
  mkdir,
  readFile,
  rename,
  stat,
  symlink,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { LogFileHandle } from '../../src/log-file/handle.ts';
import { makeFolder } from './stage.ts';

const OPTIONS = { mode: 0o640, createDirectory: false };

async function openHandle(path: string, options: Partial<typeof OPTIONS> = {}): Promise<LogFileHandle> {
  const handle = await LogFileHandle.open(path, { ...OPTIONS, ...options });
  onTestFinished(() => handle.close());
  return handle;
}

async function openingFails(path: string) {
  return await LogFileHandle.open(path, OPTIONS).then(
    () => expect.fail('was opened'),
    (error: unknown) => error as Error & { code: string },
  );
}

test('a created file has the configured mode, whatever the umask', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  await openHandle(path, { mode: 0o666 });
  expect((await stat(path)).mode & 0o777).toBe(0o666);
});

test('the mode of a file that was there is left alone', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  await writeFile(path, '', { mode: 0o600 });
  await openHandle(path);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test('a missing directory is created only when that is configured', async () => {
  const folder = await makeFolder();
  expect(await openingFails(join(folder, 'a/b/events.jsonl'))).toMatchObject({ code: 'ENOENT' });
  await openHandle(join(folder, 'a/b/events.jsonl'), { createDirectory: true });
  expect((await stat(join(folder, 'a/b'))).mode & 0o777).toBe(0o750);
});

test.each([
  ['a symbolic link', (path: string) => writeFile(`${path}.target`, 'x\n').then(() => symlink(`${path}.target`, path))],
  ['a symbolic link', (path: string) => symlink('/nowhere/at/all', path)],
  ['a symbolic link', (path: string) => symlink(path, path)],
  ['a directory', (path: string) => mkdir(path)],
  ['a FIFO', async (path: string) => execFileSync('mkfifo', [path])],
])('%s at the path is refused by name and left as it is', async (what, make) => {
  const path = join(await makeFolder(), 'events.jsonl');
  await make(path);
  const error = await openingFails(path);
  expect(error.code).toBe('LOG_FILE_NOT_REGULAR');
  expect(error.message).toContain(`${path} is ${what}`);
});

test('a device at the path is refused', async () => {
  expect((await openingFails('/dev/null')).message).toContain('/dev/null is a device');
});

test('a torn last line is ended before anything is appended', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  await writeFile(path, '{"a":1}\n{"torn');
  const handle = await openHandle(path);
  await handle.write(Buffer.from('{"b":2}\n'), 0);
  expect(await readFile(path, 'utf8')).toBe('{"a":1}\n{"torn\n{"b":2}\n');
});

test.each([
  ['an empty file', '', null],
  ['a file of others', 'hello\nworld\n', null],
  ['one line', '{"time_written_to_logfile":1700000000.000001,"event_id":1}\n', 1_700_000_000_000_001],
  [
    'a torn line whose stamp is cut',
    '{"time_written_to_logfile":1700000000.000001,"event_id":1}\n{"time_written_to_logfile":17000000',
    1_700_000_000_000_001,
  ],
  [
    'foreign lines after ours',
    `{"time_written_to_logfile":1700000000.000001,"event_id":1}\n${'x\n'.repeat(100_000)}`,
    1_700_000_000_000_001,
  ],
  [
    'a last line of a megabyte',
    `{"time_written_to_logfile":1.000001}\n{"time_written_to_logfile":2.000002,"t":"${'y'.repeat(1_048_576)}"}\n`,
    2_000_002,
  ],
])('the last stamp is found in %s', async (_what, text, expected) => {
  const path = join(await makeFolder(), 'events.jsonl');
  await writeFile(path, text);
  expect((await openHandle(path)).lastTimeUs).toBe(expected);
});

test('the last stamp is found wherever the blocks of the search are cut', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  for (let fill = 65_536 - 70; fill <= 65_536 + 5; fill += 1) {
    await writeFile(path, `x\n{"time_written_to_logfile":1700000000.000001}\n${'z'.repeat(fill)}\n`);
    const handle = await LogFileHandle.open(path, OPTIONS);
    await handle.close();
    expect(handle.lastTimeUs).toBe(1_700_000_000_000_001);
  }
});

test('a look tells a file in place from one that was moved, replaced or deleted', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  const handle = await openHandle(path);
  await handle.write(Buffer.from('{}\n'), 0);
  expect(await handle.look()).toEqual({ inPlace: true, size: 3 });
  await rename(path, `${path}.1`);
  expect((await handle.look()).inPlace).toBe(false);
  await symlink(`${path}.1`, path);
  expect((await handle.look()).inPlace).toBe(false);
  expect(await handle.links()).toBe(1);
  await unlink(`${path}.1`);
  expect(await handle.links()).toBe(0);
});

test('a rewrite puts lost bytes back and completes what is cut', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  await writeFile(path, 'before\n');
  const handle = await openHandle(path);
  const bytes = Buffer.from(`${'ours'.repeat(50_000)}\n`);
  await handle.write(bytes, 0);
  await truncate(path, 7 + 100_000);
  expect(await handle.rewrite(bytes, 7)).toBe('rewritten');
  expect(await readFile(path, 'utf8')).toBe(`before\n${bytes}`);
  expect(handle.size).toBe(7 + bytes.length);
});

test('a rewrite never touches foreign bytes, leaves no hole and follows no rename', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  const handle = await openHandle(path);
  await appendFile(path, 'somebody was here\n');
  expect(await handle.rewrite(Buffer.from('ours\n'), 0)).toBe('foreign');
  expect(await handle.rewrite(Buffer.from('ours\n'), 1_000)).toBe('foreign');
  await link(path, `${path}.1`);
  await unlink(path);
  await writeFile(path, '');
  expect(await handle.rewrite(Buffer.from('ours\n'), 0)).toBe('moved');
  expect(await readFile(`${path}.1`, 'utf8')).toBe('somebody was here\n');
  expect(await readFile(path, 'utf8')).toBe('');
});
