// A producer for tests of rotation: events come in all the time, and each id is remembered.

import { setTimeout as sleep } from 'node:timers/promises';
import type { TestDatabase } from './postgres.ts';

/**
 * Inserts 20 events at a time until it is disposed of.
 *
 * @param options.email of each event.
 * @param options.pauseMs between two inserts.
 */
export function insertSteadily(
  database: TestDatabase,
  { email = 'a@example.com', pauseMs = 10 }: { readonly email?: string; readonly pauseMs?: number } = {},
): AsyncDisposable & { readonly ids: string[] } {
  const ids: string[] = [];
  let isOver = false;
  const sql = `INSERT INTO events (event_type, event_time, email)
    SELECT 'scomp', 1700000000, $1::text FROM generate_series(1, 20) RETURNING id`;
  const producing = (async () => {
    while (!isOver) {
      ids.push(...(await database.query<{ id: string }>(sql, [email])).map(({ id }) => id));
      await sleep(pauseMs);
    }
  })();
  return {
    ids,
    async [Symbol.asyncDispose]() {
      isOver = true;
      await producing;
    },
  };
}
