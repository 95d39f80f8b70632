// One connection to PostgreSQL. This file alone knows how a connection dies: every query has a deadline of its own, a
// dead back end aborts `lost`, and nothing that waits on this session can wait for ever (pg by itself leaves a query
// stream whose back end was killed unsettled, and a query_timeout leaves a half-open client in use: node-postgres #3399).

import { type EventEmitter, once } from 'node:events';
import pg from 'pg';
import QueryStream from 'pg-query-stream';
import type { RawValue } from '../event/event.ts';
import { databaseUnavailable } from '../lib/database-unavailable.ts';
import { codeOf } from '../lib/errors.ts';
import { asUtf8, type RowPage, RowTap } from './row-tap.ts';

/** Longer than any statement of ours may take (`statement_timeout` ends it first); then the socket is given up. */
const QUERY_DEADLINE_MS = 60_000;
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * Just-in-time compilation costs 100 ms a statement here and parallel workers gain nothing; before a table has statistics
 * a bitmap scan looks cheap and sorts a whole window for each page (300,000 rows: 39 s against 11); COMMIT must mean that it
 * survives a crash, whatever the server's default; a peer that is gone without a word must lose its locks in seconds; a
 * statement that waited for a lock must see what was committed meanwhile (a revoked epoch), not fail with 40001.
 * A database that does not look at its bytes (SQL_ASCII) would refuse to send a page with one row in it that is no UTF-8:
 * it is asked for the bytes as they are, and what is no UTF-8 becomes U+FFFD here.
 */
const SESSION_SETTINGS = `
  SET default_transaction_isolation = 'read committed';
  SET jit = off; SET max_parallel_workers_per_gather = 0; SET enable_bitmapscan = off; SET synchronous_commit = on; SET TimeZone = 'UTC';
  SET statement_timeout = '30s'; SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s';
  SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3; SET tcp_user_timeout = 5000;
  SET datestyle = 'ISO'; SET extra_float_digits = 1; SET bytea_output = 'hex'; SET client_min_messages = warning;
  SELECT set_config('client_encoding', 'SQL_ASCII', false) WHERE current_setting('server_encoding') = 'SQL_ASCII';
  SELECT pg_backend_pid(), current_setting('server_encoding')`;

/** Every value as PostgreSQL's text: nothing is parsed that is only passed on, and no digit of a bigint is lost. */
const RAW_TEXT = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;

export type RawRow = readonly RawValue[];

export interface SessionOptions {
  /** undefined: libpq's PG* variables. */
  readonly database: string | undefined;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** How long a query may go without an answer before the connection is given up; default 60,000. */
  readonly queryDeadlineMs?: number;
}

export class Session {
  readonly #client: pg.Client;
  readonly #tap: RowTap;
  readonly #queryDeadlineMs: number;
  readonly #lost = new AbortController();
  #turn: Promise<void> = Promise.resolve();
  #backEnd = '';
  /** The database does not look at its bytes: they may be no UTF-8. */
  #anyBytes = false;

  private constructor(client: pg.Client, tap: RowTap, queryDeadlineMs = QUERY_DEADLINE_MS) {
    this.#client = client;
    this.#tap = tap;
    this.#queryDeadlineMs = queryDeadlineMs;
    client.on('error', (error) => this.#lose(error));
    client.on('end', () => this.#lose(new Error('the connection was closed')));
  }

  /**
   * Connects and applies the session settings.
   *
   * @throws {TailraceError} `DATABASE_UNAVAILABLE` (exit 69), with what the server or the network said.
   */
  static async open(options: SessionOptions): Promise<Session> {
    const tap = new RowTap();
    let client: pg.Client;
    try {
      client = new pg.Client({
        ...(options.database === undefined ? {} : { connectionString: options.database }),
        application_name: options.applicationName,
        connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
        keepAlive: true,
        stream: tap.socket,
      });
      client.on('error', () => undefined);
      tap.attach(client);
      await client.connect();
    } catch (error) {
      throw databaseUnavailable(error);
    }
    const session = new Session(client, tap, options.queryDeadlineMs);
    try {
      const results = await session.#inTurn(() => client.query({ text: SESSION_SETTINGS, rowMode: 'array' }));
      // Several statements in one text have several results, which pg's types do not know.
      const [backEnd, encoding] = ([] as pg.QueryArrayResult[]).concat(results).at(-1)?.rows[0] ?? [];
      session.#backEnd = String(backEnd);
      session.#anyBytes = encoding === 'SQL_ASCII';
    } catch (error) {
      await session.close();
      throw databaseUnavailable(error);
    }
    return session;
  }

  /** Aborts, with the error as its reason, when the connection is gone for whatever cause. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** The server process that the session settings were made in, and that every statement must reach. */
  get backEnd(): string {
    return this.#backEnd;
  }

  /** The server process that was announced when the connection was made; a pooler announces another one. */
  get announcedBackEnd(): string {
    const { processID } = this.#client as unknown as { processID: number | null };
    return String(processID);
  }

  /**
   * Runs a statement and returns its rows as raw text.
   *
   * @param name prepares the statement once per session under this name.
   * @throws the server's error, or the reason of `lost`.
   */
  async query(sql: string, values: readonly unknown[] = [], name?: string): Promise<readonly RawRow[]> {
    const config = {
      text: sql,
      values: [...values],
      rowMode: 'array' as const,
      types: RAW_TEXT,
      ...(name ? { name } : {}),
    };
    const result = await this.#inTurn(() => this.#client.query<RawValue[]>(config));
    return result.rows;
  }

  /**
   * Reads a page through a query stream whose portal runs to its end in one fetch, so that no snapshot outlives it.
   *
   * @param maxRows above the statement's LIMIT.
   */
  async page(sql: string, values: readonly unknown[], maxRows: number): Promise<RowPage> {
    const page = await this.#inTurn(async () => {
      this.#tap.open();
      const stream = this.#client.query(new QueryStream(sql, [...values], { batchSize: maxRows }));
      stream.resume();
      await once(stream, 'end').catch((error: unknown) => {
        this.#tap.close();
        throw error;
      });
      return this.#tap.close();
    });
    return this.#anyBytes ? asUtf8(page) : page;
  }

  /** Calls back for every NOTIFY on `channel`. */
  async listen(channel: string, onNotify: () => void): Promise<void> {
    (this.#client as EventEmitter).on('notification', onNotify);
    await this.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
  }

  /** Ends the session; the server rolls back what was open. Safe to call twice. */
  async close(): Promise<void> {
    if (this.lost.aborted) return;
    const ended = this.#client.end().catch(() => undefined);
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 1_000).unref())]);
    this.#lose(new Error('the session was closed'));
  }

  /** One statement at a time, in the order of the calls (pg gives up queueing them); none outlives the connection. */
  async #inTurn<T>(send: () => Promise<T>): Promise<T> {
    const before = this.#turn;
    let end: () => void = () => undefined;
    this.#turn = new Promise((resolve) => {
      end = resolve;
    });
    await before;
    try {
      return await this.#guard(send);
    } finally {
      end();
    }
  }

  /** Runs a statement with its deadline. */
  #guard<T>(send: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.lost.throwIfAborted();
      const deadline = setTimeout(
        () => this.#lose(new Error(`no answer within ${this.#queryDeadlineMs / 1000} s`)),
        this.#queryDeadlineMs,
      );
      const end = (): void => {
        clearTimeout(deadline);
        this.lost.removeEventListener('abort', onLost);
      };
      // What pg promises may stay unsettled then: nothing of it may keep the process alive.
      const onLost = (): void => {
        end();
        reject(this.lost.reason);
      };
      this.lost.addEventListener('abort', onLost, { once: true });
      send()
        .finally(end)
        .then(resolve, (error) => reject(isConnectionLoss(error) ? databaseUnavailable(error) : error));
    });
  }

  #lose(cause: unknown): void {
    if (this.lost.aborted) return;
    this.#lost.abort(databaseUnavailable(cause));
    const { connection } = this.#client as unknown as { connection: { stream: { destroy(): void } } };
    connection.stream.destroy();
  }
}

/** Quotes a column or table name for use in SQL text. */
export const quoteName = (name: string): string => pg.escapeIdentifier(name);

/** A PostgreSQL array of numbers as text: a tenth of the time that pg takes to quote each element. */
export const numbers = (values: readonly (string | number)[]): string => `{${values.join(',')}}`;

/** True when the session itself is gone or refused, so that only a new one can help. */
export function isConnectionLoss(error: unknown): boolean {
  return codeOf(error) === 'DATABASE_UNAVAILABLE' || /^(57P0[1-4]|08...|25006)$/.test(codeOf(error) ?? '');
}
