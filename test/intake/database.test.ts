import { connect } from 'node:net';
import { expect, test, vi } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import { createScene } from './scene.ts';

// Many processes, each of which takes its time to start on a busy machine.
vi.setConfig({ testTimeout: 180_000 });

const GOOD = '{"event_type":"scomp"}';
const HEALTH = { method: 'GET', path: '/health' };

test('while PostgreSQL is away 503 says when to come again; then it goes on by itself', async () => {
  const { start, server } = await createScene({});
  const { send, program } = await start();
  expect(await send(null, HEALTH)).toMatchObject({ status: 200, body: { status: 'ok' } });
  expect(await send(GOOD)).toMatchObject({ status: 202 });
  await server?.stop('immediate');
  await waitFor(async () => (await send(null, HEALTH)).status === 503, { what: 'the health check to fail' });
  expect(await send(GOOD)).toMatchObject({
    status: 503,
    headers: { 'retry-after': '1' },
    body: { error: 'unavailable', recorded: false },
  });
  await server?.restart();
  await waitFor(async () => (await send(null, HEALTH)).status === 200, { what: 'the health check to be good again' });
  expect(await send(GOOD)).toMatchObject({ status: 202 });
  await program.waitForStderr('recording in PostgreSQL again');
});

test('it starts while PostgreSQL is away, and records when that is there', async () => {
  const { start, server } = await createScene({});
  await server?.stop();
  const { send, program } = await start();
  expect(await send(GOOD)).toMatchObject({ status: 503 });
  expect(program.stderr).toContain('PostgreSQL is not there yet; requests are answered with 503 until it is');
  await server?.restart();
  await waitFor(async () => (await send(GOOD)).status === 202, { what: 'an event to be recorded' });
});

test('a connection that was ended while nothing happened costs no request, and is said each time', async () => {
  const { start, database } = await createScene();
  const { send, program } = await start();
  for (const time of [1, 2]) {
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tailrace intake' AND datname = current_database()`,
    );
    await program.waitForStderr(new RegExp(`(?:[^]*recording in PostgreSQL again){${time}}`));
    expect(await send(GOOD)).toMatchObject({ status: 202 });
    const begun = program.stderrLines.filter((line) => line.includes('cannot record in PostgreSQL; requests'));
    expect(begun.length).toBeGreaterThanOrEqual(time);
  }
});

test('a database that takes connections and no rows is said a few times, not with every request', async () => {
  const { start, database } = await createScene();
  const { send, program } = await start();
  await database.query(`ALTER DATABASE "${database.name}" SET default_transaction_read_only = on`);
  await database.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tailrace intake' AND datname = current_database()`,
  );
  const seen = new Set<unknown>();
  // Three connections each time that they are opened anew.
  const opened = async () => {
    expect((await send(GOOD)).status).toBe(503);
    const rows = await database.query(
      `SELECT pid FROM pg_stat_activity WHERE application_name = 'tailrace intake' AND datname = current_database()`,
    );
    for (const { pid } of rows) seen.add(pid);
    return seen.size >= 60;
  };
  await waitFor(opened, { what: 'it to connect again and again', intervalMs: 5 });
  const said = (text: string) => program.stderrLines.filter((line) => line.includes(text)).length;
  expect(said('cannot record in PostgreSQL; requests')).toBeLessThan(10);
  expect(said('recording in PostgreSQL again')).toBeLessThan(10);
  await database.query(`ALTER DATABASE "${database.name}" RESET default_transaction_read_only`);
  await waitFor(async () => (await send(GOOD)).status === 202, { what: 'an event to be recorded' });
});

test('a request whose connection breaks before the answer is told that its outcome is not known', async () => {
  const { start, database } = await createScene();
  const { send } = await start();
  const locker = await database.client();
  await locker.query('BEGIN; LOCK TABLE events IN SHARE MODE');
  const waiting = send(GOOD);
  const ended = await waitFor(
    async () =>
      (
        await database.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tailrace intake' AND wait_event_type = 'Lock' AND datname = current_database()`,
        )
      ).length,
    { what: 'the insert to wait' },
  );
  expect(ended).toBe(1);
  expect(await waiting).toMatchObject({ status: 503, body: { recorded: 'unknown' } });
  await locker.query('ROLLBACK');
});

test('a database without the table, the switches or the right to insert is said at the start', async () => {
  const { tailrace, database } = await createScene();
  const listen = ['intake', '--listen', '127.0.0.1:0'];
  await database.query(`CREATE ROLE ${database.name}_nobody LOGIN`);
  await database.query(`GRANT USAGE ON SCHEMA tailrace TO ${database.name}_nobody`);
  const as = { TAILRACE_DATABASE_URL: database.url.replace('postgres@', `${database.name}_nobody@`) };
  const refused = await tailrace(listen, as);
  await database.query(`DROP OWNED BY ${database.name}_nobody; DROP ROLE ${database.name}_nobody`);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('lacks INSERT on the table "events"')]);
  await database.query('DROP SCHEMA tailrace CASCADE');
  const without = await tailrace(listen);
  expect([without.code, without.stderr]).toEqual([1, expect.stringContaining('run `tailrace init`')]);
  await database.query('DROP TABLE events');
  expect((await tailrace(listen)).stderr).toContain('there is no table "events"');
});

test('a table that changes while it runs is looked at anew', async () => {
  const { start, database } = await createScene();
  const { send, program } = await start();
  const event = '{"event_type":"scomp","bounce_type":"s"}';
  expect(await send(event)).toMatchObject({ status: 202 });
  await database.query('ALTER TABLE events DROP COLUMN bounce_type');
  expect(await send(event)).toMatchObject({ status: 503, body: { recorded: false } });
  await waitFor(async () => (await send(event)).status === 202, { what: 'the new table to be known' });
  await program.waitForStderr('PostgreSQL refused to record; the requests are answered with 503');
  await program.waitForStderr('"columns":["bounce_type"],"msg":"the queue table lacks columns');
  await database.query('ALTER TABLE events ADD COLUMN campaign text');
  const added = '{"event_type":"scomp","campaign":"x"}';
  await waitFor(async () => (await send(added)).status === 202, { what: 'the new column', timeoutMs: 20_000 });
});

test('an acknowledged event is durable though the role’s default is asynchronous', async () => {
  const { start, server, database } = await createScene({ synchronous_commit: 'off', wal_writer_delay: '10s' });
  const { send } = await start();
  expect(await send(GOOD)).toMatchObject({ status: 202 });
  await server?.restart('immediate');
  const client = await database.client();
  expect((await client.query('SELECT FROM events')).rows).toHaveLength(1);
});

test('SIGTERM ends what is under way, takes nothing more, and is exit code 0', async () => {
  const { start, database } = await createScene();
  const { send, program, address } = await start();
  const idle = connect(Number(new URL(address).port), '127.0.0.1');
  const locker = await database.client();
  await locker.query('BEGIN; LOCK TABLE events IN SHARE MODE');
  // A connection that is not yet looked at is closed.
  const waiting = Array.from({ length: 10 }, () => send(GOOD).catch(() => ({ status: 0 })));
  await waitFor(
    () =>
      database
        .query(
          `SELECT FROM pg_stat_activity WHERE application_name = 'tailrace intake' AND wait_event_type = 'Lock' AND datname = current_database()`,
        )
        .then(({ length }) => length > 0),
    { what: 'the insert to wait' },
  );
  program.signal('SIGTERM');
  await program.waitForStderr('stopping: answering the requests under way');
  await waitFor(
    () =>
      send(GOOD).then(
        ({ status }) => status === 503,
        () => true,
      ),
    { what: 'new requests to fail' },
  );
  await locker.query('ROLLBACK');
  const answers = await Promise.all(waiting);
  expect(await program.exit).toBe(0);
  const recorded = answers.filter(({ status }) => status === 202).length;
  expect(recorded).toBeGreaterThan(0);
  expect(await database.query('SELECT FROM events')).toHaveLength(recorded);
  expect(program.stderr).toContain(`"recorded":${recorded}`);
  idle.destroy();
});
