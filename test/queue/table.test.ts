import { expect, test } from 'vitest';
import { readQueueTable } from '../../src/queue/table.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { configOf, createForeignQueue, createQueue, Destinations, insert, startTenure } from './world.ts';

test('a foreign table in another order, with other columns and without destination_id, is read as it is', async () => {
  const queue = await createForeignQueue(`CREATE TABLE events (
    tags text[], amount numeric, extra jsonb, "odd ""name" text, event_type text, id bigint PRIMARY KEY)`);
  await queue.database.query(
    `INSERT INTO events VALUES ('{a,"b c"}', 12345678901234567.1230, '{"k": 1}', 'v', 'engine_open', 7)`,
  );
  const { shape, ours } = await readQueueTable(queue.session, 'events', false);
  expect(ours).toBe('');
  expect(shape.columns).toEqual([
    { name: 'tags', kind: 'text' },
    { name: 'amount', kind: 'text' },
    { name: 'extra', kind: 'text' },
    { name: 'odd "name', kind: 'text' },
    { name: 'event_type', kind: 'text' },
    { name: 'id', kind: 'integer' },
  ]);
  const lines: string[] = [];
  const destinations = new Destinations();
  await startTenure(queue, { config: configOf({ routes: [{ to: 'A' }] }), lines, destinations });
  await waitFor(async () => (await queue.database.query('SELECT FROM events')).length === 0);
  expect([lines, destinations.accepted]).toEqual([['7'], ['A 7']]);
});

test('ids of type integer are as good as bigint ones', async () => {
  const queue = await createForeignQueue('CREATE TABLE events (id integer PRIMARY KEY, event_type text)');
  await queue.database.query(`INSERT INTO events VALUES (-2147483648, 'scomp'), (5, 'scomp'), (2147483647, 'scomp')`);
  const lines: string[] = [];
  const tenure = await startTenure(queue, { config: configOf({ routes: [{ to: 'left' }] }), lines, once: true });
  expect(await tenure.ended).toBeNull();
  expect(lines).toEqual(['-2147483648', '5', '2147483647']);
});

test.each([
  ['without id', 'CREATE TABLE events (event_type text)', /no column id;/],
  ['without event_type', 'CREATE TABLE events (id bigint)', /no column event_type;/],
  ['without either', 'CREATE TABLE events (x int)', /no column id and no column event_type;/],
])('a table %s is refused with what is missing', async (_, sql, message) => {
  const queue = await createQueue();
  await queue.database.query('DROP TABLE events CASCADE');
  await queue.database.query(sql);
  await expect(readQueueTable(queue.session, 'events', false)).rejects.toMatchObject({
    code: 'QUEUE_TABLE_UNUSABLE',
    message: expect.stringMatching(message),
  });
});

test('no table is refused with what to do', async () => {
  const queue = await createQueue();
  await expect(readQueueTable(queue.session, 'nothing', false)).rejects.toMatchObject({ code: 'QUEUE_TABLE_MISSING' });
});

test('mark_processed needs the column and its index, and says how to make them', async () => {
  const queue = await createForeignQueue('CREATE TABLE events (id bigint PRIMARY KEY, event_type text)');
  const read = () => readQueueTable(queue.session, 'events', true);
  await expect(read()).rejects.toThrow(/ALTER TABLE public\.events ADD COLUMN processed boolean; CREATE INDEX/);
  await queue.database.query('ALTER TABLE events ADD COLUMN processed boolean');
  await expect(read()).rejects.toThrow(/lacks the index for it; run: CREATE INDEX CONCURRENTLY/);
  await queue.database.query('CREATE INDEX ON events (id) WHERE processed IS NOT TRUE');
  expect((await read()).ours).toBe(' AND processed IS NOT TRUE');
});

test('a column that changes its type, comes or goes while events are due stops nothing', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  destinations.set('A', 'fails');
  const tenure = await startTenure(queue, { config: configOf({ routes: [{ to: 'A' }] }), destinations });
  await insert(queue, [1, 2, 3]);
  const tried = async (attempts: number): Promise<boolean> => {
    const rows = await queue.database.query('SELECT FROM tailrace.pending WHERE attempts >= $1', [attempts]);
    return rows.length === 3;
  };
  // Retries are fetched by a prepared statement: make it, then change what it returns.
  await waitFor(() => tried(3));
  await queue.database.query('ALTER TABLE events ALTER COLUMN event_type TYPE text');
  const [before] = await queue.database.query('SELECT max(attempts) AS most FROM tailrace.pending');
  await waitFor(() => tried(before?.most + 2), { what: 'attempts after the change of a type' });
  await queue.database.query('ALTER TABLE events DROP COLUMN email');
  await queue.database.query('ALTER TABLE events ADD COLUMN email integer');
  destinations.set('A', 'accepts');
  await waitFor(async () => (await queue.database.query('SELECT FROM events')).length === 0);
  expect(tenure.inFlight.size).toBe(0);
});
