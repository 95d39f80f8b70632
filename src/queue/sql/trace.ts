// The statements behind `trace`: what the queue and tailrace's own tables say of single events.

import { quoteName } from '../session.ts';
import type { QueueTable } from '../table.ts';

const column = ({ shape }: QueueTable, name: string): string =>
  shape.indexOf.has(name) ? `${quoteName(name)}::text` : 'NULL';

/** Rows with the ids $1: id, type, time, unique id, done with, ours. */
export const tracedRowsSql = (table: QueueTable): string => `
SELECT id, event_type, ${column(table, 'event_time')}, ${column(table, 'event_unique_id')},
  ${table.hasProcessedColumn ? 'processed IS TRUE' : 'false'}, ${table.hasDestinationColumn ? 'coalesce(destination_id = 1, false)' : 'true'}
FROM ${table.name} WHERE id = ANY($1::int8[]) ORDER BY id`;

/** The ids with the unique id $1, at most $2: reads the whole table where it has no index for that. */
export const idsOfUniqueIdSql = (table: QueueTable): string =>
  `SELECT id FROM ${table.name} WHERE event_unique_id = $1 ORDER BY id LIMIT $2`;

/** What failed of the events $1: id, destination's key, parked, attempts, next attempt and first failure as seconds since the epoch, error. */
export const TRACED_FAILURES_SQL = `
SELECT p.event_id, d.key, p.parked, p.attempts, extract(epoch FROM p.next_attempt_at), extract(epoch FROM p.failed_at), p.last_error
FROM tailrace.pending p LEFT JOIN tailrace.destination d USING (destination_id)
WHERE p.event_id = ANY($1::int8[]) ORDER BY p.event_id, d.destination_id`;

/** The sets in which the events $1 are: id, kind, destination's key. */
export const TRACED_SETS_SQL = `
SELECT u.id, l.kind::text, d.key
FROM unnest($1::int8[]) u(id) JOIN tailrace.ledger l ON l.block = u.id >> 10 AND get_bit(l.ids, (u.id & 1023)::int) = 1
LEFT JOIN tailrace.destination d USING (destination_id) ORDER BY u.id, l.destination_id, l.generation`;
