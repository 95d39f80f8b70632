// Row 4: `custom_sql` into another PostgreSQL database and into MariaDB, against a loop that awaits one INSERT per event on
// one connection. Both sides write to the same durable server.

import mysql from 'mysql2/promise';
import { requireMariadb, startMariadb } from '../../helpers/mariadb.ts';
import { type Drain, drain, drained, inTurn } from '../drain.ts';
import { type Finding, finding, type Row } from '../finding.ts';
import { withClient } from '../queue.ts';
import { allTo, type Bench } from '../scene.ts';

const COLUMNS = ['event_unique_id', 'event_type', 'event_time', 'email', 'message'];
const CREATE = `CREATE TABLE target (event_unique_id varchar(64) PRIMARY KEY, event_type varchar(64), event_time bigint, email varchar(320), message text)`;
const INSERT = `INSERT INTO target (${COLUMNS.join(', ')}) VALUES`;
const FIVE = '(?, ?, ?, ?, ?)';
const SELECT = `SELECT ${COLUMNS.join(', ')} FROM events ORDER BY id`;
/** As many events as in the other rows, lest the start of the process count; a part for the loop, which takes its time. */
const LOOP_PART = 60;
const MARIADB_SETTINGS = ['--innodb-buffer-pool-size=256M'];

/** A server that events are inserted into. */
interface Target {
  readonly name: string;
  readonly dsn: string;
  empty(): Promise<void>;
  count(): Promise<number>;
  /** Inserts the rows as a script does, one after another, each awaited. */
  loop(rows: readonly unknown[][]): Promise<void>;
}

export const sqlRow: Row = {
  name: 'sql',
  number: 4,
  title: 'custom_sql INSERT into PostgreSQL and into MariaDB',
  async run(bench) {
    const findings = [await measure(bench, await postgresTarget(bench))];
    if (!requireMariadb()) return [...findings, finding({ what: 'into MariaDB', skipped: 'MariaDB is not installed' })];
    await using mariadb = await startMariadb(MARIADB_SETTINGS);
    const { url } = await mariadb.createDatabase();
    return [...findings, await measure(bench, await mariadbTarget(url))];
  },
};

async function measure(bench: Bench, target: Target): Promise<Finding> {
  const events = Math.max(100, bench.options.events);
  const config = allTo({ type: 'custom_sql', db_dsn: target.dsn, sql: `${INSERT} ${FIVE}`, bind_list: COLUMNS });
  const drains: Drain[] = [];
  const theirs: number[] = [];
  const expectRows = async (expected: number): Promise<void> => {
    const rows = await target.count();
    if (rows !== expected) throw new Error(`${target.name} holds ${rows} rows of ${expected}`);
    await target.empty();
  };
  await inTurn(
    bench,
    `sql, ${target.name}`,
    async () => {
      const loopEvents = Math.ceil(events / LOOP_PART);
      theirs.push(await loopRate(bench, target, loopEvents));
      await expectRows(loopEvents);
    },
    async () => {
      drains.push(await drain(bench, events, config));
      await expectRows(events);
    },
  );
  return drained(
    {
      what: `into ${target.name}, ${events.toLocaleString('en-US')} events`,
      against: { label: 'one INSERT after another', unit: 'events/s', values: theirs },
      goal: { of: 'ratio', sign: '>=', limit: 8 },
    },
    drains,
  );
}

/** The rows are read before the clock runs. */
async function loopRate(bench: Bench, target: Target, events: number): Promise<number> {
  await using queue = await bench.queues.create(events);
  const rows = await queue.query(SELECT);
  const values = rows.map((row) => COLUMNS.map((column): unknown => row[column]));
  const began = performance.now();
  await target.loop(values);
  return events / ((performance.now() - began) / 1000);
}

/** Another database of the bench's own server; it goes with the server. */
async function postgresTarget(bench: Bench): Promise<Target> {
  const { url, query } = await bench.queues.empty();
  await query(CREATE);
  return {
    name: 'PostgreSQL',
    dsn: url,
    empty: async () => {
      await query('TRUNCATE target');
    },
    count: async () => Number((await query<{ count: string }>('SELECT count(*) FROM target'))[0]?.count),
    loop: (rows) =>
      withClient(url, async (client) => {
        for (const values of rows) {
          await client.query({ name: 'insert', text: `${INSERT} ($1, $2, $3, $4, $5)`, values });
        }
      }),
  };
}

async function mariadbTarget(url: string): Promise<Target> {
  const connected = async <T>(use: (connection: mysql.Connection) => Promise<T>): Promise<T> => {
    const connection = await mysql.createConnection(url);
    try {
      return await use(connection);
    } finally {
      await connection.end();
    }
  };
  await connected((connection) => connection.query(CREATE));
  return {
    name: 'MariaDB',
    dsn: url,
    empty: async () => {
      await connected((connection) => connection.query('TRUNCATE target'));
    },
    count: () =>
      connected(async (connection) => {
        const [rows] = await connection.query<mysql.RowDataPacket[]>('SELECT count(*) AS rows_there FROM target');
        return Number(rows[0]?.rows_there);
      }),
    loop: (rows) =>
      connected(async (connection) => {
        // Texts and numbers as PostgreSQL's driver gives them.
        for (const values of rows) await connection.execute(`${INSERT} ${FIVE}`, values as (string | number | null)[]);
      }),
  };
}
