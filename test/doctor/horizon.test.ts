// Who pins the vacuum horizon and who holds locks, on a server of the tests' own: slots and prepared transactions are
// the whole server's.

import type pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { checkDeadRows, checkWraparound } from '../../src/doctor/vacuum.ts';
import { type RawRow, Session } from '../../src/queue/session.ts';
import { readQueueTable } from '../../src/queue/table.ts';
import { startPostgres, type TestDatabase } from '../helpers/postgres.ts';
import { createScene, finding } from './scene.ts';

// Every look is some forty questions.
vi.setConfig({ testTimeout: 180_000 });

let server: EmbeddedPostgres;
beforeAll(async () => {
  server = await startPostgres({ wal_level: 'logical', max_prepared_transactions: '10' });
});
afterAll(() => server[Symbol.asyncDispose]());

/** A connection under a name. */
async function named(database: TestDatabase, name: string): Promise<pg.Client & { readonly pid: string }> {
  const client = await database.client();
  await client.query(`SET application_name = '${name}'`);
  const { rows } = await client.query('SELECT pg_backend_pid()::text AS pid');
  return Object.assign(client, { pid: String(rows[0].pid) });
}

/** Transactions that come after a snapshot. */
const burn = (database: TestDatabase, transactions: number): Promise<unknown> =>
  database.query(`DO $$ BEGIN FOR i IN 1..${transactions} LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`);

test('a session that holds an old snapshot is named, with the statement that ends it, and not with its secrets', async () => {
  const { check, database } = await createScene({ server });
  const holder = await named(database, 'monthly report');
  await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await holder.query(`SELECT 'hunter2' AS password`);
  expect(await check('oldest snapshot')).toMatchObject([finding('ok', `pid ${holder.pid}`)]);
  await burn(database, 10_001);
  const findings = await check('oldest snapshot');
  expect(findings).toMatchObject([
    finding(
      'warning',
      `kept by pid ${holder.pid} (monthly report, user postgres), idle in transaction`,
      `SELECT pg_terminate_backend(${holder.pid});`,
    ),
  ]);
  expect(findings[0]?.found).toMatch(
    /dead rows of the last 10,00\d transactions.*transaction open for \d+s, last said SELECT \d+s ago$/,
  );
  expect(JSON.stringify(findings)).not.toContain('hunter2');
  await database.query(String(findings[0]?.advice[0]));
  expect(await check('oldest snapshot')).toMatchObject([{ state: 'ok' }]);
});

test('a role that sees less of other sessions is told so, and they are named all the same', async () => {
  const { check, database } = await createScene({ server });
  const role = `${database.name}_less`;
  await database.query(`CREATE ROLE ${role} LOGIN`);
  const url = database.url.replace('postgres@', `${role}@`);
  const holder = await named(database, 'secret keeper');
  await holder.query('BEGIN; SELECT pg_current_xact_id()');
  await burn(database, 10_001);
  expect(await check('sight', { url })).toMatchObject([
    finding('warning', `the role ${role} is no member of pg_monitor`, `GRANT pg_monitor TO ${role};`),
  ]);
  expect(await check('oldest snapshot', { url })).toMatchObject([
    finding('warning', `by pid ${holder.pid} (secret keeper, user postgres)`),
  ]);
  await database.query(`GRANT pg_monitor TO ${role}`);
  expect(await check('sight', { url })).toMatchObject([{ state: 'ok' }]);
  await holder.end();
});

test('a replication slot that nobody uses is named, with the statement that drops it', async () => {
  const { check, database } = await createScene({ server });
  await database.query(`SELECT pg_create_logical_replication_slot('old_subscriber', 'pgoutput')`);
  const findings = await check('replication slots');
  expect(findings).toMatchObject([
    finding(
      'warning',
      'the logical slot old_subscriber is used by nobody',
      `SELECT pg_drop_replication_slot('old_subscriber');`,
    ),
  ]);
  expect(findings[0]?.found).toMatch(/keeps the catalog of the last [\d,]+ transactions, holds .* of WAL/);
  await database.query(String(findings[0]?.advice.at(-1)));
  expect(await check('replication slots')).toMatchObject([finding('ok', 'none')]);
});

test('a prepared transaction is named, with both statements that end it, and so is its lock', async () => {
  const { check, database } = await createScene({ server });
  await database.query('BEGIN');
  await database.query('LOCK TABLE events IN SHARE MODE');
  await database.query(`PREPARE TRANSACTION 'trader''s 7'`);
  const findings = await check('prepared transactions');
  expect(findings).toMatchObject([
    finding('warning', `'trader''s 7' of postgres, prepared`, `COMMIT PREPARED 'trader''s 7';`),
  ]);
  expect(await check('locks')).toMatchObject([
    finding('problem', 'a prepared transaction holds ShareLock on public.events'),
  ]);
  await database.query(String(findings[0]?.advice.at(-1)));
  expect(await check('prepared transactions')).toMatchObject([finding('ok', 'none')]);
  expect(await check('locks')).toMatchObject([{ state: 'ok' }]);
});

test('who has locked the queue table is named, and the other checks go on', async () => {
  const { examine, check, database } = await createScene({ server });
  const holder = await named(database, 'migration');
  await holder.query('BEGIN');
  await holder.query('LOCK TABLE events IN SHARE MODE');
  expect(await check('locks')).toMatchObject([
    finding('warning', 'holds ShareLock on public.events; nobody waits yet'),
  ]);
  const waiter = await named(database, 'tailrace');
  const waits = waiter.query(`DELETE FROM events`);
  await expect
    .poll(() => check('locks'), { timeout: 60_000 })
    .toMatchObject([finding('problem', 'a processor waits for it')]);
  await holder.query('COMMIT');
  await waits;
  await holder.query('BEGIN; LOCK TABLE events');
  const begun = performance.now();
  const { groups, state } = await examine();
  expect(performance.now() - begun).toBeLessThan(75_000);
  const findings = groups.flatMap((each) => each.findings);
  expect(findings.filter(({ check: name }) => name === 'locks')).toMatchObject([
    finding(
      'warning',
      `pid ${holder.pid} (migration, user postgres), idle in transaction`,
      `SELECT pg_terminate_backend(${holder.pid});`,
    ),
  ]);
  expect(findings.filter(({ check: name }) => name === 'table')).toMatchObject([
    finding('problem', 'a lock stands in the way'),
  ]);
  expect(findings.find(({ check: name }) => name === 'wraparound')).toMatchObject({ state: 'ok' });
  expect(state).toBe('problem');
  await holder.end();
});

test('autovacuum that is switched off, for a table or the server, is said', async () => {
  const { check, database } = await createScene({ server });
  expect(await check('autovacuum')).toMatchObject([{ state: 'ok' }]);
  await database.query('ALTER TABLE events SET (autovacuum_enabled = off)');
  const [off] = await check('autovacuum');
  expect(off).toMatchObject(
    finding('warning', 'switched off for public.events', 'ALTER TABLE public.events RESET (autovacuum_enabled);'),
  );
  await database.query(String(off?.advice[0]));
  await database.query(`ALTER SYSTEM SET autovacuum = off`);
  await database.query('SELECT pg_reload_conf()');
  await expect
    .poll(() => check('autovacuum'), { timeout: 60_000 })
    .toMatchObject([finding('problem', 'switched off for the whole server')]);
  await database.query('ALTER SYSTEM RESET autovacuum');
  await database.query('SELECT pg_reload_conf()');
});

test('many dead rows are said, with when the table was vacuumed', async () => {
  const { check, database } = await createScene({ server });
  await database.query('ALTER TABLE events SET (autovacuum_vacuum_threshold = 2000000000)');
  await database.query(`INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, 101000)`);
  await database.query('DELETE FROM events');
  await database.query('SELECT pg_stat_force_next_flush()');
  await expect
    .poll(() => check('dead rows'), { timeout: 60_000 })
    .toMatchObject([
      finding('warning', 'public.events: 101,000 dead rows beside 0', 'VACUUM (VERBOSE) public.events;'),
    ]);
  await database.query('VACUUM events');
  await database.query('SELECT pg_stat_force_next_flush()');
  await expect
    .poll(() => check('dead rows'), { timeout: 60_000 })
    .toMatchObject([{ state: 'ok', found: expect.stringMatching(/ vacuumed \d+s ago$/) }]);
});

test('transaction ids that run out are a warning first, then a problem', async () => {
  const { database } = await createScene({ server });
  const open = () => Session.open({ database: database.url, applicationName: 'test' });
  await using closing = await opened(open);
  const aged = (age: string): Session =>
    ({
      query: async (): Promise<readonly RawRow[]> => [['mail', age, '0', '200000000', '400000000']],
    }) as unknown as Session;
  expect(await checkWraparound(closing.session)).toMatchObject([{ state: 'ok' }]);
  expect(await checkWraparound(aged('410000000'))).toMatchObject([
    finding('warning', '410,000,000 transactions', 'VACUUM (FREEZE'),
  ]);
  expect(await checkWraparound(aged('1900000000'))).toMatchObject([finding('problem', '1,900,000,000 transactions')]);
  const table = await readQueueTable(closing.session, 'events', false);
  expect(await checkDeadRows(closing.session, table)).toMatchObject([{ state: 'ok' }, { state: 'ok' }]);
});

async function opened(open: () => Promise<Session>) {
  const session = await open();
  return { session, [Symbol.asyncDispose]: () => session.close() };
}
