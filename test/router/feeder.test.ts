import { expect, onTestFinished, test, vi } from 'vitest';
import { Session } from '../../src/queue/session.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { configOf, createQueue, Destinations, insert, startTenure } from '../queue/world.ts';

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, at) => from + at);

/** Waits until so many events are settled as waiting. */
async function waitUntilWaiting({ database }: Awaited<ReturnType<typeof createQueue>>, events: number): Promise<void> {
  await waitFor(async () => {
    const [row] = await database.query(`SELECT sum(bit_count(ids))::int AS n FROM tailrace.ledger WHERE kind = 'w'`);
    return row?.n === events;
  });
}

test('2,000 due events and new ones reach one destination side by side', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  const config = configOf({ routes: [{ to: 'A', enabled: false }] });
  const before = await startTenure(queue, { config });
  await insert(queue, range(1, 2_000));
  await waitUntilWaiting(queue, 2_000);
  await before.stop();
  // Both are there from the beginning: how quickly they are inserted shall not decide.
  await insert(queue, range(10_000, 1_000));
  await startTenure(queue, { config: configOf({ routes: [{ to: 'A', concurrency: 2 }] }), destinations });
  await waitFor(() => destinations.accepted.length >= 3_000);
  const isNew = destinations.accepted.map((each) => Number(each.slice(2)) >= 10_000);
  // Neither kind stands behind the other: in the first half of all deliveries both have their share.
  const newOnes = isNew.slice(0, 1_500).filter(Boolean).length;
  expect(newOnes).toBeGreaterThan(100);
  expect(1_500 - newOnes).toBeGreaterThan(300);
  await waitFor(async () => (await queue.database.query('SELECT FROM events')).length === 0);
  expect(new Set(destinations.accepted).size).toBe(3_000);
});

test('while PostgreSQL settles nothing, what waits is not delivered on and on', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  const before = await startTenure(queue, { config: configOf({ routes: [{ to: 'A', enabled: false }] }) });
  await insert(queue, range(1, 8_000));
  await waitUntilWaiting(queue, 8_000);
  await before.stop();
  // As `CREATE INDEX` does: it may be read, and nothing may be deleted.
  const locker = await queue.database.client();
  await locker.query('BEGIN; LOCK TABLE events IN SHARE MODE');
  await startTenure(queue, { config: configOf({ routes: [{ to: 'A' }] }), destinations });
  let accepted = -1;
  await waitFor(
    () => {
      const stands = destinations.accepted.length > 0 && destinations.accepted.length === accepted;
      accepted = destinations.accepted.length;
      return stands;
    },
    { intervalMs: 1_000, timeoutMs: 30_000, what: 'the deliveries to stop' },
  );
  expect(accepted).toBeLessThan(4_000);
  await locker.query('ROLLBACK');
  await waitFor(async () => (await queue.database.query('SELECT FROM events')).length === 0, { timeoutMs: 30_000 });
  expect(new Set(destinations.accepted).size).toBe(8_000);
});

test('a million-fold backlog of a dead destination does not keep a healthy one from its retries', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  for (const key of ['dead', 'healthy']) destinations.set(key, 'fails');
  const config = configOf({ routes: [{ types: ['scomp'], to: 'dead' }, { to: 'healthy' }] });
  await insert(queue, range(1, 3_000));
  await queue.database.query(`UPDATE events SET event_type = 'scomp'`);
  await insert(queue, range(5_001, 20));
  await startTenure(queue, { config, destinations });
  await waitFor(
    async () => (await queue.database.query('SELECT FROM tailrace.pending WHERE event_id > 5000')).length === 20,
  );
  destinations.set('healthy', 'accepts');
  await waitFor(() => destinations.accepted.length === 20);
});

test('two dozen destinations with many requests each bring no warning of Node', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', onWarning);
  onTestFinished(() => void process.off('warning', onWarning));
  const keys = Array.from({ length: 24 }, (_, at) => `D${at}`);
  for (const key of keys) destinations.set(key, 'hangs');
  const routes = keys.map((key) => ({ types: [key.toLowerCase()], to: key, concurrency: 40 }));
  await startTenure(queue, { config: configOf({ routes: [...routes, { to: 'left' }] }), destinations });
  for (const [at, key] of keys.entries()) await insert(queue, range(at * 100, 50), key);
  await waitUntilWaiting(queue, 1_200);
  for (const key of keys) destinations.set(key, 'accepts');
  await waitFor(() => destinations.accepted.length === 1_200);
  expect(warnings).toEqual([]);
});

test('lanes for which nothing is due ask for nothing: one statement looks for all of them', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  const routes = Array.from({ length: 24 }, (_, at) => ({ types: [`d${at}`], to: `D${at}` }));
  await startTenure(queue, { config: configOf({ routes: [...routes, { to: 'left' }] }), destinations });
  await insert(queue, [1], 'd7');
  await waitFor(() => destinations.accepted.length === 1);
  const asked = new Map<string, number>();
  const original = Session.prototype.query;
  const spy = vi.spyOn(Session.prototype, 'query').mockImplementation(function (this: Session, sql, values, name) {
    asked.set(name ?? '', (asked.get(name ?? '') ?? 0) + 1);
    return original.call(this, sql, values, name);
  });
  onTestFinished(() => spy.mockRestore());
  const began = performance.now();
  await waitFor(() => (asked.get('controls') ?? 0) >= 5, { timeoutMs: 60_000 });
  // Each asks every ten seconds all the same.
  const most = routes.length * (1 + (performance.now() - began) / 10_000);
  expect(asked.get('due_retries') ?? 0).toBeLessThanOrEqual(most);
  expect(asked.get('due_waiting') ?? 0).toBeLessThanOrEqual(most);
});

test('what becomes due behind our back is delivered though the lane sleeps', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  destinations.set('A', 'fails');
  await startTenure(queue, { config: configOf({ routes: [{ to: 'A', retryMs: 3_600_000 }] }), destinations });
  await insert(queue, [1]);
  await waitFor(async () => (await queue.database.query('SELECT FROM tailrace.pending')).length === 1);
  destinations.set('A', 'accepts');
  await queue.database.query('UPDATE tailrace.pending SET next_attempt_at = now()');
  await waitFor(() => destinations.accepted.length === 1);
});
