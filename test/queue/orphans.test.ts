import { expect, test } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import { configOf, createQueue, Destinations, insert, startTenure } from './world.ts';

const bits = async ({ database }: Awaited<ReturnType<typeof createQueue>>): Promise<string[]> =>
  (await database.query(`SELECT kind::text, bit_count(ids)::int AS n FROM tailrace.ledger WHERE bit_count(ids) > 0`))
    .map(({ kind, n }) => `${kind} ${n}`)
    .sort();

test('what the ledger says of a row deleted by hand is cleared', async () => {
  const queue = await createQueue();
  await insert(queue, [1, 2, 3]);
  await startTenure(queue, { config: configOf({ routes: [{ to: 'left' }] }) });
  await waitFor(async () => (await bits(queue)).length === 2);
  await queue.database.query('DELETE FROM events WHERE id < 3');
  await waitFor(async () => (await bits(queue)).join() === 'L 1,l 1', { what: 'the bits of one event' });
});

test('a row that is given to another destination_id is forgotten, not deleted', async () => {
  const queue = await createQueue();
  await insert(queue, [1, 2, 3]);
  await startTenure(queue, { config: configOf({ routes: [{ to: 'left' }] }) });
  await waitFor(async () => (await bits(queue)).length === 2);
  await queue.database.query('UPDATE events SET destination_id = 2 WHERE id = 2');
  await waitFor(async () => (await bits(queue)).join() === 'L 2,l 2', { what: 'the bits of two events' });
  expect((await queue.database.query('SELECT id FROM events ORDER BY id')).map(({ id }) => id)).toEqual([
    '1',
    '2',
    '3',
  ]);
});

test('orphans in front do not keep a lane from what stands behind them', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  destinations.set('A', 'fails');
  const ids = Array.from({ length: 600 }, (_, at) => at + 1);
  await insert(queue, ids);
  const config = configOf({ routes: [{ to: 'A', retryMs: 50 }] });
  const tenure = await startTenure(queue, { config, destinations });
  await waitFor(() => tenure.inFlight.size < 100 && tenure.quiet);
  await tenure.stop();
  await queue.database.query('DELETE FROM events WHERE id <= 590');
  destinations.set('A', 'accepts');
  await startTenure(queue, { config, destinations });
  await waitFor(async () => (await queue.database.query('SELECT FROM events')).length === 0);
  await waitFor(async () => (await queue.database.query('SELECT FROM tailrace.pending')).length === 0);
  await waitFor(async () => (await bits(queue)).length === 0);
});
