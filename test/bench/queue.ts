// Queue tables for the bench. One database holds the fixture's rows as a seed; a queue of a certain length is made from it
// once and then copied for each round, so that each round starts from the same pages.

import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { run, tailrace } from './measured.ts';
import type { BenchServer } from './server.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/events.jsonl', import.meta.url));
/** The fixture holds a few texts of 60 kB that would make one round's mix unlike the next one's. */
const MOST_BYTES_OF_A_ROW = 4_000;
const SEED = 'bench_seed';

/** Half `delivery_attempt`, half the other types in the fixture's mix, each with an id and a unique id of its own. */
const SEED_SQL = `
CREATE SCHEMA bench;
CREATE TABLE bench.seed AS
  SELECT (event_type = 'delivery_attempt') AS attempt,
         row_number() OVER (PARTITION BY event_type = 'delivery_attempt' ORDER BY id) - 1 AS slot, events.*
  FROM events WHERE pg_column_size(events.*) < ${MOST_BYTES_OF_A_ROW};
CREATE UNIQUE INDEX ON bench.seed (attempt, slot);
TRUNCATE events`;
const SLOTS_SQL =
  'SELECT count(*) FILTER (WHERE attempt) AS attempts, count(*) FILTER (WHERE NOT attempt) AS others FROM bench.seed';

export interface Queue extends AsyncDisposable {
  readonly url: string;
  readonly database: string;
  readonly events: number;
  query<Row extends pg.QueryResultRow>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
}

export interface Queues {
  /** A database with so many events in its queue, checkpointed. Dropped with it. */
  create(events: number, options?: { readonly notify?: boolean }): Promise<Queue>;
  /** An empty database. */
  empty(): Promise<Queue>;
  /** Inserts one event of the mix and returns its id: a prepared statement with the parameters of `insertParams`. */
  readonly insert: { readonly name: string; readonly text: string };
  insertParams(n: number): unknown[];
}

/** @param folder of the bench. */
export async function createQueues(server: BenchServer, folder: string): Promise<Queues> {
  const admin = server.url('postgres');
  const strategy = await withClient(admin, async (client) => {
    await client.query(`CREATE DATABASE ${SEED}`);
    const { rows } = await client.query<{ server_version_num: string }>('SHOW server_version_num');
    // Files copied, not the write-ahead log of every page; older servers do so anyway.
    return Number(rows[0]?.server_version_num) >= 150_000 ? ' STRATEGY FILE_COPY' : '';
  });
  const options = { folder: await mkdtemp(join(folder, 'seed-')), env: { TAILRACE_DATABASE_URL: server.url(SEED) } };
  await run({ ...tailrace(['init']), ...options });
  await run({ ...tailrace(['record', '--all', FIXTURE]), ...options });
  const { columns, attempts, others } = await withClient(server.url(SEED), async (client) => {
    await client.query(SEED_SQL);
    const { rows: names } = await client.query<{ name: string }>(
      `SELECT quote_ident(attname) AS name FROM pg_attribute
       WHERE attrelid = 'events'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'event_unique_id')`,
    );
    const { rows } = await client.query<{ attempts: string; others: string }>(SLOTS_SQL);
    return { columns: names.map(({ name }) => name).join(', '), ...(rows[0] ?? { attempts: '0', others: '0' }) };
  });
  // The n-th event, from the same seed row at every run.
  const nth = `SELECT ${columns}, md5(n::text) || md5((-n)::text) FROM bench.seed
    WHERE attempt = (n % 2 = 0) AND slot = (n / 2) % CASE WHEN n % 2 = 0 THEN ${attempts} ELSE ${others} END`;
  const into = `INSERT INTO events (${columns}, event_unique_id)`;
  const template = createTemplates(
    server,
    folder,
    `${into} SELECT each.* FROM generate_series(0, $1::bigint - 1) AS n, LATERAL (${nth}) AS each`,
  );
  let copies = 0;

  const copyOf = async (events: number, source: string): Promise<Queue> => {
    copies += 1;
    const database = `bench_${copies}`;
    await withClient(admin, async (client) => {
      await client.query(`CREATE DATABASE ${database} TEMPLATE ${source}${strategy}`);
      // What the copy wrote shall not be on its way to the disk while a round is measured.
      await client.query('CHECKPOINT');
    });
    return open(server, database, events);
  };
  return {
    create: async (events, { notify = false } = {}) => copyOf(events, await template(events, notify)),
    empty: () => copyOf(0, 'template0'),
    insert: {
      name: 'bench_insert',
      text: `${into} SELECT each.* FROM (SELECT $1::bigint AS n) AS given, LATERAL (${nth}) AS each RETURNING id::text, event_unique_id AS key`,
    },
    // Unique ids below 0 are not those of the rows that are there already.
    insertParams: (n) => [n + 1_000_000_000],
  };
}

/** Makes the queue of a length once. */
function createTemplates(server: BenchServer, folder: string, fill: string) {
  const made = new Map<string, Promise<string>>();
  const make = async (events: number, notify: boolean, name: string): Promise<string> => {
    await withClient(server.url('postgres'), (client) => client.query(`CREATE DATABASE ${name} TEMPLATE ${SEED}`));
    if (notify) {
      const env = { TAILRACE_DATABASE_URL: server.url(name) };
      await run({ ...tailrace(['init', '--notify']), folder, env });
    }
    await withClient(server.url(name), async (client) => {
      await client.query(fill, [events]);
      await client.query('VACUUM (ANALYZE) events');
    });
    return name;
  };
  return (events: number, notify: boolean): Promise<string> => {
    const name = `bench_queue_${events}${notify ? '_notify' : ''}`;
    const already = made.get(name) ?? make(events, notify, name);
    made.set(name, already);
    return already;
  };
}

async function open(server: BenchServer, database: string, events: number): Promise<Queue> {
  const url = server.url(database);
  return {
    url,
    database,
    events,
    async query<Row extends pg.QueryResultRow>(sql: string, params: readonly unknown[] = []) {
      return withClient(url, async (client) => (await client.query<Row>(sql, [...params])).rows);
    },
    async [Symbol.asyncDispose]() {
      await withClient(server.url('postgres'), (admin) =>
        admin.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`),
      );
    },
  };
}

/** Connects, and ends the connection. */
export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
