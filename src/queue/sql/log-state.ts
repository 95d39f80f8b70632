// The statements behind `verify-log --database`.

import type { QueueTable } from '../table.ts';

/** Sets of events that have their line, behind the block $1: block, bits. */
export const LOGGED_SQL = `
SELECT block, ids FROM tailrace.ledger
WHERE kind = 'L' AND destination_id = 0 AND generation = 0 AND block > $1::int8 ORDER BY block LIMIT 1024`;

/** Rows with the ids $1 whose event happened at $2 (seconds since the epoch) or later: id, type, time. */
export const youngRowsSql = (table: QueueTable): string => `
SELECT id, event_type, event_time FROM ${table.name}
WHERE id = ANY($1::int8[]) AND event_time >= $2::float8${table.ours} ORDER BY id`;

/** The unique ids of the rows $1: id, unique id. */
export const uniqueIdsSql = (table: QueueTable): string =>
  `SELECT id, event_unique_id FROM ${table.name} WHERE id = ANY($1::int8[])${table.ours}`;
