// The connection that recording inserts on. Knows which of PostgreSQL's errors speak of the server and not of an event.

import { finished } from 'node:stream/promises';
import pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { databaseUnavailable } from '../lib/database-unavailable.ts';
import type { QueryClient } from './queue-table.ts';

const CONNECT_TIMEOUT_MS = 10_000;

/** SQLSTATE classes: connection, insufficient resources, operator intervention, system error. */
const SERVER_TROUBLE = /^(?:08|53|57|58)/;

/** A client that can send rows by COPY. */
export interface CopyClient extends QueryClient {
  /**
   * Runs `COPY … FROM STDIN`.
   *
   * @param pieces the data, in pieces that may end anywhere; all of it is held until PostgreSQL has taken it.
   */
  copyIn(sql: string, pieces: Iterable<Buffer>): Promise<void>;
}

export interface RecordingConnection extends CopyClient, AsyncDisposable {
  /** @param name prepares the statement under it on this connection; the same name always means the same SQL. */
  query(sql: string, params?: unknown[], name?: string): Promise<{ rows: unknown[] }>;
}

export interface ConnectionOptions {
  /** How long an answer may take; then the query fails as it does when the server is gone. Default: for ever. */
  readonly queryTimeoutMs?: number;
  /** Called when the connection breaks, whether a query is under way or not. */
  readonly onLost?: () => void;
}

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
  { queryTimeoutMs, onLost }: ConnectionOptions = {},
): Promise<RecordingConnection> {
  let client: pg.Client;
  try {
    // Its constructor throws for a URL that is none.
    client = new pg.Client({
      ...(database === undefined ? {} : { connectionString: database }),
      application_name: applicationName,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      ...(queryTimeoutMs === undefined ? {} : { query_timeout: queryTimeoutMs }),
    });
    client.on('error', () => onLost?.()); // the query under way, or the next one, fails with it
    await client.connect();
  } catch (cause) {
    throw databaseUnavailable(cause);
  }
  return {
    async query(sql, params, name) {
      try {
        return await client.query<Record<string, unknown>>({
          text: sql,
          ...(params && { values: params }),
          ...(name && { name }),
        });
      } catch (cause) {
        throw translated(cause);
      }
    },
    async copyIn(sql, pieces) {
      try {
        const stream = client.query(copyFrom(sql));
        // At once, and before the library lets go of the connection: what it still holds would be written to it later.
        stream.on('error', () => stream.destroy());
        for (const piece of pieces) stream.write(piece);
        stream.end();
        await finished(stream);
      } catch (cause) {
        throw translated(cause);
      }
    },
    async [Symbol.asyncDispose]() {
      await client.end().catch(() => {});
    },
  };
}

/** PostgreSQL's own error when it speaks of the statement. */
function translated(cause: unknown): unknown {
  const isAnswer = cause instanceof pg.DatabaseError && !SERVER_TROUBLE.test(cause.code ?? '');
  return isAnswer ? cause : databaseUnavailable(cause);
}
