import { expect, test } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import { configOf, createQueue, Destinations, insert, startTenure } from './world.ts';
test('smoke', async () => {
  const queue = await createQueue();
  await insert(queue, Array.from({ length: 500 }, (_, i) => i + 1));
  const destinations = new Destinations();
  const lines: string[] = [];
  const t = await startTenure(queue, { config: configOf({ routes: [{ to: 'A' }] }), destinations, lines });
  await waitFor(async () => (await queue.database.query('SELECT 1 FROM events')).length === 0);
  expect(lines.length).toBe(500);
  await t.stop();
  console.log(await queue.database.query("select kind, bit_count(ids) from tailrace.ledger"), await t.ended);
});
