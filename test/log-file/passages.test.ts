import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Passages } from '../../src/log-file/passages.ts';

/** A batch that is on its way until it is told how it ends. */
function openBatch(passages: Passages) {
  let end = (_error?: Error): void => undefined;
  const ended = new Promise<void>((resolve, reject) => {
    end = (error) => (error ? reject(error) : resolve());
  });
  let told: { written: boolean | null; setWritten: () => void } = { written: null, setWritten: () => undefined };
  const done = passages.enter(async ({ before, setWritten }) => {
    told = { written: null, setWritten };
    void before.written.then((written) => {
      told.written = written;
    });
    await ended;
  });
  done.catch(() => undefined);
  return {
    done,
    end,
    write: () => told.setWritten(),
    /** Whether the one before is written; null: not known yet. */
    isBeforeWritten: () => told.written,
  };
}

test('a batch is told when the one before is written, though it is not done', async () => {
  const passages = new Passages();
  const [first, second] = [openBatch(passages), openBatch(passages)];
  await setImmediate();
  expect([first.isBeforeWritten(), second.isBeforeWritten()]).toEqual([true, null]);
  first.write();
  await setImmediate();
  expect(second.isBeforeWritten()).toBe(true);
});

test('one that failed is not written', async () => {
  const passages = new Passages();
  const [first, second] = [openBatch(passages), openBatch(passages)];
  first.end(new Error('EIO'));
  await setImmediate();
  expect(second.isBeforeWritten()).toBe(false);
});

test('a failure comes behind the end of all that were before', async () => {
  const passages = new Passages();
  const [first, second] = [openBatch(passages), openBatch(passages)];
  let isOver = false;
  second.done.catch(() => {
    isOver = true;
  });
  second.end(new Error('a bug'));
  await setImmediate();
  expect(isOver).toBe(false);
  first.end();
  await setImmediate();
  expect(isOver).toBe(true);
  await expect(passages.done).rejects.toThrow('a bug');
});
