import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { journalId, writeJournalId } from '../../src/log-file/journal-id.ts';

const ID = 'd2c3f3a0-9a55-4a53-a5b5-6f0f0ac0c001';

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-journal-id-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('an id is made once and found again', async () => {
  const folder = await makeFolder();
  const id = await journalId(folder);
  expect(await journalId(folder)).toBe(id);
  expect(await readFile(join(folder, 'id'), 'utf8')).toBe(`${id}\n`);
});

test('a folder that is gone is a state of the log file, which is waited out', async () => {
  const folder = join(await makeFolder(), 'gone');
  const expected = { name: 'TailraceError', code: 'LOG_FILE_DIRECTORY_MISSING', exitCode: 69 };
  await expect(journalId(folder)).rejects.toMatchObject(expected);
  await expect(writeJournalId(folder, ID)).rejects.toMatchObject(expected);
});

test('so is an id that cannot be read, and one that cannot be put in its place', async () => {
  const folder = await makeFolder();
  await mkdir(join(folder, 'id'));
  const expected = { name: 'TailraceError', code: 'LOG_FILE_IO', exitCode: 69 };
  await expect(journalId(folder)).rejects.toMatchObject(expected);
  await expect(writeJournalId(folder, ID)).rejects.toMatchObject(expected);
});
