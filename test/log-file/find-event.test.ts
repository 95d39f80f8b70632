// Looking for one event in the files of a log, as `tailrace trace` and `explain` do.

import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { findEvents } from '../../src/log-file/find-event.ts';
import { makeFolder } from './stage.ts';

const lineOf = (id: number): string =>
  `{"time_written_to_logfile":${id}.000000,"event_id":${id},"event_time":1,"event_type":"other"}\n`;
const LINES = Array.from({ length: 9 }, (_, at) => lineOf(at + 1)).join('');

const find = async (path: string, id: string): Promise<readonly number[]> =>
  (await findEvents(path, { ids: [id], uniqueId: null })).map(({ line }) => line);

test.each([
  ['events.jsonl', Buffer.from(LINES)],
  ['events.jsonl.gz', gzipSync(LINES)],
  ['packed-under-another-name', gzipSync(LINES)],
  ['plain-in-spite-of-its-name.gz', Buffer.from(LINES)],
  ['members.gz', Buffer.concat([gzipSync(LINES.slice(0, 300)), gzipSync(LINES.slice(300))])],
  ['cut.gz', gzipSync(LINES).subarray(0, -8)],
])('an event is found in %s', async (name, content) => {
  const path = join(await makeFolder(), name);
  await writeFile(path, content);
  expect(await find(path, '7')).toEqual([7]);
});

test('what holds no lines is passed over: a folder, a pipe without a writer, nothing at all, another packer', async () => {
  const folder = await makeFolder();
  await mkdir(join(folder, 'folder'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  await writeFile(join(folder, 'events.zst'), Buffer.from('28b52ffd00', 'hex'));
  await writeFile(join(folder, 'empty'), '');
  for (const name of ['folder', 'pipe', 'events.zst', 'empty', 'absent'])
    expect(await find(join(folder, name), '7')).toEqual([]);
});
