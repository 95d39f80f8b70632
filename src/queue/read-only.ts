// A short look at several things of one moment, in which nothing can be written. Not a setting of the session: behind a
// pooler that would stay with the connection, and reach whoever gets it next.

import type { Session } from './session.ts';

const BEGIN_SQL = 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY';

/** Does some queries on one snapshot. To be short: as long as it lasts, the vacuum removes nothing that ends meanwhile. */
export async function readOnly<T>(session: Session, work: () => Promise<T>): Promise<T> {
  await session.query(BEGIN_SQL);
  try {
    return await work();
  } finally {
    // Ends a transaction that an error has broken as well.
    if (!session.lost.aborted) await session.query('COMMIT');
  }
}
