// Looking without touching: what `tailrace doctor` asks PostgreSQL runs in transactions that cannot write and cannot wait
// for long. All is set for the transaction alone, so that it holds through whatever pooler stands between, and stays with
// nobody afterwards.

import type { Session } from './session.ts';

const LIMITS_SQL = `SELECT set_config('statement_timeout', '5s', true), set_config('lock_timeout', '1s', true)`;

/** Runs `work` in a transaction in which nothing can be written, no statement takes 5 s and no lock is waited for longer than 1 s. */
export async function readOnly<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.query('BEGIN READ ONLY');
  try {
    await session.query(LIMITS_SQL);
    return await work();
  } finally {
    if (!session.lost.aborted) await session.query('ROLLBACK').catch(() => undefined);
  }
}
