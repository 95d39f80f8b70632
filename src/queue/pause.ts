// `tailrace pause` and `resume`: what is paused is kept in PostgreSQL. A processor looks every 800 ms, and at its start
// before it sends anything.

import { findDestinations, type KnownDestination } from './known-destinations.ts';
import { checkSchema, QUEUE_TABLE } from './schema.ts';
import { numbers, type Session } from './session.ts';
import { SET_PAUSED_SQL } from './sql/lanes.ts';
import { readQueueTable } from './table.ts';

export interface PausedDestination extends KnownDestination {
  /** false: it was so before. */
  readonly changed: boolean;
}

/**
 * Pauses destinations or lets them go on.
 *
 * @param keys as `status` shows them; `all` = every one that a processor has ever seen.
 * @throws {TailraceError} `DESTINATION_UNKNOWN`, those of `readQueueTable` and `checkSchema`.
 */
export async function setPaused(
  session: Session,
  keys: readonly string[] | 'all',
  paused: boolean,
): Promise<readonly PausedDestination[]> {
  await checkSchema(session, (await readQueueTable(session, QUEUE_TABLE, false)).oid);
  const destinations = await findDestinations(session, keys);
  const rows = await session.query(SET_PAUSED_SQL, [numbers(destinations.map(({ id }) => id)), paused]);
  const changed = new Set(rows.map(([key]) => key));
  return destinations.map((each) => ({ ...each, changed: changed.has(each.key) }));
}
