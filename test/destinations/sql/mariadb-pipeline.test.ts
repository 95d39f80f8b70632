// A batch of `custom_sql` goes to MariaDB in one round trip, and whatever becomes of it, no event is in the table that
// was not accepted, or twice.

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import mysql from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createPipelineTrust } from '../../../src/destinations/sql/mysql-pipeline.ts';
import type { QueuedEvent, RawValue } from '../../../src/event/event.ts';
import { type Mariadb, type MariadbDatabase, requireMariadb, startMariadb } from '../../helpers/mariadb.ts';
import { createTcpProxy } from '../../helpers/tcp-proxy.ts';
import { waitFor } from '../../helpers/wait-for.ts';
import { NEVER, sampleEvent } from '../samples.ts';
import { sqlDestination } from './subject.ts';

const INSERT = 'INSERT INTO events (email, bounce_text) VALUES (?, ?)';
const BIND = ['email', 'bounce_text'];
const TABLE = 'CREATE TABLE events (email VARCHAR(60) PRIMARY KEY, bounce_text LONGTEXT)';

const events = (count: number, values: (at: number) => Readonly<Record<string, RawValue>> = () => ({})) =>
  Array.from({ length: count }, (_, at): QueuedEvent => sampleEvent({ email: `${at}@example.com`, ...values(at) }));

describe.skipIf(!requireMariadb())('MariaDB', () => {
  let mariadb: Mariadb;
  let database: MariadbDatabase;
  beforeAll(async () => {
    mariadb = await startMariadb();
    database = await mariadb.createDatabase();
  }, 120_000);
  afterAll(async () => {
    await mariadb?.[Symbol.asyncDispose]();
  });

  const custom = (sql: string, bind_list: readonly string[], db_dsn = database.url) => ({
    type: 'custom_sql',
    db_dsn,
    sql,
    bind_list,
    concurrency: 1,
  });
  const replaceTable = async (sql: string): Promise<void> => {
    await database.query('DROP TABLE IF EXISTS events');
    await database.query(sql);
  };
  const countRows = async () => Number((await database.query('SELECT COUNT(*) AS n FROM events'))[0]?.n);
  const processesOf = () => database.query("SELECT id FROM information_schema.processlist WHERE user = 'tailrace'");

  test('gets a hundred statements in a few requests', async () => {
    await replaceTable(TABLE);
    await using proxy = await createTcpProxy({ host: '127.0.0.1', port: mariadb.port });
    await using destination = await sqlDestination(custom(INSERT, BIND, through(database.url, proxy.port)));
    await destination.deliver(events(1), NEVER);
    const before = proxy.requests;
    const batch = events(101).slice(1);
    expect(await destination.deliver(batch, NEVER)).toEqual(batch.map(() => ({ ok: true })));
    // The kernel may cut the one write into several pieces, and there is the transaction around it.
    expect(proxy.requests - before).toBeLessThan(20);
    expect(await countRows()).toBe(101);
  });

  test('stores texts of every length, integers to their limits, and NULLs among them', async () => {
    const columns = ['email', 'event_type', 'event_time', 'bounce_text', 'studio_is_unique', 'timestamp'];
    const more = ['headers', 'event_unique_id', 'server_id', 'destination_id'];
    const all = [...columns, ...more];
    await replaceTable(
      'CREATE TABLE events (email VARCHAR(60) PRIMARY KEY, event_type VARCHAR(30), event_time BIGINT, bounce_text LONGTEXT, studio_is_unique BOOLEAN, `timestamp` DOUBLE, headers TEXT, event_unique_id VARCHAR(255), server_id VARCHAR(255), destination_id BIGINT)',
    );
    const quoted = all.map((name) => `\`${name}\``).join(', ');
    const sql = `INSERT INTO events (${quoted}) VALUES (${all.map(() => '?').join(', ')})`;
    await using destination = await sqlDestination(custom(sql, all));
    const lengths = [0, 1, 250, 251, 252, 65_535, 65_536, 300_000];
    const batch = events(lengths.length, (at) => ({
      bounce_text: 'é'.repeat((lengths[at] ?? 0) / 2) + 'x'.repeat((lengths[at] ?? 0) % 2),
      event_time: at % 2 === 0 ? '-9223372036854775808' : '9223372036854775807',
      destination_id: at % 3 === 0 ? null : String(at),
      server_id: at % 2 === 0 ? null : 's',
      event_unique_id: at % 4 === 0 ? null : `u${at}`,
      studio_is_unique: at % 2 === 0 ? 't' : 'f',
    }));
    expect(await destination.deliver(batch, NEVER)).toEqual(batch.map(() => ({ ok: true })));
    const rows = await database.query(
      'SELECT *, CAST(event_time AS CHAR) AS time FROM events ORDER BY CAST(email AS INT)',
    );
    expect(rows.map(({ bounce_text }) => Buffer.byteLength(String(bounce_text)))).toEqual(lengths);
    for (const [at, row] of rows.entries()) {
      expect(row).toMatchObject({
        email: `${at}@example.com`,
        event_type: 'bounce_all',
        time: at % 2 === 0 ? '-9223372036854775808' : '9223372036854775807',
        server_id: at % 2 === 0 ? null : 's',
        event_unique_id: at % 4 === 0 ? null : `u${at}`,
        studio_is_unique: at % 2 === 0 ? 1 : 0,
        timestamp: null,
        headers: null,
      });
      expect(row.destination_id === null ? null : Number(row.destination_id)).toBe(at % 3 === 0 ? null : at);
    }
  });

  test('lets an event above max_allowed_packet stand alone, and delivers the others', async () => {
    await replaceTable(TABLE);
    const [{ limit } = {}] = await database.query('SELECT @@GLOBAL.max_allowed_packet AS `limit`');
    await database.query('SET GLOBAL max_allowed_packet = 65536');
    try {
      await using destination = await sqlDestination(custom(INSERT, BIND));
      const batch = events(100, (at) => ({ bounce_text: 'x'.repeat(at === 37 ? 70_000 : 700) }));
      const results = await destination.deliver(batch, NEVER);
      expect(results.flatMap(({ ok }, at) => (ok ? [] : [at]))).toEqual([37]);
      expect(results[37]).toMatchObject({ blame: 'event', status: 1153 });
      expect(await countRows()).toBe(99);
    } finally {
      await database.query(`SET GLOBAL max_allowed_packet = ${Number(limit)}`);
    }
  });

  test('delivers a text that is longer than a packet of the protocol, between others', async () => {
    await replaceTable('CREATE TABLE events (n INT)');
    const [{ limit } = {}] = await database.query('SELECT @@GLOBAL.max_allowed_packet AS `limit`');
    await database.query('SET GLOBAL max_allowed_packet = 67108864');
    try {
      await using destination = await sqlDestination(custom('INSERT INTO events VALUES (LENGTH(?))', ['bounce_text']));
      const lengths = [5, 16_777_300, 7];
      const batch = events(3, (at) => ({ bounce_text: 'x'.repeat(lengths[at] ?? 0) }));
      expect(await destination.deliver(batch, NEVER)).toEqual(batch.map(() => ({ ok: true })));
      expect((await database.query('SELECT n FROM events')).map(({ n }) => n)).toEqual(lengths);
    } finally {
      await database.query(`SET GLOBAL max_allowed_packet = ${Number(limit)}`);
    }
  });

  test('keeps nothing of a batch that a deadlock ended, not even what stood behind it', async () => {
    await replaceTable('CREATE TABLE events (email VARCHAR(60) PRIMARY KEY, hits INT)');
    for (const at of [0, 1, 2, 3]) await database.query(`INSERT INTO events VALUES ('${at}@example.com', 0)`);
    await database.query('CREATE OR REPLACE TABLE ballast (n INT)');
    await using destination = await sqlDestination(
      custom('UPDATE events SET hits = hits + 1 WHERE email = ?', ['email']),
    );
    const other = await mysql.createConnection({ uri: database.url });
    try {
      await other.query('START TRANSACTION');
      // InnoDB ends the transaction that has changed less.
      await other.query('INSERT INTO ballast SELECT seq FROM seq_1_to_1000');
      await other.query("UPDATE events SET hits = hits WHERE email = '1@example.com'");
      const delivery = destination.deliver(events(4), NEVER);
      await waitFor(
        async () => {
          // information_schema.innodb_trx would show the same for ever to whoever asks ten times a second.
          const [waits] = await database.query("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'");
          return Number(waits?.Value) > 0;
        },
        { what: 'the batch to wait for the second row' },
      );
      await other.query("UPDATE events SET hits = hits WHERE email = '0@example.com'");
      await other.query('ROLLBACK');
      const results = await delivery;
      expect(results.map((result) => !result.ok && result.status)).toEqual([1213, 1213, 1213, 1213]);
      expect((await database.query('SELECT SUM(hits) AS hits FROM events'))[0]).toEqual({ hits: '0' });
      expect(await destination.deliver(events(4), NEVER)).toEqual(events(4).map(() => ({ ok: true })));
      expect((await database.query('SELECT hits FROM events')).map(({ hits }) => hits)).toEqual([1, 1, 1, 1]);
    } finally {
      other.destroy();
    }
  });

  test('is told when a batch is given up, and works at none of it any more', async () => {
    await replaceTable(TABLE);
    const lock = await mysql.createConnection({ socketPath: mariadb.socket, user: 'root', database: database.name });
    try {
      await lock.query('LOCK TABLES events WRITE');
      await using destination = await sqlDestination(custom(INSERT, BIND), { deadlineMs: 700 });
      const results = await destination.deliver(events(20), NEVER);
      expect(results.map(({ ok }) => ok)).toEqual(results.map(() => false));
      // By itself each statement would wait 25 seconds.
      await waitFor(async () => (await processesOf()).length === 0, {
        what: 'the connection to end on the server',
        timeoutMs: 20_000,
      });
      await lock.query('UNLOCK TABLES');
      expect(await countRows()).toBe(0);
    } finally {
      lock.destroy();
    }
  });

  test('gets one statement after another through a proxy that hangs up on more', async () => {
    await replaceTable(TABLE);
    await using proxy = await createTcpProxy(
      { port: mariadb.port },
      (request) => request.length > 4 + request.readUIntLE(0, 3),
    );
    await using destination = await sqlDestination(custom(INSERT, BIND, through(database.url, proxy.port)));
    const batch = events(20);
    expect((await destination.deliver(batch, NEVER)).map(({ ok }) => ok)).toEqual(batch.map(() => false));
    expect(await countRows()).toBe(0);
    expect(await destination.deliver(batch, NEVER)).toEqual(batch.map(() => ({ ok: true })));
    expect(await countRows()).toBe(20);
  });

  test('is not sent several again because a single one went well', async () => {
    await replaceTable(TABLE);
    await using proxy = await createTcpProxy(
      { port: mariadb.port },
      (request) => request.length > 4 + request.readUIntLE(0, 3),
    );
    await using destination = await sqlDestination(custom(INSERT, BIND, through(database.url, proxy.port)));
    const [first, second, third, ...batch] = events(23);
    expect((await destination.deliver(batch, NEVER)).every(({ ok }) => !ok)).toBe(true);
    for (const event of [first, second, third]) {
      expect(await destination.deliver([event as QueuedEvent], NEVER)).toEqual([{ ok: true }]);
    }
    expect(await destination.deliver(batch, NEVER)).toEqual(batch.map(() => ({ ok: true })));
  });

  test('is not left to wait for one lock after the other', async () => {
    await replaceTable(TABLE);
    const root = await mysql.createConnection({ socketPath: mariadb.socket, user: 'root', database: database.name });
    try {
      // As if the first had waited its time for a lock, and the others would wait as long.
      await root.query(`CREATE TRIGGER lock_wait BEFORE INSERT ON events FOR EACH ROW
        IF NEW.email = '0@example.com'
        THEN SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1205, MESSAGE_TEXT = 'Lock wait timeout exceeded';
        ELSE DO SLEEP(60); END IF`);
      await using destination = await sqlDestination(custom(INSERT, BIND));
      const results = await destination.deliver(events(20), NEVER);
      expect(results.map((result) => !result.ok && result.status)).toEqual(results.map(() => 1205));
      await waitFor(async () => (await processesOf()).length === 0, { what: 'the connection to end on the server' });
      await root.query('DROP TRIGGER lock_wait');
      // Nothing that a proxy has done.
      expect(await destination.deliver(events(20), NEVER)).toEqual(results.map(() => ({ ok: true })));
      expect(await countRows()).toBe(20);
    } finally {
      root.destroy();
    }
  });

  test('may answer with rows, which are thrown away', async () => {
    await replaceTable(TABLE);
    await using destination = await sqlDestination(custom(`${INSERT} RETURNING email`, BIND));
    expect(await destination.deliver(events(3), NEVER)).toEqual([{ ok: true }, { ok: true }, { ok: true }]);
    expect(await countRows()).toBe(3);
  });
});

test('a host that answers nothing is let go of', async () => {
  let reset = false;
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    // Who only has said goodbye would still take it.
    const writing = setInterval(() => socket.write('x'), 10);
    socket.on('error', () => {
      reset = true;
    });
    socket.on('close', () => clearInterval(writing));
    socket.resume();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // TCP has a port
  try {
    const db_dsn = `mysql://tailrace:secret@127.0.0.1:${port}/crm`;
    const settings = { type: 'custom_sql', db_dsn, sql: INSERT, bind_list: BIND };
    await using destination = await sqlDestination(settings, { deadlineMs: 300 });
    expect(await destination.deliver(events(1), NEVER)).toMatchObject([{ ok: false }]);
    await waitFor(() => reset, { what: 'the connection to be reset' });
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

describe('trust in pipelines', () => {
  const batchesAlone = (trust: ReturnType<typeof createPipelineTrust>): number => {
    let alone = 0;
    while (!trust.take()) alone += 1;
    return alone;
  };

  test('lasts shorter with each loss, and is back when a pipeline has held', () => {
    const trust = createPipelineTrust();
    expect(batchesAlone(trust)).toBe(0);
    const alone = [1, 2, 3].map(() => {
      trust.broken();
      return batchesAlone(trust);
    });
    expect(alone).toEqual([2, 4, 8]);
    trust.kept();
    trust.broken();
    expect(batchesAlone(trust)).toBe(2);
  });

  test('takes connections that are lost together for one loss', () => {
    const trust = createPipelineTrust();
    for (let connection = 0; connection < 10; connection += 1) trust.broken();
    expect(batchesAlone(trust)).toBe(2);
  });

  test('is tried again after a thousand batches at the latest', () => {
    const trust = createPipelineTrust();
    for (let loss = 0; loss < 30; loss += 1) {
      trust.broken();
      expect(batchesAlone(trust)).toBeLessThanOrEqual(1024);
    }
  });
});

function through(url: string, port: number): string {
  const address = new URL(url);
  address.port = String(port);
  return address.href;
}
