// A changed log file soon after a crash: rows that the crash left have their lines in the old file, and come under the
// new configuration (QUEUE A7.7).

import { mkdir } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { stateDirectory } from '../../../src/log-file/local-lock.ts';
import { endStage, logFileConfig, makeBatch, readIds, startStage } from '../stage.ts';
import { crash, JOURNAL_ID, journalOptions, restart, type Scene, shortEvent } from './scene.ts';

const LEFT = [1, 2, 3];

/** Starts with one log file and gets the rows under another one. */
async function switchAfterCrash(): Promise<{ readonly old: Scene; readonly next: Scene }> {
  const old = await crash([LEFT]);
  const path = `${old.path}-other`;
  const next = { ...old, path, file: logFileConfig(path), directory: stateDirectory(path) };
  await mkdir(next.directory);
  const running = startStage(old.file, {
    beforeSwitch: (_from, _to, takeOver) => takeOver(),
    journal: journalOptions(old, LEFT, {
      of: (file) => ({ directory: stateDirectory(file.filename), id: JOURNAL_ID }),
    }),
  });
  const events = [3, 4].map((id) => shortEvent(id));
  await running.pass(makeBatch(old.file, [shortEvent(1)]));
  await running.pass(makeBatch(next.file, events));
  await endStage(running);
  return { old, next };
}

test('what stands in the old file is not logged in the new one', async () => {
  const { old, next } = await switchAfterCrash();
  expect(await readIds(old.path)).toEqual(['1', '2', '3']);
  expect(await readIds(next.path)).toEqual(['4']);
});

test('nor after one more crash, when only the new journal is looked at', async () => {
  const { old, next } = await switchAfterCrash();
  const { alarms } = await restart(next, { queue: [...LEFT, 4, 5] });
  expect(alarms).toEqual([]);
  expect(await readIds(old.path)).toEqual(['1', '2', '3']);
  expect(await readIds(next.path)).toEqual(['4', '5']);
});
