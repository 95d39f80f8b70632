// `tailrace retry`: makes failed events due now and parked ones due again, and has their destinations probed at once
// that a processor has stopped sending to because they kept failing. The processor is not asked; it finds them due.

import { codeOf, TailraceError } from '../lib/errors.ts';
import { findDestinations } from './known-destinations.ts';
import { checkSchema, QUEUE_TABLE } from './schema.ts';
import { numbers, type Session } from './session.ts';
import { ASK_RETRY_SQL } from './sql/lanes.ts';
import { DUE_NOW_SQL, NO_LONGER_TOO_LARGE_SQL } from './sql/retry.ts';
import { CLEAR_BITS_SQL } from './sql/settle.ts';
import { readQueueTable } from './table.ts';

/** Pairs of one transaction: short enough that a processor that settles the same events hardly waits. */
const CHUNK = 10_000;
/** A settlement of the running processor and a chunk may lock the same rows in another order. */
const DEADLOCK = '40P01';

export interface RetryWanted {
  /** The destination's name or key as `status` shows it; null = all. */
  readonly destination: string | null;
  /** One event; null = all. */
  readonly id: string | null;
  /** Only what is parked. */
  readonly parked: boolean;
  /** Called after each chunk with the number of pairs that are due by then. */
  readonly onProgress?: (due: number) => void;
}

export interface Retried {
  /** (event, destination) pairs that are due now. */
  readonly due: number;
  /** Events that were too large and are looked at again. */
  readonly tooLarge: number;
}

/**
 * Safe to end at any moment and to run again.
 *
 * @throws {TailraceError} `DESTINATION_UNKNOWN`, with those that there are; `EVENT_NOT_FAILED` for an id that neither
 * failed nor is parked; those of `readQueueTable` and `checkSchema`.
 */
export async function retry(session: Session, wanted: RetryWanted): Promise<Retried> {
  const { destination, id } = wanted;
  await checkSchema(session, (await readQueueTable(session, QUEUE_TABLE, false)).oid);
  const named = destination === null ? [] : (await findDestinations(session, [destination])).map((each) => each.id);
  const { due, destinations } = await makeDue(session, named[0] ?? null, wanted);
  const tooLarge = destination === null ? await forgetTooLarge(session, id) : 0;
  if (id !== null && due + tooLarge === 0) {
    const where = destination === null ? 'anywhere' : `at "${destination}"`;
    throw new TailraceError('EVENT_NOT_FAILED', `the event ${id} has not failed ${where}; there is nothing to retry`);
  }
  const asked = [...new Set([...destinations, ...named])];
  if (asked.length > 0) await session.query(ASK_RETRY_SQL, [numbers(asked)]);
  return { due, tooLarge };
}

async function makeDue(
  session: Session,
  destinationId: string | null,
  { id, parked, onProgress }: RetryWanted,
): Promise<{ readonly due: number; readonly destinations: ReadonlySet<string> }> {
  const destinations = new Set<string>();
  let due = 0;
  let after: readonly [string, string] = ['0', '-9223372036854775808'];
  for (;;) {
    const rows = await persist(() => session.query(DUE_NOW_SQL, [destinationId, id, parked, ...after, CHUNK]));
    const [chunk] = rows;
    const [seen, changed, lastDestination, lastId, inChunk] = chunk ?? [];
    due += Number(changed);
    for (const each of String(inChunk ?? '').split(',')) if (each !== '') destinations.add(each);
    if (Number(seen) < CHUNK || lastDestination == null || lastId == null) return { due, destinations };
    after = [lastDestination, lastId];
    onProgress?.(due);
  }
}

async function persist<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (codeOf(error) !== DEADLOCK || attempt === 10) throw error;
    }
  }
}

/** Events parked before they were read: the reader looks at them again. */
async function forgetTooLarge(session: Session, id: string | null): Promise<number> {
  await session.query('BEGIN');
  try {
    const large = await session.query(NO_LONGER_TOO_LARGE_SQL, [id]);
    if (large.length > 0) {
      const ids = numbers(large.map(([each]) => String(each)));
      const zeros = numbers(large.map(() => 0));
      await session.query(CLEAR_BITS_SQL, [`{${large.map(() => 'X').join(',')}}`, zeros, zeros, ids]);
    }
    await session.query('COMMIT');
    return large.length;
  } catch (error) {
    if (!session.lost.aborted) await session.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}
