// What an SQL destination promises whatever its server, run against each of them.

import type { NetConnectOpts } from 'node:net';
import { describe, expect, test } from 'vitest';
import type { DeliveryResult } from '../../../src/destinations/destination.ts';
import type { QueuedEvent, RawValue } from '../../../src/event/event.ts';
import { createTcpProxy } from '../../helpers/tcp-proxy.ts';
import { waitFor } from '../../helpers/wait-for.ts';
import { NEVER, sampleEvent } from '../samples.ts';
import { type SqlWorld, sqlDestination, tableSql } from './subject.ts';

const COLUMNS = [
  'event_type',
  'event_time',
  'email',
  'bounce_text',
  'studio_is_unique',
  'timestamp',
  'event_unique_id',
];

const events = (
  count: number,
  values: (at: number) => Readonly<Record<string, RawValue>> = () => ({}),
): QueuedEvent[] =>
  Array.from({ length: count }, (_, at) =>
    sampleEvent({ id: String(at + 1), event_unique_id: `unique-${at}`, email: `${at}@example.com`, ...values(at) }),
  );

const accepted = (results: readonly DeliveryResult[]): boolean[] => results.map(({ ok }) => ok);
const allAccepted = (count: number): boolean[] => new Array(count).fill(true);

function refusalOf(result: DeliveryResult | undefined) {
  if (!result || result.ok) throw new Error('the event was accepted');
  return result;
}

/** Declares the tests for one server. */
export function describeSql(name: string, create: () => Promise<SqlWorld & AsyncDisposable>): void {
  const insert = (world: SqlWorld, settings: object = {}, url = world.url) => ({
    type: 'sql_insert',
    db_dsn: url,
    table: 'events',
    ...settings,
  });
  const custom = (world: SqlWorld, settings: object = {}, url = world.url) => {
    const quoted = COLUMNS.map((column) => (world.server === 'mysql' ? `\`${column}\`` : `"${column}"`));
    return {
      type: 'custom_sql',
      db_dsn: url,
      sql: `INSERT INTO events (${quoted.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})`,
      bind_list: COLUMNS,
      ...settings,
    };
  };
  const both = [
    ['custom_sql', custom],
    ['sql_insert', insert],
  ] as const;
  const rowsOf = (world: SqlWorld) => world.query('SELECT * FROM events ORDER BY id');

  describe.each(both)(`%s, ${name}`, (type, settings) => {
    test('delivers every kind of value as it is', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(settings(world));
      const text = `it's "quoted" \\ and ?; DROP TABLE events;--\n\ttab ü 漢字 😀 {a,b} NULL`;
      const event = sampleEvent({
        event_unique_id: 'one',
        email: '',
        bounce_text: text,
        studio_is_unique: 't',
        timestamp: '1317305252.1234567',
        event_time: '-2147483648',
      });
      expect(await destination.deliver([event, sampleEvent({ event_unique_id: 'two' })], NEVER)).toEqual([
        { ok: true },
        { ok: true },
      ]);
      const [first, second] = await rowsOf(world);
      expect(first).toMatchObject({
        bounce_text: text,
        email: '',
        timestamp: 1317305252.1234567,
        event_time: -2147483648,
      });
      expect(Number(first?.studio_is_unique)).toBe(1);
      expect(second).toMatchObject({ bounce_text: null, email: null, studio_is_unique: null, timestamp: null });
    });

    test('keeps every digit of a bigint', async () => {
      await using world = await create();
      await world.query('CREATE TABLE events (event_time BIGINT, event_type VARCHAR(30))');
      await using destination = await sqlDestination(
        type === 'custom_sql'
          ? { ...settings(world), sql: 'INSERT INTO events (event_time) VALUES (?)', bind_list: ['event_time'] }
          : settings(world),
      );
      const digits = ['9223372036854775807', '-9223372036854775808', '9007199254740993'];
      await destination.deliver(
        digits.map((event_time) => sampleEvent({ event_time })),
        NEVER,
      );
      const rows = await world.query('SELECT event_time FROM events');
      expect(rows.map(({ event_time }) => String(event_time)).sort()).toEqual([...digits].sort());
    });

    test('lets one bad event of a hundred stand alone, and delivers the others', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      // custom_sql leaves it to the server how strict it is; these are.
      await using destination = await sqlDestination(settings(world));
      const batch = events(100, (at) => ({ event_type: 'x'.repeat(at === 37 ? 31 : 3) }));
      const results = await destination.deliver(batch, NEVER);
      expect(results.flatMap(({ ok }, at) => (ok ? [] : [at]))).toEqual([37]);
      expect(refusalOf(results[37])).toMatchObject({ blame: 'event', error: expect.stringMatching(/^[^\n]+$/) });
      expect(await rowsOf(world)).toHaveLength(99);
    });

    test('fails a batch whole when the table is gone, and delivers it when it is back', async () => {
      await using world = await create();
      await using destination = await sqlDestination(settings(world));
      const batch = events(3);
      const gone = await destination.deliver(batch, NEVER);
      expect(accepted(gone)).toEqual([false, false, false]);
      expect(refusalOf(gone[0]).blame).toBeUndefined();
      expect(refusalOf(gone[0]).error).toContain('events');
      await world.query(tableSql(world.server));
      expect(accepted(await destination.deliver(batch, NEVER))).toEqual(allAccepted(3));
      await world.query('DROP TABLE events');
      expect(accepted(await destination.deliver(batch, NEVER))).toEqual([false, false, false]);
      await world.query(tableSql(world.server));
      expect(accepted(await destination.deliver(batch, NEVER))).toEqual(allAccepted(3));
    });

    test('names the trouble with wrong credentials, and not the password', async () => {
      await using world = await create();
      const url = world.url.replace(/\/\/[^@]*@/, '//nobody:Wr0ng-pass@');
      await using destination = await sqlDestination(settings(world, {}, url));
      const [result] = await destination.deliver(events(1), NEVER);
      expect(refusalOf(result).blame).toBeUndefined();
      expect(refusalOf(result).error).toMatch(/nobody/);
      expect(refusalOf(result).error).not.toContain('Wr0ng-pass');
    });

    test('fails at once when nobody listens', async () => {
      await using world = await create();
      const scheme = world.server === 'mysql' ? 'mysql' : 'postgresql';
      await using destination = await sqlDestination(settings(world, {}, `${scheme}://u:p@127.0.0.1:1/d`));
      const results = await destination.deliver(events(2), NEVER);
      expect(results).toEqual([0, 1].map(() => ({ ok: false, error: expect.any(String), status: 'ECONNREFUSED' })));
      expect(refusalOf(results[0]).error).toContain('127.0.0.1:1');
    });

    test('gives a statement up that waits for a lock, and goes on when it is free', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(settings(world, { concurrency: 1 }), { deadlineMs: 700 });
      expect(
        accepted(
          await destination.deliver(
            events(1, () => ({ event_unique_id: 'a' })),
            NEVER,
          ),
        ),
      ).toEqual([true]);
      {
        await using _lock = await world.hold(
          world.server === 'mysql' ? 'LOCK TABLES events WRITE' : 'LOCK TABLE events IN ACCESS EXCLUSIVE MODE',
        );
        const [result] = await destination.deliver(events(1), NEVER);
        expect(refusalOf(result).error).toContain('no answer within 0.7 s');
        expect(refusalOf(result).blame).toBeUndefined();
      }
      expect(await destination.deliver(events(1), NEVER)).toEqual([{ ok: true }]);
      expect((await rowsOf(world)).length).toBe(2);
    });

    test('gives a silent connection up', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using proxy = await createTcpProxy(upstreamOf(world));
      const through = settings(world, { concurrency: 1 }, urlThrough(world, proxy.port));
      await using destination = await sqlDestination(through, { deadlineMs: 700 });
      expect(accepted(await destination.deliver(events(1), NEVER))).toEqual([true]);
      proxy.silent = true;
      const [result] = await destination.deliver(
        events(1, () => ({ event_unique_id: 'b' })),
        NEVER,
      );
      expect(refusalOf(result).error).toContain('no answer within');
      const [connecting] = await destination.deliver(
        events(1, () => ({ event_unique_id: 'b' })),
        NEVER,
      );
      expect(refusalOf(connecting).error).toContain('no answer within');
      proxy.silent = false;
      const again = await destination.deliver(
        events(1, () => ({ event_unique_id: 'b' })),
        NEVER,
      );
      expect(accepted(again)).toEqual([true]);
    });

    test('has one row in the end when the answer to a commit is lost', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using proxy = await createTcpProxy(upstreamOf(world));
      await using destination = await sqlDestination(
        settings(world, { on_conflict: 'accept', concurrency: 1 }, urlThrough(world, proxy.port)),
      );
      const batch = events(20);
      proxy.loseAnswerTo('COMMIT');
      expect(accepted(await destination.deliver(batch, NEVER))).toEqual(batch.map(() => false));
      await waitFor(async () => (await rowsOf(world)).length === 20, { what: 'the commit' });
      expect(accepted(await destination.deliver(batch, NEVER))).toEqual(allAccepted(20));
      expect(await rowsOf(world)).toHaveLength(20);
    });

    test('fails what is under way when the server ends the connection, and opens another one', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(settings(world, { concurrency: 1 }));
      const lock = await world.hold(
        world.server === 'mysql' ? 'LOCK TABLES events WRITE' : 'LOCK TABLE events IN ACCESS EXCLUSIVE MODE',
      );
      const under = destination.deliver(events(2), NEVER);
      await waitFor(() => endConnections(world), { what: 'a connection to end' });
      const results = await under;
      expect(accepted(results)).toEqual([false, false]);
      expect(refusalOf(results[0]).blame).toBeUndefined();
      await lock[Symbol.asyncDispose]();
      expect(await destination.deliver(events(2), NEVER)).toEqual([{ ok: true }, { ok: true }]);
      expect(await rowsOf(world)).toHaveLength(2);
    });
  });

  describe(`custom_sql, ${name}`, () => {
    test('runs any statement', async () => {
      await using world = await create();
      await world.query('CREATE TABLE subscribers (email VARCHAR(60) PRIMARY KEY, status VARCHAR(10), hits INT)');
      await world.query("INSERT INTO subscribers VALUES ('0@example.com', 'good', 0), ('x@example.com', 'good', 0)");
      await using destination = await sqlDestination(
        custom(world, {
          sql: "UPDATE subscribers SET status = 'b?d', hits = hits + 1 WHERE email = ?",
          bind_list: ['email'],
        }),
      );
      expect(accepted(await destination.deliver(events(3), NEVER))).toEqual(allAccepted(3));
      expect(await world.query('SELECT * FROM subscribers ORDER BY email')).toEqual([
        { email: '0@example.com', status: 'b?d', hits: 1 },
        { email: 'x@example.com', status: 'good', hits: 0 },
      ]);
    });

    test('calls stored procedures, whose own refusal is about the event', async () => {
      await using world = await create();
      await world.query('CREATE TABLE seen (email VARCHAR(60), at INT)');
      await world.query(
        world.server === 'mysql'
          ? `CREATE PROCEDURE note(IN e VARCHAR(60), IN t INT) BEGIN
               IF e = '1@example.com' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'unwanted'; END IF;
               INSERT INTO seen VALUES (e, t); SELECT 1; END`
          : `CREATE PROCEDURE note(e varchar, t int) LANGUAGE plpgsql AS $$ BEGIN
               IF e = '1@example.com' THEN RAISE EXCEPTION 'unwanted'; END IF;
               INSERT INTO seen VALUES (e, t); END $$`,
      );
      await using destination = await sqlDestination(
        custom(world, { sql: 'CALL note(?, ?)', bind_list: ['email', 'event_time'] }),
      );
      const results = await destination.deliver(events(3), NEVER);
      expect(accepted(results)).toEqual([true, false, true]);
      expect(refusalOf(results[1])).toMatchObject({ blame: 'event', error: expect.stringContaining('unwanted') });
      expect(await world.query('SELECT email FROM seen')).toHaveLength(2);
    });

    test('takes a unique violation as a refusal of the event', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(custom(world));
      await destination.deliver(events(1), NEVER);
      const results = await destination.deliver(events(4), NEVER);
      expect(accepted(results)).toEqual([false, true, true, true]);
      expect(refusalOf(results[0])).toMatchObject({ blame: 'event' });
      expect(String(refusalOf(results[0]).status)).toMatch(/^(23505|1062)$/);
    });

    test('takes it as delivered when on_conflict is accept', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(custom(world, { on_conflict: 'accept' }));
      await destination.deliver(events(2), NEVER);
      expect(accepted(await destination.deliver(events(5), NEVER))).toEqual(allAccepted(5));
      expect(await rowsOf(world)).toHaveLength(5);
    });

    test('binds NULL for a column that this queue table lacks, and says so once', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      const settings = custom(world, {
        sql: 'INSERT INTO events (email, headers) VALUES (?, ?)',
        bind_list: ['email', 'mailclass'],
      });
      await using destination = await sqlDestination(settings);
      await destination.deliver(events(2), NEVER);
      await destination.deliver(events(2), NEVER);
      expect(await rowsOf(world)).toHaveLength(4);
      expect(destination.warnings).toEqual([
        {
          message: 'the queue table lacks columns that a destination binds; they are NULL',
          fields: { columns: ['mailclass'], destination: expect.not.stringMatching(/@/) },
        },
      ]);
    });

    test('fails a batch whole after a deadlock, and delivers it later', async () => {
      await using world = await create();
      await world.query('CREATE TABLE counters (email VARCHAR(60) PRIMARY KEY, hits INT)');
      await world.query("INSERT INTO counters VALUES ('0@example.com', 0), ('1@example.com', 0)");
      const settings = custom(world, {
        sql: 'UPDATE counters SET hits = hits + 1 WHERE email = ?',
        bind_list: ['email'],
      });
      await using destination = await sqlDestination({ ...settings, concurrency: 2 });
      const [one, two] = events(2);
      const pair = [one, two] as QueuedEvent[]; // there are two
      // Opposite orders, at the same time, until the two have met.
      const met = await waitFor(
        async () => {
          const results = await Promise.all([
            ...[1, 2].map(() => destination.deliver([...pair, ...pair], NEVER)),
            ...[1, 2].map(() => destination.deliver([...pair].reverse(), NEVER)),
          ]);
          return results.find((call) => call.some(({ ok }) => !ok));
        },
        { timeoutMs: 30_000, what: 'a deadlock', intervalMs: 0 },
      );
      expect(accepted(met)).toEqual(met.map(() => false));
      expect(String(refusalOf(met[0]).status)).toMatch(/^(40P01|1213)$/);
      expect(refusalOf(met[0]).blame).toBeUndefined();
      expect(accepted(await destination.deliver(pair, NEVER))).toEqual([true, true]);
    });
  });

  describe(`sql_insert, ${name}`, () => {
    test('fills what the table has, without id, and says once what it lacks', async () => {
      await using world = await create();
      await world.query(tableSql(world.server).replace('headers TEXT,', ''));
      await using destination = await sqlDestination(insert(world));
      await destination.deliver(
        [sampleEvent({ id: '4711', event_unique_id: 'a', headers: '{}', processed: 't' })],
        NEVER,
      );
      await destination.deliver([sampleEvent({ id: '4712', event_unique_id: 'b' })], NEVER);
      const rows = await rowsOf(world);
      expect(rows.map(({ id }) => Number(id))).toEqual([1, 2]);
      expect(rows[0]).toMatchObject({ event_type: 'bounce_all', event_unique_id: 'a' });
      expect(destination.warnings).toEqual([
        {
          message: 'the remote table lacks event columns; they are not delivered to it',
          fields: { destination: expect.not.stringMatching(/@/), table: 'events', columns: ['headers'] },
        },
      ]);
    });

    test('fills only what columns names, id too', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(insert(world, { columns: ['id', 'email'], on_conflict: 'fail' }));
      await destination.deliver([sampleEvent({ id: '4711', email: 'a@b.c' })], NEVER);
      expect(await rowsOf(world)).toMatchObject([{ email: 'a@b.c', event_type: null }]);
      expect(Number((await rowsOf(world))[0]?.id)).toBe(4711);
      expect(destination.warnings).toEqual([]);
    });

    test('fails when columns names one that the table lacks', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(insert(world, { columns: ['email', 'smtp_timing'] }));
      const [result] = await destination.deliver(events(1), NEVER);
      expect(refusalOf(result).error).toContain('no column smtp_timing');
      expect(refusalOf(result).blame).toBeUndefined();
    });

    test('counts an event that is there already as delivered, in any batch', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(insert(world));
      for (const count of [1, 30, 60]) {
        expect(accepted(await destination.deliver(events(count), NEVER))).toEqual(allAccepted(count));
      }
      expect(accepted(await destination.deliver([...events(61), ...events(61)], NEVER))).toEqual(allAccepted(122));
      expect(await rowsOf(world)).toHaveLength(61);
      expect(destination.warnings).toEqual([]);
    });

    test('does not take another key for that of the events', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await world.query('CREATE UNIQUE INDEX one_email ON events (email)');
      await using destination = await sqlDestination(insert(world));
      await destination.deliver(events(2), NEVER);
      // The first is known; the second bears a new id, and an address that another row has.
      const results = await destination.deliver(
        events(3, (at) => ({ event_unique_id: at === 1 ? 'new' : `unique-${at}` })),
        NEVER,
      );
      expect(accepted(results)).toEqual([true, false, true]);
      expect(refusalOf(results[1])).toMatchObject({ blame: 'event' });
      expect(await rowsOf(world)).toHaveLength(3);
    });

    test('takes a conflict as a refusal when on_conflict is fail', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(insert(world, { on_conflict: 'fail' }));
      await destination.deliver(events(1), NEVER);
      expect(accepted(await destination.deliver(events(3), NEVER))).toEqual([false, true, true]);
    });

    test('warns once of a table without a key, and then inserts again', async () => {
      await using world = await create();
      await world.query(tableSql(world.server, 'events', ''));
      await using destination = await sqlDestination(insert(world));
      await destination.deliver(events(2), NEVER);
      await destination.deliver(events(2), NEVER);
      expect(await rowsOf(world)).toHaveLength(4);
      expect(destination.warnings.map(({ message }) => message)).toEqual([
        'the remote table has no unique key on event_unique_id; a repeated delivery adds a second row',
      ]);
    });

    test('looks at the table again when a column is gone', async () => {
      await using world = await create();
      await world.query(tableSql(world.server));
      await using destination = await sqlDestination(insert(world));
      await destination.deliver(events(1), NEVER);
      await world.query('ALTER TABLE events DROP COLUMN headers');
      const [result] = await destination.deliver(events(2).slice(1), NEVER);
      expect(refusalOf(result).blame).toBeUndefined();
      expect(accepted(await destination.deliver(events(2), NEVER))).toEqual(allAccepted(2));
    });

    test('refuses a value that does not fit instead of cutting it off', async () => {
      await using world = await create();
      await world.query(tableSql(world.server).replace('event_time INT', 'event_time SMALLINT'));
      await using destination = await sqlDestination(insert(world));
      const results = await destination.deliver(
        events(3, (at) => ({ event_time: at === 1 ? '40000' : '1', email: at === 2 ? 'x'.repeat(61) : 'x' })),
        NEVER,
      );
      expect(accepted(results)).toEqual([true, false, false]);
      for (const result of results.slice(1)) expect(refusalOf(result)).toMatchObject({ blame: 'event' });
    });

    test('writes to a table whose names need quotes', async () => {
      await using world = await create();
      const quoted = world.server === 'mysql' ? '`my ``events`' : '"my ""events"';
      await world.query(tableSql(world.server, quoted));
      await using destination = await sqlDestination(insert(world, { table: quoted }));
      expect(accepted(await destination.deliver(events(2), NEVER))).toEqual([true, true]);
    });
  });
}

function upstreamOf({ server, url }: SqlWorld): NetConnectOpts {
  const { port, searchParams } = new URL(url.replace('@/', '@localhost/'));
  if (server === 'mysql') return { host: '127.0.0.1', port: Number(port) };
  return { path: `${searchParams.get('host')}/.s.PGSQL.5432` };
}

function urlThrough({ server, url }: SqlWorld, port: number): string {
  const { pathname } = new URL(url.replace('@/', '@localhost/'));
  const user = /\/\/([^@]*)@/.exec(url)?.[1];
  return `${server}://${user}@127.0.0.1:${port}${pathname}`;
}

/** Ends the destination's connection. @returns whether there was one that waits. */
async function endConnections(world: SqlWorld): Promise<boolean> {
  if (world.server === 'postgresql') {
    const rows = await world.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tailrace destination' AND datname = current_database() AND wait_event_type = 'Lock'",
    );
    return rows.length > 0;
  }
  const rows = await world.query(
    "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND state LIKE 'Waiting for table%'",
  );
  for (const { id } of rows) await world.query(`KILL ${id}`);
  return rows.length > 0;
}
