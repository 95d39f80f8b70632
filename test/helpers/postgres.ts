// Databases for tests: a new one on the run's server for each test, or a server of its own for a test that breaks it.

import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import pg from 'pg';
import { inject } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';

/** Nothing of a test has to survive a power cut. */
export const TEST_SERVER_SETTINGS: Readonly<Record<string, string>> = {
  fsync: 'off',
  max_connections: '200',
  shared_buffers: '128MB',
};

export interface TestDatabaseOptions {
  /** For example `SQL_ASCII`; default UTF8. */
  readonly encoding?: string;
  /** A server of the test's own; default the run's server. */
  readonly server?: EmbeddedPostgres;
}

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  readonly name: string;
  /** Runs a statement on a connection that the helper keeps, and returns its rows. */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
  /** Another connection, for tests that need two at a time. Ended with the database. */
  client(): Promise<pg.Client>;
  /** Drops the database, whoever is still connected. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Creates an empty database: `await using database = await createTestDatabase()`. */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const urlOf = options.server?.url ?? urlOnTheRunsServer;
  const name = `test_${process.pid}_${randomBytes(6).toString('hex')}`;
  const encoding = options.encoding ? ` TEMPLATE template0 ENCODING '${options.encoding}' LOCALE_PROVIDER libc` : '';
  await withClient(urlOf('postgres'), (client) => client.query(`CREATE DATABASE ${name}${encoding}`));

  const url = urlOf(name);
  const clients: pg.Client[] = [];
  const client = async () => {
    const connected = await connect(url);
    clients.push(connected);
    return connected;
  };
  const main = await client();
  return {
    url,
    name,
    client,
    async query<Row extends pg.QueryResultRow>(sql: string, params: readonly unknown[] = []) {
      return (await main.query<Row>(sql, [...params])).rows;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(clients.map((each) => each.end().catch(() => {})));
      await withClient(urlOf('postgres'), (admin) => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    },
  };
}

/** Starts a server for one test, which may stop, restart or kill it. Removed at the end. */
export async function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<EmbeddedPostgres> {
  return startEmbeddedPostgres({ directory: tmpdir(), settings: { ...TEST_SERVER_SETTINGS, ...settings } });
}

function urlOnTheRunsServer(database: string): string {
  return `postgresql://postgres@/${database}?host=${inject('postgresSocketDirectory')}`;
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  // A test may kill the back end; the error shows at the next query.
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function withClient(url: string, use: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = await connect(url);
  try {
    await use(client);
  } finally {
    await client.end();
  }
}
