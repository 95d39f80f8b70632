import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { watchForRotation } from '../../src/log-file/rotation.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { makeFolder } from './stage.ts';

async function watched(directory?: string) {
  const folder = directory ?? (await makeFolder());
  const path = join(folder, 'events.jsonl');
  const looks = { hint: 0, interval: 0 };
  const unwatch = watchForRotation(
    folder,
    () => path,
    (reason) => {
      looks[reason] += 1;
    },
  );
  onTestFinished(unwatch);
  return { folder, path, looks };
}

test('a move of the file is a hint, and so is a new one at its path', async () => {
  const { path, looks } = await watched();
  await writeFile(path, '');
  await waitFor(() => looks.hint > 0, { what: 'a hint at the creation' });
  const before = looks.hint;
  await rename(path, `${path}.1`);
  await waitFor(() => looks.hint > before, { what: 'a hint at the move' });
});

test('what happens to the files beside it, and our own writing, is none', async () => {
  const { folder, path, looks } = await watched();
  await writeFile(path, '');
  await waitFor(() => looks.hint > 0);
  const before = looks.hint;
  for (let at = 0; at < 20; at += 1) {
    await writeFile(path, `${at}\n`, { flag: 'a' });
    await writeFile(join(folder, `other.${at}`), 'x');
    await rename(join(folder, `other.${at}`), join(folder, `moved.${at}`));
  }
  // Whatever was reported by then was reported before this.
  const seen = looks.interval;
  await waitFor(() => looks.interval > seen + 1);
  expect(looks.hint).toBe(before);
});

test('a directory that comes later, or again, is watched', async () => {
  const { folder, path, looks } = await watched(join(await makeFolder(), 'later'));
  for (const times of ['first', 'second']) {
    const before = looks.hint;
    await waitFor(
      async () => {
        await rm(folder, { recursive: true, force: true });
        await mkdir(folder);
        const seen = looks.interval;
        await waitFor(() => looks.interval > seen);
        await writeFile(path, '');
        const next = looks.interval;
        await waitFor(() => looks.hint > before || looks.interval > next + 1);
        return looks.hint > before;
      },
      { timeoutMs: 10_000, what: `a hint in the ${times} directory` },
    );
  }
});
