import { expect, test } from 'vitest';
import { Due } from '../../src/queue/due.ts';
import { InFlight } from '../../src/queue/in-flight.ts';
import { enforce } from '../../src/queue/regime.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { acquireRights, configOf, createQueue, Destinations, insert, type Queue, startTenure } from './world.ts';

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, at) => from + at);

const countBits = async ({ database }: Queue, kind: string, generation: number): Promise<number> => {
  const [row] = await database.query(
    `SELECT coalesce(sum(bit_count(ids)), 0)::int AS n FROM tailrace.ledger WHERE kind::text = $1 AND generation = $2`,
    [kind, generation],
  );
  return row?.n;
};

test('what an older configuration left is taken up again; all of it in flight is not the same as none', async () => {
  const queue = await createQueue();
  const config = configOf({ routes: [{ to: 'left' }] });
  const tenure = await startTenure(queue, { config });
  await insert(queue, range(1, 3));
  await waitFor(async () => (await countBits(queue, 'l', 1)) === 3);
  await tenure.stop();
  const rights = await acquireRights(queue);
  const next = configOf({ routes: [{ types: ['engine_open'], to: 'dropped' }, { to: 'left' }] });
  const regime = await enforce(queue.session, next, rights.epoch);
  const inFlight = new InFlight();
  const { signal } = new AbortController();
  const due = new Due({ rights, inFlight, takeShared: () => null, settle: () => {}, dueBefore: null, signal });
  const take = async () => (await due.takeOlder(regime, 1_000_000))?.map(({ event }) => event.id);
  expect(await take()).toEqual(['1', '2', '3']);
  // Settling them may take a while: asked again at once, or ten million would be a few thousand in each pause.
  expect(await take()).toEqual([]);
  await queue.database.query(`UPDATE tailrace.ledger SET generation = 2 WHERE kind = 'l'`);
  expect(await take()).toBeUndefined();
});

test('shards keep `max_per_second` together', async () => {
  const queue = await createQueue();
  const rights = await acquireRights(queue);
  const config = configOf({ routes: [{ types: ['engine_open'], to: 'A' }, { to: 'left' }] });
  const [first, last] = config.routes;
  if (!first || !last) throw new Error('no routes');
  const limited = { ...config, routes: [{ ...first, destination: { ...first.destination, maxPerSecond: 10 } }, last] };
  for (const [of, perSecond] of [
    [1, 10],
    [4, 2.5],
  ] as const) {
    const { routes } = await enforce(queue.session, limited, rights.epoch, { index: 0, of });
    expect(routes.map(({ destination }) => destination)).toMatchObject([
      { maxPerSecond: perSecond },
      { type: 'leave_in_queue' },
    ]);
  }
});

test('10,000 events left are decided anew without another line', async () => {
  const queue = await createQueue();
  await queue.database.query(
    `INSERT INTO events (id, event_type) SELECT id, 'scomp' FROM generate_series(1, 10000) id`,
  );
  const lines: string[] = [];
  const tenure = await startTenure(queue, { config: configOf({ routes: [{ to: 'left' }] }), lines });
  await waitFor(async () => (await countBits(queue, 'l', 1)) === 10_000);
  await tenure.enforce(configOf({ routes: [{ types: ['engine_open'], to: 'dropped' }, { to: 'left' }] }));
  await waitFor(async () => (await countBits(queue, 'l', 2)) === 10_000);
  expect(await countBits(queue, 'l', 1)).toBe(0);
  expect(lines).toHaveLength(10_000);
});

test('events of a destination that is gone are given to the one that takes its place, without another line', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  destinations.set('A', 'hangs');
  const lines: string[] = [];
  const tenure = await startTenure(queue, { config: configOf({ routes: [{ to: 'A' }] }), destinations, lines });
  await insert(queue, range(1, 300));
  await waitFor(async () => (await countBits(queue, 'w', 1)) === 300, { what: 'all to be handed off or refused' });
  await tenure.enforce(configOf({ routes: [{ to: 'B' }] }));
  await waitFor(async () => (await queue.database.query('SELECT FROM events')).length <= 10, {
    what: 'B to take over',
  });
  // What hangs at A is A's until it answers.
  destinations.set('A', 'fails');
  await waitFor(async () => (await queue.database.query('SELECT FROM events')).length === 0);
  expect(new Set(destinations.accepted.map((each) => each.split(' ')[0]))).toEqual(new Set(['B']));
  expect(lines).toHaveLength(300);
});

test('a destination that is enabled again gets what waits, though nothing new arrives', async () => {
  const queue = await createQueue();
  const tenure = await startTenure(queue, { config: configOf({ routes: [{ to: 'A', enabled: false }] }) });
  await insert(queue, range(1, 50));
  await waitFor(async () => (await countBits(queue, 'w', 1)) === 50);
  await tenure.enforce(configOf({ routes: [{ to: 'A' }] }));
  await waitFor(async () => (await queue.database.query('SELECT FROM events')).length === 0);
});

test('the same routes are the same generation, other ones a new one', async () => {
  const queue = await createQueue();
  const tenure = await startTenure(queue, { config: configOf({ routes: [{ to: 'A' }] }) });
  const generations = [tenure.regime.generation];
  for (const [to, concurrency] of [
    ['A', 3],
    ['B', 3],
    ['A', 3],
  ] as const) {
    await tenure.enforce(configOf({ routes: [{ to, concurrency }] }));
    generations.push(tenure.regime.generation);
  }
  expect(generations).toEqual([1, 1, 2, 3]);
  const rows = await queue.database.query('SELECT key FROM tailrace.destination ORDER BY destination_id');
  expect(rows.map(({ key }) => key)).toEqual(['A', 'B']);
});

test('an event settled without a log file gets its line, and only that, when one is switched on', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  destinations.set('A', 'hangs');
  const lines: string[] = [];
  const routes = [
    { types: ['engine_open'], to: 'left' },
    { to: 'A', concurrency: 1 },
  ];
  const tenure = await startTenure(queue, { config: configOf({ routes, log: false }), destinations, lines });
  await insert(queue, range(1, 20));
  await waitFor(async () => (await countBits(queue, 'S', 0)) === 20);
  await tenure.enforce(configOf({ routes }));
  await waitFor(async () => (await countBits(queue, 'L', 0)) === 20);
  expect([await countBits(queue, 'S', 0), await countBits(queue, 'l', 1)]).toEqual([0, 20]);
  expect(lines.map(Number).sort((a, b) => a - b)).toEqual(range(1, 20));
});

test('marked events stay done after a change back to delete, and are never read again', async () => {
  const queue = await createQueue();
  const lines: string[] = [];
  const words = { routes: [{ to: 'A' }] };
  const tenure = await startTenure(queue, { config: configOf(words), lines });
  const marked = async (): Promise<number> => (await queue.database.query('SELECT FROM events WHERE processed')).length;
  await tenure.enforce(configOf({ ...words, onDelivered: 'mark_processed' }));
  await insert(queue, range(1, 100));
  await waitFor(async () => (await marked()) === 100);
  await tenure.enforce(configOf(words));
  await insert(queue, [101]);
  await waitFor(() => lines.length > 100);
  // Long enough for the sweep to have looked.
  await insert(queue, [99_999]);
  await insert(queue, [102]);
  await waitFor(() => lines.includes('102') && lines.includes('99999'));
  await tenure.stop();
  const again = await startTenure(queue, { config: configOf(words), lines, once: true });
  expect(await again.ended).toBeNull();
  expect(lines).toHaveLength(103);
  expect(await marked()).toBe(100);
});
