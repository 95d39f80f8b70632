// Databases copied from one that is kept: a scene of its own for each of some hundred points, in a few milliseconds.

import pg from 'pg';
import { inject } from 'vitest';
import type { TestDatabase } from '../helpers/postgres.ts';

export interface Template extends AsyncDisposable {
  /** A copy of its own, dropped at its end. */
  copy(): Promise<TestDatabase>;
}

/** Copies a database. Whoever is connected to it is cut off, since PostgreSQL copies only what nobody uses. */
export async function createTemplate(name: string): Promise<Template> {
  const urlOf = (database: string): string =>
    `postgresql://postgres@/${database}?host=${inject('postgresSocketDirectory')}`;
  const admin = new pg.Client({ connectionString: urlOf('postgres') });
  await admin.connect();
  await admin.query('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1', [name]);
  let copies = 0;
  // One at a time: two copies wait for one another's lock anyway.
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = turn.then(work, work);
    turn = next.catch(() => undefined);
    return next;
  };
  return {
    async copy() {
      copies += 1;
      const copy = `${name}_${copies}`;
      await inTurn(() => admin.query(`CREATE DATABASE ${copy} TEMPLATE ${name}`));
      const url = urlOf(copy);
      const clients: pg.Client[] = [];
      const client = async (): Promise<pg.Client> => {
        const connected = new pg.Client({ connectionString: url });
        connected.on('error', () => undefined);
        await connected.connect();
        clients.push(connected);
        return connected;
      };
      const main = await client();
      return {
        url,
        name: copy,
        client,
        async query<Row extends pg.QueryResultRow = pg.QueryResultRow>(sql: string, params: readonly unknown[] = []) {
          return (await main.query<Row>(sql, [...params])).rows;
        },
        async [Symbol.asyncDispose]() {
          await Promise.all(clients.map((each) => each.end().catch(() => undefined)));
          await inTurn(() => admin.query(`DROP DATABASE IF EXISTS ${copy} WITH (FORCE)`));
        },
      };
    },
    async [Symbol.asyncDispose]() {
      await turn;
      await admin.end();
    },
  };
}
