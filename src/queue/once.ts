// `run --once`: when all that is due now is handled.

import type { Regime } from '../flow/batch.ts';
import { numbers, type Session } from './session.ts';
import type { Shard } from './slots.ts';
import { anythingDueSql } from './sql/due.ts';

/** The server's clock, as the limit of what counts as due: retries that fail again meanwhile are the next run's. */
export async function nowOf(session: Session): Promise<string> {
  const [row] = await session.query('SELECT clock_timestamp()');
  return String(row?.[0]);
}

/**
 * Whether an event waits at, or may be tried again at, one of the destinations in force.
 *
 * @param isOut destinations that nothing is sent to: paused, or failing all the time.
 */
export async function anythingDue(
  session: Session,
  shard: Shard,
  regime: Regime,
  before: string | null,
  isOut: (destinationId: number) => boolean = () => false,
): Promise<boolean> {
  const ids = regime.routes
    .filter(({ enabled, destinationId }) => enabled && !isOut(destinationId))
    .map(({ destinationId }) => destinationId);
  const [row] = await session.query(anythingDueSql(shard), [numbers(ids), regime.generation, before], 'anything_due');
  return row?.[0] === 't';
}
