import { expect, test } from 'vitest';
import { codeOf } from '../../src/lib/errors.ts';
import { finishEpochs } from '../../src/queue/logged-before.ts';
import { Rights, type RightsOptions } from '../../src/queue/rights.ts';
import type { Session } from '../../src/queue/session.ts';
import { WHOLE } from '../../src/queue/slots.ts';
import { readWriters } from '../../src/queue/writers.ts';
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

const shardOptions = (index: number, of: number): Partial<RightsOptions> => ({
  shard: { index, of },
  journal: { id: `00000000-0000-0000-000${of}-00000000000${index}`, at: `host:/${index}-${of}` },
});
const half = (index: number): Partial<RightsOptions> => shardOptions(index, 2);

test('two shards are writers side by side, each with an epoch of its own and a standby of its own', async () => {
  const queue = await createQueue();
  const [first, second] = [await acquireRights(queue, half(0)), await acquireRights(queue, half(1))];
  expect([first.held, second.held, first.epoch === second.epoch]).toEqual([true, true, false]);
  expect(await Rights.acquire(optionsOf(queue, half(0)))).toBeNull();
  expect(await queue.database.query('SELECT FROM tailrace.writer WHERE revoked')).toEqual([]);
  await first.release(true);
  expect((await acquireRights(queue, optionsOf(queue, half(0)))).predecessors).toEqual([]);
});

test('a predecessor is told of also when its neighbour stopped in order after it', async () => {
  const queue = await createQueue();
  const first = await acquireRights(queue, half(0));
  await first.release(false);
  await (await acquireRights(queue, half(1))).release(true);
  const again = await acquireRights(queue, half(0));
  expect(again.predecessors.map(({ epoch }) => epoch)).toEqual([first.epoch]);
  await again.release(true);
  expect((await acquireRights(queue)).predecessors).toEqual([]);
});

test('what another layout left is brought in as a whole before an epoch begins, and only once', async () => {
  const queue = await createQueue();
  const epochs: string[] = [];
  for (const index of [0, 1]) {
    const rights = await acquireRights(queue, half(index));
    epochs.push(rights.epoch);
    await rights.release(false);
  }
  const told: string[][] = [];
  // A third has slots of both halves.
  const third = (answer: boolean): Partial<RightsOptions> => ({
    ...shardOptions(1, 3),
    bringIn: async (session, table, left) => {
      told.push(left.map(({ epoch }) => epoch));
      // Of all shards, and locked.
      expect(table.ours).not.toMatch(/& 63/);
      expect(await Rights.acquire(optionsOf(queue, half(0)))).toBeNull();
      if (answer) await finishEpochs(session, table, epochs, []);
      return answer;
    },
  });
  expect(await Rights.acquire(optionsOf(queue, third(false)))).toBeNull();
  const rights = await acquireRights(queue, third(true));
  expect(told).toEqual([epochs, epochs]);
  expect(rights.predecessors).toEqual([]);
  const sibling = await acquireRights(queue, { ...third(true), ...shardOptions(0, 3) });
  expect([told.length, sibling.predecessors]).toEqual([2, []]);
});

test('what more shards left is brought in too: their log files may be those of others now', async () => {
  const queue = await createQueue();
  const epochs: string[] = [];
  for (const index of [0, 2]) {
    const rights = await acquireRights(queue, shardOptions(index, 4));
    epochs.push(rights.epoch);
    await rights.release(false);
  }
  const told: string[][] = [];
  const first = await acquireRights(queue, {
    ...half(0),
    bringIn: async (session, table, left) => {
      told.push(left.map(({ epoch }) => epoch));
      await finishEpochs(session, table, epochs, []);
      return true;
    },
  });
  expect([told, first.predecessors]).toEqual([[epochs], []]);
});

test('a process that does not fit those that run brings nothing in', async () => {
  const queue = await createQueue();
  await acquireRights(queue, half(0));
  const second = await acquireRights(queue, half(1));
  await second.release(false);
  let isAsked = false;
  const bringIn = async (): Promise<boolean> => {
    isAsked = true;
    return true;
  };
  const options = optionsOf(queue, { ...shardOptions(1, 4), bringIn });
  await expect(Rights.acquire(options)).rejects.toMatchObject({ code: 'SHARD_LAYOUT' });
  expect(isAsked).toBe(false);
});

test('who only tries to begin is not taken for one who runs', async () => {
  const queue = await createQueue();
  const first = await acquireRights(queue, half(0));
  await first.release(false);
  const client = await queue.database.client();
  // Just the slots of the one who died.
  await client.query(
    `SELECT pg_advisory_lock(('events'::regclass::int8 - 2147483648)::int4, s) FROM generate_series(0, 62, 2) s`,
  );
  const [writer] = await readWriters(queue.session, first.table);
  expect(writer).toMatchObject({ shard: '0/2', state: 'gone' });
  const other = await acquireRights(queue, shardOptions(3, 4));
  expect(other.held).toBe(true);
  await client.end();
});

test('of two layouts that begin at once one comes in', async () => {
  const queue = await createQueue();
  const shards = [half(0), shardOptions(1, 4)];
  for (let round = 0; round < 5; round += 1) {
    const results = await Promise.allSettled(shards.map((shard) => Rights.acquire(optionsOf(queue, shard))));
    const rights = results.flatMap((each) => (each.status === 'fulfilled' && each.value ? [each.value] : []));
    const codes = results.flatMap((each) => (each.status === 'rejected' ? [codeOf(each.reason)] : []));
    expect([rights.length, codes]).toEqual([1, ['SHARD_LAYOUT']]);
    await rights[0]?.release(true);
  }
});

test('a shard is refused the log file of another one that runs, whatever it was told of the lock', async () => {
  const queue = await createQueue();
  await acquireRights(queue, half(0));
  await expect(
    Rights.acquire(optionsOf(queue, { ...half(0), ...{ shard: { index: 1, of: 2 } } })),
  ).rejects.toMatchObject({
    code: 'SHARD_LOG_FILE',
  });
});

test('old epochs go, but none that somebody still has to finish', async () => {
  const queue = await createQueue();
  const first = await acquireRights(queue, half(0));
  await first.release(false);
  for (let starts = 0; starts < 3; starts += 1) await (await acquireRights(queue, half(1))).release(true);
  await queue.database.query(`SELECT setval(pg_get_serial_sequence('tailrace.writer', 'epoch'), 1000)`);
  await (await acquireRights(queue, half(1))).release(true);
  const left = (): Promise<unknown> =>
    queue.database.query('SELECT count(*)::int AS n FROM tailrace.writer WHERE epoch < 1000');
  expect(await left()).toEqual([{ n: 4 }]);
  const again = await acquireRights(queue, half(0));
  expect(again.predecessors.map(({ epoch }) => epoch)).toEqual([first.epoch]);
  await again.release(true);
  await queue.database.query(`SELECT setval(pg_get_serial_sequence('tailrace.writer', 'epoch'), 2000)`);
  await (await acquireRights(queue, half(0))).release(true);
  expect(await left()).toEqual([{ n: 0 }]);
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

test('one who was replaced in the very moment of coming back notices it', async () => {
  const queue = await createQueue();
  let isGone = false;
  let replaced = 0;
  const open = async (): Promise<Session> => {
    const session = await queue.open();
    const query = session.query.bind(session);
    return Object.assign(session, {
      query: async (...args: Parameters<typeof query>) => {
        if (isGone && replaced === 0 && args[0].includes('pg_try_advisory_lock')) {
          replaced += 1;
          await (await acquireRights(queue, optionsOf(queue))).release(true);
        }
        return query(...args);
      },
    });
  };
  const rights = await acquireRights(queue, { open });
  isGone = true;
  await killHolder(queue);
  await waitFor(() => rights.revoked.aborted);
  await expect(rights.session(SIGNAL)).rejects.toMatchObject({ code: 'REVOKED' });
  expect(replaced).toBe(1);
});

test('one that finds another layout when it comes back leaves the queue to that', async () => {
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
  const rights = await acquireRights(queue, { ...half(0), open });
  isGone = true;
  await killHolder(queue);
  await waitFor(() => !rights.held);
  // Of none of its slots, so that its epoch is not revoked.
  const other = await acquireRights(queue, shardOptions(1, 4));
  away();
  await waitFor(() => rights.revoked.aborted);
  await expect(rights.session(SIGNAL)).rejects.toMatchObject({ code: 'SHARD_LAYOUT', exitCode: 75 });
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
        // Waited for: it would be found once more for the second session.
        `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'SELECT pg_sleep%'`,
      );
      return rows.length > 0;
    });
    await asked;
    await waitFor(() => session.lost.aborted);
  }
});
