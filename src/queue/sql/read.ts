// The statements that read the queue. Where a statement takes an id window, the window bounds what is scanned, not only
// what is returned: ten million foreign rows or dead entries in front must not make one query last for seconds (QUEUE B5).

import { MAX_BATCH_BYTES, MAX_BATCH_EVENTS } from '../../flow/batch.ts';
import { ownBlocksSql } from '../slots.ts';
import type { QueueTable } from '../table.ts';

/** Above what any row may have, and few enough for a sum of integers: one of bigints is a numeric, and three times as slow. */
const MANY_BYTES = 2 ** 30;

/**
 * A page: $1 < id <= $2, at most 2,000 rows and 4 MiB of text (the first row always passes); it ends before a row above $3 octets.
 * Columns: those of the shape. Its last id is found first, from sizes alone: to carry whole rows through the window takes
 * twice as long (8.0 ms against 4.6 a page).
 */
export const pageSql = (table: QueueTable): string => `
SELECT ${table.selectList} FROM ${table.name} WHERE id > $1::int8 AND id <= (
  SELECT max(id) FROM (
    SELECT id, sum(bytes) OVER w - bytes AS before, max(bytes) OVER w AS largest
    FROM (SELECT id, least(${table.bytes}, ${MANY_BYTES})::int4 AS bytes FROM ${table.name}
          WHERE id > $1::int8 AND id <= $2::int8${table.ours} ORDER BY id LIMIT ${MAX_BATCH_EVENTS}) e
    WINDOW w AS (ORDER BY id ROWS UNBOUNDED PRECEDING)
  ) x WHERE before < ${MAX_BATCH_BYTES} AND largest <= $3::int4
)${table.ours} ORDER BY id LIMIT ${MAX_BATCH_EVENTS}`;

/** What is there after $1, up to $2, without its text: id, octets. The idle poll, and the way past rows that are too large. */
export const peekSql = (table: QueueTable): string =>
  `SELECT id, ${table.bytes} FROM ${table.name} WHERE id > $1::int8 AND id <= $2::int8${table.ours} ORDER BY id LIMIT ${MAX_BATCH_EVENTS}`;

/** Which of the ids $1 are there, with their octets: asked before any text is fetched. */
export const sizesSql = (table: QueueTable): string =>
  `SELECT id, ${table.bytes} FROM ${table.name} WHERE id = ANY($1::int8[])${table.ours} ORDER BY id`;

/** Rows by id: the columns of the shape. */
export const rowsSql = (table: QueueTable): string =>
  `SELECT ${table.selectList} FROM ${table.name} WHERE id = ANY($1::int8[])${table.ours} ORDER BY id`;

/** The first id after $1 and the last of all, ours or not: two looks at the index. */
export const boundsSql = (table: QueueTable): string =>
  `SELECT (SELECT min(id) FROM ${table.name} WHERE id > $1::int8), (SELECT max(id) FROM ${table.name})`;

/** The oldest transaction still running, and the next one to come: tells when every transaction of a moment has ended. */
export const SNAPSHOT_SQL = 'SELECT pg_snapshot_xmin(s)::text, pg_snapshot_xmax(s)::text FROM pg_current_snapshot() s';

/**
 * Ledger bits that say "settled before" in the blocks $1: kind, block, bits. Asked AFTER rows have arrived. Not joined
 * into the page: with stale statistics the planner makes rows × all blocks of it (QUEUE B4).
 */
export const EXCLUDED_SQL = `
SELECT kind::text, block, ids FROM tailrace.ledger
WHERE kind IN ('L', 'S', 'X') AND destination_id = 0 AND generation = 0 AND block = ANY($1::int8[])`;

/** Whether the ledger says "settled before" of anything between the ids $1 and $2. */
export const anyExcludedSql = ({ shard }: QueueTable): string => `
SELECT EXISTS (SELECT FROM tailrace.ledger WHERE kind IN ('L', 'S', 'X') AND destination_id = 0 AND generation = 0
               AND block BETWEEN $1::int8 >> 10 AND $2::int8 >> 10${ownBlocksSql(shard, 'block')})`;

/** Most blocks that one window of the sweep returns, and so most ids that it holds in memory: 262,144. */
export const SWEEP_BLOCKS = 256;

/**
 * One window of the sweep, $1 <= id <= $2 (whole blocks of 1,024), kinds $3: block, fresh = rows that no settlement
 * excludes, orphaned = excluded ids whose row is gone.
 */
export const sweepSql = (table: QueueTable): string => `
SELECT block, coalesce(w.present, z) & ~coalesce(l.ids, z) AS fresh, coalesce(l.ids, z) & ~coalesce(w.present, z) AS orphaned
FROM (SELECT id::int8 >> 10 AS block, bit_or(set_bit(repeat('0', 1024)::bit(1024), (id & 1023)::int, 1)) AS present
      FROM ${table.name} WHERE id >= $1::int8 AND id <= $2::int8${table.ours} GROUP BY 1) w
FULL JOIN (SELECT block, bit_or(ids) AS ids FROM tailrace.ledger
           WHERE kind = ANY($3::"char"[]) AND destination_id = 0 AND generation = 0 AND block BETWEEN $1::int8 >> 10 AND $2::int8 >> 10${ownBlocksSql(table.shard, 'block')} GROUP BY block) l USING (block)
CROSS JOIN (SELECT repeat('0', 1024)::bit(1024) AS z) c
WHERE coalesce(w.present, z) <> coalesce(l.ids, z) ORDER BY block LIMIT ${SWEEP_BLOCKS}`;

/** Lowest bigint: where a round of the sweep begins. */
export const MIN_ID = '-9223372036854775808';
/** Highest bigint: no window ends behind it. */
export const MAX_ID = 9_223_372_036_854_775_807n;

/** The first id at or after $1 that the table (ours or not) or the ledger names; null = none. */
export const nextIdSql = (table: QueueTable): string => `
SELECT least((SELECT min(id) FROM ${table.name} WHERE id >= $1::int8), (SELECT min(block) << 10 FROM tailrace.ledger WHERE block >= $1::int8 >> 10))`;
