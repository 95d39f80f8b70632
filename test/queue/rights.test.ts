import { expect, test } from 'vitest';
import { Rights, type RightsOptions } from '../../src/queue/rights.ts';
import type { Session } from '../../src/queue/session.ts';
import { WHOLE } from '../../src/queue/slots.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { acquireRights, createQueue, type Queue, SILENT } from './world.ts';

const SIGNAL = new AbortController().signal;

const optionsOf = (queue: Queue, more: Partial<RightsOptions> = {}): RightsOptions => ({
  open: queue.open,
  shard: WHOLE,
  journal: { id: '00000000-0000-0000-0000-000000000002', at: 'other:' },
  bringIn: async () => false,
  markProcessed: () => false,
  onWake: () => {},
  logger: SILENT,
  ...more,
});

/** Ends the connection that holds the locks, as a restart of the server would. */
const killHolder = ({ database }: Queue): Promise<unknown> =>
  database.query(`SELECT pg_terminate_backend(pid) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE locktype = 'advisory' AND datname = current_database() GROUP BY pid`);

test('a second process gets nothing until the first one gives back, then a higher epoch', async () => {
  const queue = await createQueue();
  const first = await acquireRights(queue);
  expect(await Rights.acquire(optionsOf(queue))).toBeNull();
  await first.release(true);
  const second = await acquireRights(queue, optionsOf(queue));
  expect(BigInt(second.epoch)).toBeGreaterThan(BigInt(first.epoch));
  expect(second.predecessors).toEqual([]);
  const [row] = await queue.database.query('SELECT revoked, clean FROM tailrace.writer WHERE epoch = $1', [
    first.epoch,
  ]);
  expect(row).toEqual({ revoked: true, clean: true });
});

test('who takes over learns of a predecessor that did not end in order', async () => {
  const queue = await createQueue();
  const first = await acquireRights(queue);
  await first.release(false);
  const second = await acquireRights(queue, optionsOf(queue));
  expect(second.predecessors).toMatchObject([{ epoch: first.epoch, journalAt: 'test:' }]);
});

test('a predecessor is told of until a successor has ended cleanly', async () => {
  const queue = await createQueue();
  const told: string[][] = [];
  const epochs: string[] = [];
  for (const clean of [false, false, true, false, true]) {
    const rights = await acquireRights(queue);
    told.push(rights.predecessors.map(({ epoch }) => epoch));
    epochs.push(rights.epoch);
    await rights.release(clean);
  }
  const [first = '', second = '', , fourth = ''] = epochs;
  expect(told).toEqual([[], [first], [first, second], [], [fourth]]);
});

test('a lost connection is in doubt at once, and held again under the same epoch', async () => {
  const queue = await createQueue();
  const rights = await acquireRights(queue);
  const { epoch } = rights;
  const before = await rights.session(SIGNAL);
  const heldWhenLost = new Promise((resolve) => {
    before.lost.addEventListener('abort', () => resolve(rights.held), { once: true });
  });
  await killHolder(queue);
  expect(await heldWhenLost).toBe(false);
  const after = await rights.session(SIGNAL);
  expect([after === before, rights.held, rights.epoch]).toEqual([false, true, epoch]);
  expect(await Rights.acquire(optionsOf(queue))).toBeNull();
});

test('a connection lost again and again, at any moment of coming back, comes back', async () => {
  const queue = await createQueue();
  const rights = await acquireRights(queue);
  for (let round = 0; round < 6; round += 1) {
    await killHolder(queue);
    // Also while it reconnects.
    await killHolder(queue);
  }
  await waitFor(() => rights.held);
  expect(await (await rights.session(SIGNAL)).query('SELECT 1')).toEqual([['1']]);
});

test('one who was replaced while it was away is told so and takes nothing back', async () => {
  const queue = await createQueue();
  let away: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    away = resolve;
  });
  let isGone = false;
  const open = async (): Promise<Session> => {
    if (isGone) await gate;
    return queue.open();
  };
  const rights = await acquireRights(queue, { open });
  isGone = true;
  await killHolder(queue);
  await waitFor(() => !rights.held);
  const other = await acquireRights(queue, optionsOf(queue));
  away();
  await waitFor(() => rights.revoked.aborted);
  await expect(rights.session(SIGNAL)).rejects.toMatchObject({ code: 'REVOKED', exitCode: 75 });
  expect([rights.held, other.held]).toEqual([false, true]);
});

test('given back while it reconnects, it keeps no connection and no lock', async () => {
  const queue = await createQueue();
  const sessions: Session[] = [];
  let reconnect: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    reconnect = resolve;
  });
  let isGone = false;
  const open = async (): Promise<Session> => {
    if (isGone) await gate;
    const session = await queue.open();
    sessions.push(session);
    return session;
  };
  const rights = await acquireRights(queue, { open });
  isGone = true;
  await killHolder(queue);
  await waitFor(() => !rights.held);
  const released = rights.release(false);
  reconnect();
  await released;
  expect(sessions.length).toBeGreaterThan(1);
  expect(sessions.filter(({ lost }) => !lost.aborted)).toEqual([]);
  await acquireRights(queue, optionsOf(queue));
});

test('another journal is recorded also when the connection breaks at that moment', async () => {
  const queue = await createQueue();
  const rights = await acquireRights(queue);
  const client = await queue.database.client();
  await client.query('BEGIN; LOCK TABLE tailrace.writer IN EXCLUSIVE MODE');
  const moved = rights.moveJournal({ id: '00000000-0000-0000-0000-000000000003', at: 'host:/new' }, SIGNAL);
  moved.catch(() => undefined);
  // Not asked in the transaction that holds the lock: what it sees of other sessions stays as it saw it first.
  await waitFor(async () => {
    const ended = await queue.database.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE datname = current_database() AND query LIKE 'UPDATE tailrace.writer SET journal%' AND wait_event_type = 'Lock'`);
    return ended.length === 1;
  });
  await client.query('COMMIT');
  await moved;
  await client.end();
  expect(rights.held).toBe(true);
  expect(await queue.database.query('SELECT journal_at FROM tailrace.writer')).toEqual([{ journal_at: 'host:/new' }]);
});

test('a journal that PostgreSQL does not take now is not waited for after the end', async () => {
  const queue = await createQueue();
  const rights = await acquireRights(queue);
  await queue.database.query('ALTER TABLE tailrace.writer RENAME COLUMN journal_at TO hidden');
  const stop = new AbortController();
  const moved = rights.moveJournal({ id: '00000000-0000-0000-0000-000000000003', at: 'host:/new' }, stop.signal);
  setTimeout(() => stop.abort(new Error('stopped')), 200);
  await expect(moved).rejects.toThrow('stopped');
});

test('a server that may not be written to is refused before anything is read', async () => {
  const queue = await createQueue();
  await queue.database.query(`ALTER DATABASE ${queue.database.name} SET default_transaction_read_only = on`);
  await expect(Rights.acquire(optionsOf(queue))).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', exitCode: 69 });
});

test('a back end that dies in the middle of a query is an error of the database, not of a statement', async () => {
  const queue = await createQueue();
  for (const ask of [
    (session: Session) => session.query('SELECT pg_sleep(30)'),
    (session: Session) => session.page('SELECT pg_sleep(30)', [], 10),
  ]) {
    const session = await queue.open();
    const asked = expect(ask(session)).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    await waitFor(async () => {
      const rows = await queue.database.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%'`,
      );
      return rows.length > 0;
    });
    await asked;
    await waitFor(() => session.lost.aborted);
  }
});
