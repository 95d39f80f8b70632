// The statements between a running processor and those who look at it or ask something of it.

import { ownBlocksSql, ownIdsSql, type Shard } from '../slots.ts';

/**
 * Every destination: number, paused, a value that changes whenever `tailrace retry` names it, and whether an event of the
 * shard's is due there or waits for it under generation $1. Not EXISTS, which the planner may turn into a hash of them all.
 */
export const controlsSql = (shard: Shard): string => `
SELECT destination_id, paused, extract(epoch FROM retry_asked), coalesce(
  (SELECT true FROM tailrace.pending p WHERE p.destination_id = t.destination_id AND generation = $1 AND NOT parked
   AND next_attempt_at <= now()${ownIdsSql(shard, 'event_id')} ORDER BY next_attempt_at LIMIT 1),
  (SELECT true FROM tailrace.ledger l WHERE kind = 'w' AND l.destination_id = t.destination_id AND generation = $1
   AND ids <> repeat('0', 1024)::bit(1024)${ownBlocksSql(shard, 'block')} ORDER BY block LIMIT 1), false)
FROM tailrace.destination t ORDER BY destination_id`;

/** The epoch $1 of the shard $6 says: parallel arrays of destinations, states, milliseconds until they end (null = never), events a second. */
export const REPORT_SQL = `
INSERT INTO tailrace.lane AS l (destination_id, shard, epoch, state, until, per_second, said_at)
SELECT d, $6, $1, state, clock_timestamp() + wait_ms * interval '1 ms', per_second, clock_timestamp()
FROM unnest($2::int2[], $3::text[], $4::float8[], $5::real[]) AS u(d, state, wait_ms, per_second) ORDER BY d
ON CONFLICT (destination_id, shard) DO UPDATE SET epoch = excluded.epoch, state = excluded.state, until = excluded.until,
  per_second = excluded.per_second, said_at = excluded.said_at WHERE l.epoch <= excluded.epoch`;

export const LIST_DESTINATIONS_SQL = 'SELECT destination_id, key FROM tailrace.destination ORDER BY key';

/** Sets the destinations $1 to paused = $2; returns the keys of those that were not so before. */
export const SET_PAUSED_SQL =
  'UPDATE tailrace.destination SET paused = $2 WHERE destination_id = ANY($1::int2[]) AND paused <> $2 RETURNING key';

export const ASK_RETRY_SQL =
  'UPDATE tailrace.destination SET retry_asked = clock_timestamp() WHERE destination_id = ANY($1::int2[])';
