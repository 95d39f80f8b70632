import { readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Appender, type Lines } from '../../src/log-file/appender.ts';
import { createLineClock } from '../../src/log-file/clock.ts';
import type { LogFileSystem } from '../../src/log-file/handle.ts';
import type { Intent, IntentWriter, LogPlace } from '../../src/log-file/journal/intent.ts';
import { createFailingCalls, errno } from './failing-calls.ts';
import { makeFolder, SILENT } from './stage.ts';

const makeAppender = (journal: IntentWriter, fs?: LogFileSystem): Appender => {
  const clock = createLineClock({ onStepBack: () => {} });
  const appender = new Appender({ file: { mode: 0o640, createDirectory: false }, clock, log: SILENT, journal, fs });
  onTestFinished(() => appender.close());
  return appender;
};

const linesOf = (path: string, ...texts: readonly string[]): Lines => ({
  path,
  bytes: Buffer.from(texts.map((text) => `${text}\n`).join('')),
  ids: texts.map((_, at) => String(at)),
  lastTimeUs: 1_700_000_000_000_000,
});

/** A journal in memory, which also notes how large the log file was each time it was told something. */
function createRecorder(path: string) {
  const told: (Intent | { readonly place: LogPlace; readonly from: number })[] = [];
  const sizes: number[] = [];
  const journal: IntentWriter = {
    intend: async (intent) => {
      told.push({ ...intent, bytes: Buffer.from(intent.bytes) });
      sizes.push((await stat(path)).size);
    },
    placed: async (place, from) => {
      told.push({ place, from });
      sizes.push((await stat(path)).size);
    },
  };
  return { journal, told, sizes };
}

test('the journal knows of every byte before it is written, and of another file before bytes go there', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  await writeFile(path, '{"torn');
  const fs = createFailingCalls();
  const { journal, told, sizes } = createRecorder(path);
  let deleted = false;
  fs.before = async (call) => {
    if (call !== 'datasync' || deleted) return;
    deleted = true;
    await unlink(path);
  };
  await makeAppender(journal, fs).append(linesOf(path, 'a', 'b'));
  const { ino } = await stat(path, { bigint: true });
  expect(await readFile(path, 'utf8')).toBe('a\nb\n');
  expect(told).toMatchObject([
    { place: { path, offset: 7 }, ids: ['0', '1'], bytes: Buffer.from('a\nb\n') },
    { place: { path, offset: 0, inode: ino }, from: 0 },
  ]);
  expect(sizes).toEqual([7, 0]);
});

test('of lines torn by a move only those go to the new file that are not whole in the old one', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  const fs = createFailingCalls();
  const { journal, told } = createRecorder(path);
  fs.mostBytes = 3;
  let writes = 0;
  fs.before = async (call) => {
    if (call === 'write' && ++writes === 2) await rename(path, `${path}.1`);
  };
  await makeAppender(journal, fs).append(linesOf(path, 'a', 'b', 'c'));
  expect(await readFile(`${path}.1`, 'utf8')).toBe('a\nb\nc\n');
  expect(told).toHaveLength(1);
});

test('nothing is written to the log while the journal cannot be written', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  const { journal, sizes } = createRecorder(path);
  const failing: IntentWriter = {
    ...journal,
    intend: async (intent) => {
      await journal.intend(intent);
      if (sizes.length < 3) throw errno('ENOSPC');
    },
  };
  const appender = makeAppender(failing);
  const lines = linesOf(path, 'a');
  await expect(appender.append(lines)).rejects.toMatchObject({ code: 'ENOSPC' });
  await expect(appender.append(lines)).rejects.toMatchObject({ code: 'ENOSPC' });
  await appender.append(lines);
  expect(sizes).toEqual([0, 0, 0]);
  expect(await readFile(path, 'utf8')).toBe('a\n');
});
