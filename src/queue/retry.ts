// `tailrace retry`: makes failed events due now and parked ones due again. The processor is not asked; it finds them due.

import { TailraceError } from '../lib/errors.ts';
import { numbers, type Session } from './session.ts';
import { CLEAR_BITS_SQL } from './sql/settle.ts';

export interface RetryWanted {
  /** The destination's name or key as `status` shows it; null = all. */
  readonly destination: string | null;
  /** One event; null = all. */
  readonly id: string | null;
  /** Only what is parked. */
  readonly parked: boolean;
}

export interface Retried {
  /** (event, destination) pairs that are due now. */
  readonly due: number;
  /** Events that were too large and are looked at again. */
  readonly tooLarge: number;
}

/** A parked pair begins anew with its attempts, so that `max_attempts` gives it all of them. */
const DUE_NOW_SQL = `
UPDATE tailrace.pending SET parked = false, attempts = CASE WHEN parked THEN 0 ELSE attempts END, next_attempt_at = now()
WHERE destination_id <> 0 AND (destination_id = $1 OR $1 IS NULL) AND (event_id = $2 OR $2 IS NULL) AND (parked OR NOT $3)`;

const NO_LONGER_TOO_LARGE_SQL = `
DELETE FROM tailrace.pending WHERE destination_id = 0 AND (event_id = $1 OR $1 IS NULL) RETURNING event_id`;

/** @throws {TailraceError} `DESTINATION_UNKNOWN`, with those that there are. */
export async function retry(session: Session, { destination, id, parked }: RetryWanted): Promise<Retried> {
  const destinationId = destination === null ? null : await findDestination(session, destination);
  await session.query('BEGIN');
  try {
    const due = await session.query(`WITH due AS (${DUE_NOW_SQL} RETURNING 1) SELECT count(*) FROM due`, [
      destinationId,
      id,
      parked,
    ]);
    const large = destination === null ? await session.query(NO_LONGER_TOO_LARGE_SQL, [id]) : [];
    if (large.length > 0) {
      const ids = numbers(large.map(([each]) => String(each)));
      const zeros = numbers(large.map(() => 0));
      await session.query(CLEAR_BITS_SQL, [`{${large.map(() => 'X').join(',')}}`, zeros, zeros, ids]);
    }
    await session.query('COMMIT');
    return { due: Number(due[0]?.[0]), tooLarge: large.length };
  } catch (error) {
    if (!session.lost.aborted) await session.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

async function findDestination(session: Session, key: string): Promise<string> {
  const known = await session.query('SELECT destination_id, key FROM tailrace.destination ORDER BY key');
  const found = known.find(([, each]) => each === key)?.[0];
  if (found != null) return found;
  const names = known.map(([, each]) => `"${each}"`).join(', ') || 'none yet';
  throw new TailraceError('DESTINATION_UNKNOWN', `there is no destination "${key}"; there are: ${names}`);
}
