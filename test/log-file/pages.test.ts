// The lines of a batch stay what they are while the next ones are rendered and its page is used for others.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createRowShape } from '../../src/event/event.ts';
import type { Batch } from '../../src/flow/batch.ts';
import { endPage } from '../../src/flow/page-buffers.ts';
import { eventsInPage, spoilFreePages } from '../flow/pages.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createFailingCalls, errno } from './failing-calls.ts';
import { logFileConfig, makeBatch, makeFolder, range, startStage } from './stage.ts';

const SHAPE = createRowShape([
  { name: 'id', kind: 'integer' },
  { name: 'event_type', kind: 'text' },
  { name: 'email', kind: 'text' },
]);

test('lines that could not be synced are written again as they were, though the next ones are rendered by then', async () => {
  const folder = await makeFolder();
  const file = logFileConfig(join(folder, 'events.jsonl'));
  const fs = createFailingCalls();
  let syncs = 0;
  fs.before = async (call) => {
    if (call !== 'datasync') return;
    syncs += 1;
    // While the next batch is taken in.
    await sleep(5);
    if (syncs % 2 === 1) throw errno('EIO');
  };
  const { stage, passed } = startStage(file, { fs });
  stage.on('data', ({ events }: Batch) => {
    endPage(events);
    spoilFreePages();
  });
  const batches = range(0, 6).map((page) =>
    makeBatch(
      file,
      eventsInPage(
        SHAPE,
        range(page * 40 + 1, 40).map((id) => [String(id), 'engine_open', `user${id}@example.com`]),
      ),
    ),
  );
  for (const batch of batches) stage.write(batch);
  await waitFor(() => passed.length === batches.length);
  const lines = (await readFile(file.filename, 'utf8')).trimEnd().split('\n');
  const said = lines.map((line) => JSON.parse(line)).map(({ event_id, email }) => `${event_id} ${email}`);
  expect(said).toEqual(range(1, 240).map((id) => `${id} user${id}@example.com`));
  expect(syncs).toBeGreaterThan(6);
});
