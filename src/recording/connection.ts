// The connection that recording inserts on. Knows which of PostgreSQL's errors speak of the server and not of an event.

import pg from 'pg';
import { databaseUnavailable } from '../lib/database-unavailable.ts';
import type { QueryClient } from './queue-table.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** SQLSTATE classes: connection, insufficient resources, operator intervention, system error. */
const SERVER_TROUBLE = /^(?:08|53|57|58)/;

export interface RecordingConnection extends QueryClient, AsyncDisposable {}

/**
 * Connects to the database of the queue table.
 *
 * @param database a connection URL; undefined: libpq's `PG*` variables.
 * @param applicationName shown in pg_stat_activity.
 * @returns a client whose queries throw a TailraceError `DATABASE_UNAVAILABLE` when the server is gone or in trouble, else pg's own error.
 * @throws {TailraceError} `DATABASE_UNAVAILABLE`.
 */
export async function openRecordingConnection(
  database: string | undefined,
  applicationName = 'tailrace record',
): Promise<RecordingConnection> {
  let client: pg.Client;
  try {
    // Its constructor throws for a URL that is none.
    client = new pg.Client({
      ...(database === undefined ? {} : { connectionString: database }),
      application_name: applicationName,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
    });
    client.on('error', () => {}); // the query under way, or the next one, fails with it
    await client.connect();
  } catch (cause) {
    throw databaseUnavailable(cause);
  }
  return {
    async query(sql, params) {
      try {
        return await client.query<Record<string, unknown>>(sql, params);
      } catch (cause) {
        const isAnswer = cause instanceof pg.DatabaseError && !SERVER_TROUBLE.test(cause.code ?? '');
        throw isAnswer ? cause : databaseUnavailable(cause);
      }
    },
    async [Symbol.asyncDispose]() {
      await client.end().catch(() => {});
    },
  };
}
