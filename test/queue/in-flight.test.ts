import { expect, test } from 'vitest';
import { InFlight } from '../../src/queue/in-flight.ts';
import { admitNew, fetchRows } from '../../src/queue/rows.ts';
import { acquireRights, createQueue, insert } from './world.ts';

test('an event settled while a query was under way counts as seen by that query, and only by it', () => {
  const inFlight = new InFlight();
  inFlight.add('7');
  const before = inFlight.ask();
  inFlight.release('7');
  const after = inFlight.ask();
  expect([before.seen('7'), after.seen('7')]).toEqual([true, false]);
});

test('a row that an older snapshot still shows is not taken up after it was settled', async () => {
  const queue = await createQueue();
  await insert(queue, [6, 7]);
  const { table } = await acquireRights(queue);
  const inFlight = new InFlight();
  inFlight.add('7');
  const ask = inFlight.ask();
  const events = await fetchRows(queue.session, table, ['6', '7']);
  // The answer is here; now its settling commits, and nothing in PostgreSQL tells of it any more.
  await queue.database.query('DELETE FROM events WHERE id = 7');
  inFlight.release('7');
  const admitted = await admitNew(queue.session, events, ask, inFlight, true);
  expect(admitted.map(({ event }) => event.id)).toEqual(['6']);
});
