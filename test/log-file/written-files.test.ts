// Rotated log files as they are read again: their order, and their bytes.

import { existsSync, readdirSync } from 'node:fs';
import { link, mkdir, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { inOrder, openWritten } from '../../src/log-file/written-files.ts';
import { makeFolder } from './stage.ts';

const lineAt = (seconds: number, id = seconds): string =>
  `{"time_written_to_logfile":${seconds}.000000,"event_id":${id},"event_time":1,"event_type":"other"}\n`;

async function contentOf(path: string): Promise<string> {
  let text = '';
  for await (const chunk of await openWritten(path)) text += String(chunk);
  return text;
}

async function folderWith(files: Readonly<Record<string, string | Buffer>>) {
  const folder = await makeFolder();
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
  const at = (name: string): string => join(folder, name);
  const order = async (...names: string[]): Promise<string[]> =>
    (await inOrder(names.map(at))).map(({ path }) => path.slice(folder.length + 1));
  return { folder, at, order };
}

test('numbered, dated, packed and live files come in the order in which they were written', async () => {
  const { order } = await folderWith({
    'events.jsonl': lineAt(9_000),
    'events.jsonl.1': lineAt(8_000),
    'events.jsonl.2.gz': gzipSync(lineAt(7_000)),
    'events.jsonl.10.gz': gzipSync(lineAt(3_000)),
    'events.jsonl-20261122-1795302762.gz': gzipSync(lineAt(6_000)),
    'events.jsonl-20261122': lineAt(5_000),
    'events.jsonl-20261121': lineAt(4_000),
    'no-gz-in-its-name': gzipSync(lineAt(2_000)),
  });
  const wanted = [
    'no-gz-in-its-name',
    'events.jsonl.10.gz',
    'events.jsonl-20261121',
    'events.jsonl-20261122',
    'events.jsonl-20261122-1795302762.gz',
    'events.jsonl.2.gz',
    'events.jsonl.1',
    'events.jsonl',
  ];
  expect(await order(...wanted.toSorted())).toEqual(wanted);
});

test('a file without any time comes first, and damage before the first line does not hide its time', async () => {
  const { order } = await folderWith({
    late: `${'\0'.repeat(700_000)}\n{"time_written_to_logfile":x}\n${lineAt(5_000)}`,
    early: lineAt(4_000),
    empty: '',
    text: 'hello\n',
  });
  expect(await order('late', 'early', 'empty', 'text')).toEqual(['empty', 'text', 'early', 'late']);
});

test('a time is found wherever two reads meet', async () => {
  for (let cut = 262_144 - 60; cut < 262_146; cut += 7) {
    const { order } = await folderWith({ a: `${'x'.repeat(cut)}\n${lineAt(5_000)}`, b: lineAt(6_000) });
    expect(await order('b', 'a')).toEqual(['a', 'b']);
  }
});

test('a file that is named twice, by links too, is taken once', async () => {
  const { at, order } = await folderWith({ a: lineAt(1_000), b: lineAt(2_000) });
  await symlink(at('b'), at('soft'));
  await link(at('b'), at('hard'));
  expect(await order('soft', 'a', 'b', 'hard', 'a')).toEqual(['a', 'soft']);
});

test('what cannot be read is named, with what to do', async () => {
  const { at } = await folderWith({ 'x.zst': Buffer.from('28b52ffd00', 'hex') });
  await mkdir(at('folder'));
  await expect(inOrder([at('folder')])).rejects.toMatchObject({
    code: 'INPUT_NOT_READABLE',
    message: `${at('folder')} cannot be read: it is a folder; name the files in it`,
  });
  await expect(inOrder([at('gone')])).rejects.toThrow(/gone cannot be read: there is no such file$/);
  await expect(inOrder([at('x.zst')])).rejects.toThrow(/x\.zst cannot be read: it is compressed with zstd; unpack it/);
});

test('packed bytes are unpacked, several members too', async () => {
  const { at } = await folderWith({
    a: Buffer.concat([gzipSync(lineAt(1_000)), gzipSync(lineAt(2_000))]),
    b: lineAt(3),
  });
  expect(await contentOf(at('a'))).toBe(lineAt(1_000) + lineAt(2_000));
  expect(await contentOf(at('b'))).toBe(lineAt(3));
});

test('a packed file that is cut or broken says which one it is, after what came before', async () => {
  const lines = Array.from({ length: 20_000 }, (_, at) => lineAt(1_000 + at, (at * 7_919) % 100_003)).join('');
  const packed = gzipSync(lines);
  const { at, order } = await folderWith({ cut: packed, broken: packed });
  await truncate(at('cut'), packed.length - 100);
  await writeFile(at('broken'), Buffer.concat([packed.subarray(0, -8), Buffer.alloc(8)]));
  for (const name of ['cut', 'broken'])
    await expect(contentOf(at(name))).rejects.toMatchObject({
      code: 'INPUT_DAMAGED',
      message: expect.stringMatching(new RegExp(`/${name} is cut or damaged: gzip says`)),
    });
  expect(await order('cut', 'broken')).toEqual(['cut', 'broken']);
});

test('a file that is rotated after it was found is read where it is now', async () => {
  const { at } = await folderWith({ live: lineAt(1_000) });
  const [found] = await inOrder([at('live')]);
  if (!found) throw new Error('nothing found');
  await rename(at('live'), at('live.1'));
  await writeFile(at('live'), lineAt(2_000));
  let text = '';
  for await (const chunk of await openWritten(found)) text += String(chunk);
  expect(text).toBe(lineAt(1_000));
});

test('a stream that nobody reads leaves no descriptor open', async () => {
  const { at } = await folderWith({ a: lineAt(1_000) });
  if (!existsSync('/proc/self/fd')) return;
  const before = readdirSync('/proc/self/fd').length;
  for (let round = 0; round < 20; round += 1) {
    const stream = await openWritten(at('a'));
    await new Promise((resolve) => stream.once('close', resolve).destroy());
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(readdirSync('/proc/self/fd').length).toBeLessThan(before + 5);
});
