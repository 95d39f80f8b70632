// The statements that find what is due again. They return ids only, from tailrace's own tables: the rows are fetched by
// id afterwards, and what has no row any more is then known to be an orphan, instead of hiding what stands behind it.
// Each looks into the slots of its shard only: generations compare within a shard, and another one's events have no row
// for us, which would make orphans of them.

import { ownBlocksSql, ownIdsSql, type Shard } from '../slots.ts';

/** Retries of destination $1 under generation $2 that are due by $3 (null = now), at most $4: event ids, oldest first. */
export const dueRetriesSql = (shard: Shard): string => `
SELECT event_id FROM tailrace.pending
WHERE destination_id = $1 AND generation = $2 AND NOT parked AND next_attempt_at <= coalesce($3::timestamptz, now())${ownIdsSql(shard, 'event_id')}
ORDER BY next_attempt_at LIMIT $4`;

/** Events that wait for destination $1 under generation $2, from block $3 on: block, bits. */
export const dueWaitingSql = (shard: Shard): string => `
SELECT block, ids FROM tailrace.ledger
WHERE kind = 'w' AND destination_id = $1 AND generation = $2 AND block >= $3 AND ids <> repeat('0', 1024)::bit(1024)${ownBlocksSql(shard, 'block')}
ORDER BY block LIMIT 8`;

/**
 * What was decided under a generation before $1: block, bits of what was left or waits; event id, null of what failed and
 * is not parked, since parked ones wait for `tailrace retry`.
 */
export const olderSql = (shard: Shard): string => `
(SELECT block, ids FROM tailrace.ledger
 WHERE kind = 'l' AND destination_id = 0 AND generation < $1 AND ids <> repeat('0', 1024)::bit(1024)${ownBlocksSql(shard, 'block')}
 ORDER BY generation, block LIMIT 8)
UNION ALL
(SELECT l.block, l.ids FROM tailrace.destination t CROSS JOIN LATERAL (
   SELECT block, ids FROM tailrace.ledger
   WHERE kind = 'w' AND destination_id = t.destination_id AND generation < $1 AND ids <> repeat('0', 1024)::bit(1024)${ownBlocksSql(shard, 'block')}
   ORDER BY generation, block LIMIT 8) l LIMIT 8)
UNION ALL
(SELECT p.event_id, NULL FROM tailrace.destination t CROSS JOIN LATERAL (
   SELECT event_id FROM tailrace.pending WHERE destination_id = t.destination_id AND NOT parked AND generation < $1${ownIdsSql(shard, 'event_id')}
   ORDER BY generation, next_attempt_at LIMIT 2000) p LIMIT 2000)`;

/**
 * The whole state of the events $1: id, kind, destination, generation, and for failures attempts, parked, error and
 * milliseconds until the next attempt.
 */
export const STATE_OF_SQL = `
SELECT p.event_id, 'f', p.destination_id, p.generation, p.attempts, p.parked, p.last_error,
       greatest(0, extract(epoch FROM p.next_attempt_at - clock_timestamp()) * 1000)
FROM tailrace.pending p WHERE p.event_id = ANY($1::int8[])
UNION ALL
SELECT u.id, l.kind::text, l.destination_id, l.generation, NULL, NULL, NULL, NULL
FROM (SELECT id >> 10 AS block, array_agg(id) AS ids FROM unnest($1::int8[]) id GROUP BY 1) b
CROSS JOIN LATERAL (SELECT * FROM tailrace.ledger WHERE block = b.block OFFSET 0) l
CROSS JOIN LATERAL unnest(b.ids) u(id) WHERE get_bit(l.ids, (u.id & 1023)::int) = 1`;

/** Whether anything is due for the destinations $1 under generation $2 by $3, or decided under an older generation. */
export const anythingDueSql = (shard: Shard): string => `
SELECT EXISTS (SELECT FROM tailrace.ledger WHERE kind = 'w' AND destination_id = ANY($1::int2[]) AND generation = $2
               AND ids <> repeat('0', 1024)::bit(1024)${ownBlocksSql(shard, 'block')})
    OR EXISTS (SELECT FROM tailrace.pending WHERE destination_id = ANY($1::int2[]) AND generation = $2 AND NOT parked
               AND next_attempt_at <= $3::timestamptz${ownIdsSql(shard, 'event_id')})`;
