// The statements that settle (QUEUE.md, "Statements"). Each names our epoch through the fence, so that a process that
// was only stalled can settle nothing after it was replaced; the sequence number makes a replay after a lost COMMIT
// answer harmless.

import { ownBlocksSql } from '../slots.ts';
import type { QueueTable } from '../table.ts';

/** Advances the epoch $1 to settlement $2: no row = revoked, or settled already. */
export const FENCE_SQL =
  'UPDATE tailrace.writer SET settled_seq = $2 WHERE epoch = $1 AND NOT revoked AND settled_seq < $2 RETURNING 1';

/** Which of the two it was: revoked, newest settlement. */
export const FENCE_STATE_SQL = 'SELECT revoked, settled_seq FROM tailrace.writer WHERE epoch = $1';

/** The fast path: epoch $1, settlement $2, and the ids $3 go, none of which was ever in the ledger. Returns 0 or 1. */
export const settleGoneSql = (table: QueueTable): string => `
WITH fence AS (${FENCE_SQL}),
     gone AS (DELETE FROM ${table.name} WHERE id = ANY($3::int8[]) AND EXISTS (SELECT FROM fence))
SELECT count(*) FROM fence`;

export const deleteSql = (table: QueueTable): string => `DELETE FROM ${table.name} WHERE id = ANY($1::int8[])`;

export const markSql = (table: QueueTable): string =>
  `UPDATE ${table.name} SET processed = true WHERE id = ANY($1::int8[]) AND processed IS NOT TRUE`;

/** Parallel arrays: kinds, destinations, generations, ids. Rows are locked in one order, so that two shards cannot deadlock. */
export const SET_BITS_SQL = `
INSERT INTO tailrace.ledger AS l (kind, destination_id, generation, block, ids)
SELECT k::"char", d, g, id >> 10, bit_or(set_bit(repeat('0', 1024)::bit(1024), (id & 1023)::int, 1))
FROM unnest($1::text[], $2::int2[], $3::int4[], $4::int8[]) AS u(k, d, g, id) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (kind, destination_id, generation, block) DO UPDATE SET ids = l.ids | excluded.ids`;

export const CLEAR_BITS_SQL = `
WITH m AS (SELECT k::"char" AS k, d, g, id >> 10 AS block, bit_or(set_bit(repeat('0', 1024)::bit(1024), (id & 1023)::int, 1)) AS ids
           FROM unnest($1::text[], $2::int2[], $3::int4[], $4::int8[]) AS u(k, d, g, id) GROUP BY 1, 2, 3, 4),
     locked AS (SELECT l.kind, l.destination_id, l.generation, l.block, m.ids FROM tailrace.ledger l
                JOIN m ON l.kind = m.k AND l.destination_id = m.d AND l.generation = m.g AND l.block = m.block ORDER BY 1, 2, 3, 4 FOR UPDATE OF l)
UPDATE tailrace.ledger l SET ids = l.ids & ~c.ids FROM locked c
WHERE l.kind = c.kind AND l.destination_id = c.destination_id AND l.generation = c.generation AND l.block = c.block`;

/** Parallel arrays: destinations, ids, parked, generations, attempts, milliseconds to wait, errors. */
export const FAIL_SQL = `
INSERT INTO tailrace.pending AS p (destination_id, event_id, parked, generation, attempts, next_attempt_at, last_error)
SELECT d, id, parked, g, attempts, clock_timestamp() + wait_ms * interval '1 ms', left(err, 300)
FROM unnest($1::int2[], $2::int8[], $3::bool[], $4::int4[], $5::int4[], $6::float8[], $7::text[]) AS u(d, id, parked, g, attempts, wait_ms, err)
ORDER BY d, id
ON CONFLICT (destination_id, event_id) DO UPDATE SET parked = excluded.parked, generation = excluded.generation,
  attempts = excluded.attempts, next_attempt_at = excluded.next_attempt_at, last_error = excluded.last_error`;

/** Parallel arrays: destinations, ids. */
export const UNFAIL_SQL =
  'DELETE FROM tailrace.pending p USING unnest($1::int2[], $2::int8[]) AS u(d, id) WHERE p.destination_id = u.d AND p.event_id = u.id';

/** Each minute: rows of ours with no id in them (a partial index for it would cost the HOT updates). */
export const tidySql = ({ shard }: QueueTable): string =>
  `DELETE FROM tailrace.ledger WHERE ids = repeat('0', 1024)::bit(1024)${ownBlocksSql(shard, 'block')}`;
