// The judge itself: what it takes for late, a second try may mend; an event that is lost for good must never pass so.

import { expect, test } from 'vitest';
import { createQueue, createScene, insertSmallWorkload } from './scene.ts';
import { restart } from './sweep.ts';

test('an event whose row went too early is a fault at once, though the queue never settles', async () => {
  const database = await createQueue();
  const committed = await insertSmallWorkload(database);
  await using scene = await createScene({ database, committed });
  const idOf = (fate: string) => [...committed].find(([, known]) => known.fate === fate)?.[0] ?? '';
  const [left, delivered] = [idOf('left'), idOf('delivered')];
  await database.query('DELETE FROM events WHERE id = ANY($1::int8[])', [[left, delivered]]);
  const faults = (await restart(scene, { timeoutMs: 3_000 })).join('\n');
  expect(faults).toContain('gone from the queue and lost from the log (');
  expect(faults).toContain(`gone from the queue and not received (${delivered})`);
  expect(faults).toContain(`gone from the queue and not left (${left}: nothing)`);
});
