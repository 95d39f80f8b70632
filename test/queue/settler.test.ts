import { expect, onTestFinished, test } from 'vitest';
import type { Settled, Settlement } from '../../src/flow/settlement.ts';
import { FRESH, LOGGED, type Standing } from '../../src/flow/standing.ts';
import { InFlight } from '../../src/queue/in-flight.ts';
import { Session } from '../../src/queue/session.ts';
import { Settler, type SettlerOptions } from '../../src/queue/settler.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createCommitSwallower } from './proxy.ts';
import { acquireRights, createQueue, insert, type Queue, SILENT } from './world.ts';

async function startSettler(queue: Queue, more: Partial<SettlerOptions> = {}) {
  const rights = await acquireRights(queue);
  const inFlight = new InFlight();
  const settled: string[] = [];
  const settler = new Settler({
    epoch: rights.epoch,
    table: () => rights.table,
    open: queue.open,
    inFlight,
    onSettled: (items) => settled.push(...items.map(({ id, outcome }) => `${id} ${outcome}`)),
    patienceMs: null,
    logger: SILENT,
    signal: new AbortController().signal,
    ...more,
  });
  settler.on('error', () => {});
  onTestFinished(() => void settler.destroy());
  const settle = (...items: Settled[]): Promise<void> => write(settler, { onDelivered: 'delete', items });
  return { rights, settler, settle, settled, inFlight };
}

const write = (settler: Settler, settlement: Settlement): Promise<void> =>
  new Promise((resolve, reject) => settler.write(settlement, (error) => (error ? reject(error) : resolve())));

const item = (id: number, from: Standing, to: Standing | null, more: Partial<Settled> = {}): Settled => ({
  id: String(id),
  from,
  to,
  outcome: to === null ? 'delivered' : 'waiting',
  inFlight: false,
  ...more,
});

const WAITING: Standing = { ...LOGGED, waiting: [{ destinationId: 1, generation: 1 }] };
const failedWith = (error: string): Standing => ({
  ...LOGGED,
  failed: [{ destinationId: 1, generation: 1, attempts: 1, waitMs: 0, parked: false, error }],
});

const idsOf = async ({ database }: Queue): Promise<string> =>
  (await database.query('SELECT id FROM events ORDER BY id')).map(({ id }) => id).join(' ');
const bitsOf = async ({ database }: Queue): Promise<string[]> =>
  (
    await database.query(
      `SELECT kind::text AS k, bit_count(ids)::int AS n FROM tailrace.ledger WHERE bit_count(ids) > 0 ORDER BY 1`,
    )
  ).map(({ k, n }) => `${k} ${n}`);

test('new events that are gone are deleted and leave no trace', async () => {
  const queue = await createQueue();
  await insert(queue, [1, 2, 3]);
  const { settle, settled } = await startSettler(queue);
  await settle(item(1, FRESH, null), item(3, FRESH, null));
  expect([await idsOf(queue), await bitsOf(queue), settled]).toEqual(['2', [], ['1 delivered', '3 delivered']]);
});

test('what stays is written in the ledger, and cleared when it goes', async () => {
  const queue = await createQueue();
  await insert(queue, [1, 2]);
  const { settle } = await startSettler(queue);
  await settle(item(1, FRESH, WAITING), item(2, FRESH, failedWith('no')));
  expect(await bitsOf(queue)).toEqual(['L 2', 'w 1']);
  await settle(item(1, WAITING, null), item(2, failedWith('no'), null));
  expect([await idsOf(queue), await bitsOf(queue)]).toEqual(['', []]);
  expect(await queue.database.query('SELECT FROM tailrace.pending')).toEqual([]);
});

test('settlements that queue up are committed together, the later one of an event after the earlier', async () => {
  const queue = await createQueue();
  await insert(queue, [1, 2]);
  const { settler, settled, inFlight } = await startSettler(queue);
  inFlight.add('1');
  inFlight.add('2');
  const [a, b, c] = [item(2, FRESH, null), item(1, FRESH, WAITING, { inFlight: true }), item(1, WAITING, null)];
  await Promise.all([a, b, c].map((each) => write(settler, { onDelivered: 'delete', items: [each] })));
  expect(settled).toEqual(['2 delivered', '1 delivered']);
  expect([await idsOf(queue), await bitsOf(queue), inFlight.size]).toEqual(['', [], 0]);
});

test('an event handed off is settled and stays in flight', async () => {
  const queue = await createQueue();
  await insert(queue, [1]);
  const { settle, inFlight } = await startSettler(queue);
  inFlight.add('1');
  await settle(item(1, FRESH, WAITING, { inFlight: true }));
  expect([await bitsOf(queue), inFlight.size]).toEqual([['L 1', 'w 1'], 1]);
});

test.each([
  ['deletes', FRESH, null],
  ['writes', FRESH, WAITING],
  ['clears', WAITING, null],
] as const)('a settlement that %s is not repeated when the answer to its COMMIT is lost', async (_, from, to) => {
  const queue = await createQueue();
  await insert(queue, [1, 2]);
  await using proxy = await createCommitSwallower(queue.database.url);
  const { settle, settled, rights } = await startSettler(queue, {
    open: () => Session.open({ database: proxy.url, applicationName: 'test' }),
  });
  await settle(item(2, FRESH, WAITING));
  proxy.arm();
  await settle(item(1, from, to));
  expect(proxy.swallowed).toBe(1);
  expect(settled).toHaveLength(2);
  const [writer] = await queue.database.query('SELECT settled_seq FROM tailrace.writer WHERE epoch = $1', [
    rights.epoch,
  ]);
  expect(writer?.settled_seq).toBe('2');
});

test('a replaced owner settles nothing, on either path', async () => {
  for (const to of [null, WAITING]) {
    const queue = await createQueue();
    await insert(queue, [1]);
    const { settle, settled, rights } = await startSettler(queue);
    await queue.database.query('UPDATE tailrace.writer SET revoked = true WHERE epoch = $1', [rights.epoch]);
    await expect(settle(item(1, FRESH, to))).rejects.toMatchObject({ code: 'REVOKED', exitCode: 75 });
    expect([await idsOf(queue), await bitsOf(queue), settled]).toEqual(['1', [], []]);
  }
});

test('a take-over waits for a settling that is under way', async () => {
  const queue = await createQueue();
  await insert(queue, [1]);
  const { settle } = await startSettler(queue);
  const other = await queue.database.client();
  await other.query('BEGIN');
  await other.query('SELECT FROM events FOR UPDATE');
  const settling = settle(item(1, FRESH, null));
  await waitFor(async () => (await queue.database.query(`SELECT FROM pg_locks WHERE NOT granted`)).length > 0);
  const revoking = queue.database.query('UPDATE tailrace.writer SET revoked = true');
  await other.query('ROLLBACK');
  await Promise.all([settling, revoking]);
  expect(await idsOf(queue)).toBe('');
});

test('a permission that is missing is waited for, and nothing is lost', async () => {
  const queue = await createQueue();
  await insert(queue, [1]);
  const role = `r_${queue.database.name}`;
  await queue.database.query(`CREATE ROLE ${role} LOGIN`);
  onTestFinished(async () => void (await queue.database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)));
  await queue.database.query(`GRANT USAGE ON SCHEMA tailrace TO ${role}; GRANT ALL ON ALL TABLES IN SCHEMA tailrace TO ${role};
    GRANT SELECT ON events TO ${role}`);
  const url = queue.database.url.replace('postgres@', `${role}@`);
  const sessions: Session[] = [];
  const { settle } = await startSettler(queue, {
    open: async () => {
      const session = await Session.open({ database: url, applicationName: 'test' });
      sessions.push(session);
      return session;
    },
  });
  const settling = settle(item(1, FRESH, null));
  await waitFor(() => sessions.length === 1);
  await queue.database.query(`GRANT DELETE ON events TO ${role}`);
  await settling;
  expect([await idsOf(queue), sessions.length]).toEqual(['', 1]);
  await sessions[0]?.close();
});

test('an error text with U+0000 and half a character is stored all the same', async () => {
  const queue = await createQueue();
  await insert(queue, [1]);
  const { settle } = await startSettler(queue);
  await settle(item(1, FRESH, failedWith(`a\u0000b\ud800${'x'.repeat(500)}`)));
  const [row] = await queue.database.query('SELECT last_error FROM tailrace.pending');
  expect(row?.last_error).toMatch(/^a\ufffdb\ufffdx{296}$/);
});

test('waiting for a database that does not come back ends with the signal', async () => {
  const queue = await createQueue();
  const deadline = new AbortController();
  const { settle } = await startSettler(queue, {
    open: () => Promise.reject(new Error('it is down')),
    signal: deadline.signal,
  });
  const settling = settle(item(1, FRESH, null));
  deadline.abort();
  await expect(settling).rejects.toThrow('it is down');
});
