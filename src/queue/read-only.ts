// Looking without touching: transactions in which nothing can be written. Not a setting of the session: behind a pooler that
// would stay with the connection, and reach whoever gets it next.

import type { Session } from './session.ts';

const LIMITS_SQL = `SELECT set_config('statement_timeout', '5s', true), set_config('lock_timeout', '1s', true)`;

/** Does some queries on one snapshot. To be short: as long as it lasts, the vacuum removes nothing that ends meanwhile. */
export const readOnly = <T>(session: Session, work: () => Promise<T>): Promise<T> =>
  inTransaction(session, 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', work);

/** Does some queries of which none takes 5 s or waits for a lock for longer than 1 s. */
export const readBriefly = <T>(session: Session, work: () => Promise<T>): Promise<T> =>
  inTransaction(session, 'BEGIN READ ONLY', async () => {
    await session.query(LIMITS_SQL);
    return work();
  });

async function inTransaction<T>(session: Session, begin: string, work: () => Promise<T>): Promise<T> {
  await session.query(begin);
  try {
    return await work();
  } finally {
    // Ends a transaction that an error has broken as well.
    if (!session.lost.aborted) await session.query('ROLLBACK').catch(() => undefined);
  }
}
