import { open, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Appender } from '../../src/log-file/appender.ts';
import { createLineClock } from '../../src/log-file/clock.ts';
import type { LogFileSystem } from '../../src/log-file/handle.ts';
import type { Intent, IntentWriter, LogPlace } from '../../src/log-file/journal/intent.ts';
import type { Lines } from '../../src/log-file/progress.ts';
import { waitFor } from '../helpers/wait-for.ts';
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
  const told: (Intent | { readonly seq: number; readonly place: LogPlace; readonly from: number })[] = [];
  const sizes: number[] = [];
  const journal: IntentWriter = {
    intend: async (intent) => {
      told.push({ ...intent, bytes: Buffer.from(intent.bytes) });
      sizes.push((await stat(path)).size);
      return told.length;
    },
    placed: async (seq, place, from) => {
      told.push({ seq, place, from });
      sizes.push((await stat(path)).size);
    },
    appended: () => undefined,
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
    { seq: 1, place: { path, offset: 0, inode: ino }, from: 0 },
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
    if (call !== 'write' || ++writes !== 2) return;
    fs.mostBytes = 2;
    await rename(path, `${path}.1`);
  };
  await makeAppender(journal, fs).append(linesOf(path, 'a', 'b', 'cd'));
  expect(await readFile(`${path}.1`, 'utf8')).toBe('a\nb\nc');
  expect(await readFile(path, 'utf8')).toBe('cd\n');
  expect(told).toMatchObject([{ place: { path } }, { seq: 1, place: { path, offset: 0 }, from: 4 }]);
});

test('nothing is written to the log while the journal cannot be written', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  const { journal, sizes } = createRecorder(path);
  const failing: IntentWriter = {
    ...journal,
    intend: async (intent) => {
      const seq = await journal.intend(intent);
      if (sizes.length < 3) throw errno('ENOSPC');
      return seq;
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

/** Appends two, of which the second is announced while the first is being synced. */
async function appendBoth(appender: Appender, first: Lines, second: Lines): Promise<void> {
  let announced = false;
  await appender.append(first, () => {
    if (!announced) appender.announce(second);
    announced = true;
  });
  await appender.append(second);
}

test('the next lines are journalled while the ones before are synced, behind these, and written after that', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  const fs = createFailingCalls();
  const { journal, told, sizes } = createRecorder(path);
  let toldAtSync = 0;
  fs.before = async (call) => {
    if (call !== 'datasync') return;
    await waitFor(() => told.length === 2);
    toldAtSync ||= told.length;
    expect(await readFile(path, 'utf8')).toBe(toldAtSync++ === 2 ? 'a\n' : 'a\nb\n');
  };
  await appendBoth(makeAppender(journal, fs), linesOf(path, 'a'), linesOf(path, 'b'));
  expect(told).toMatchObject([{ place: { offset: 0 } }, { place: { offset: 2, before: { length: 2 } } }]);
  expect(sizes).toEqual([0, 2]);
  expect(await readFile(path, 'utf8')).toBe('a\nb\n');
});

test.each(['moved', 'deleted'])(
  'when the file is %s meanwhile, the journal is told before announced lines go elsewhere',
  async (how) => {
    const path = join(await makeFolder(), 'events.jsonl');
    const fs = createFailingCalls();
    const { journal, told } = createRecorder(path);
    let synced = false;
    fs.before = async (call) => {
      if (call !== 'datasync' || synced) return;
      synced = true;
      await waitFor(() => told.length === 2);
      // Held open, so that the new file has another inode.
      const held = await open(path);
      onTestFinished(() => held.close());
      if (how === 'moved') await rename(path, `${path}.1`);
      else await unlink(path);
    };
    await appendBoth(makeAppender(journal, fs), linesOf(path, 'a'), linesOf(path, 'b'));
    const { ino } = await stat(path, { bigint: true });
    const again = how === 'moved' ? [] : [{ seq: 1, place: { inode: ino, offset: 0 }, from: 0 }];
    const offset = how === 'moved' ? 0 : 2;
    expect(told.slice(2)).toMatchObject([...again, { seq: 2, place: { inode: ino, offset }, from: 0 }]);
    expect(await readFile(path, 'utf8')).toBe(how === 'moved' ? 'b\n' : 'a\nb\n');
  },
);

test('lines whose announcement fails are journalled in their turn', async () => {
  const path = join(await makeFolder(), 'events.jsonl');
  const { journal, told } = createRecorder(path);
  let intents = 0;
  const failing: IntentWriter = {
    ...journal,
    intend: (intent) => (++intents === 2 ? Promise.reject(errno('EIO')) : journal.intend(intent)),
  };
  await appendBoth(makeAppender(failing), linesOf(path, 'a'), linesOf(path, 'b'));
  expect(told).toMatchObject([{ place: { offset: 0 } }, { place: { offset: 2 } }]);
  expect(await readFile(path, 'utf8')).toBe('a\nb\n');
});
