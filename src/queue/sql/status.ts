// The statements behind `status`.

import type { QueueTable } from '../table.ts';
import { IS_RUNNING } from './rights.ts';

/**
 * One row a destination: number, key, waiting, retrying, parked, oldest event id, last error, seconds to the next
 * attempt, paused; and what the writers of the epochs $1 said last: the worst state, seconds until it ends, events a second.
 * Of the writers of the epochs $2 only `disabled` counts.
 * Destination 0 stands for events parked before they were read (too large).
 */
export const DESTINATIONS_SQL = `
SELECT t.destination_id, t.key,
  coalesce((SELECT sum(bit_count(ids)) FROM tailrace.ledger WHERE kind = 'w' AND destination_id = t.destination_id), 0),
  (SELECT count(*) FROM tailrace.pending p WHERE p.destination_id = t.destination_id AND NOT parked),
  (SELECT count(*) FROM tailrace.pending p WHERE p.destination_id = t.destination_id AND parked),
  least((SELECT min(event_id) FROM tailrace.pending p WHERE p.destination_id = t.destination_id),
        (SELECT (block << 10) + position('1' IN ids::text) - 1 FROM tailrace.ledger
         WHERE kind = 'w' AND destination_id = t.destination_id AND ids <> repeat('0', 1024)::bit(1024) ORDER BY block LIMIT 1)),
  coalesce((SELECT last_error FROM tailrace.pending p WHERE p.destination_id = t.destination_id AND NOT parked
            ORDER BY generation DESC, next_attempt_at DESC LIMIT 1),
           (SELECT last_error FROM tailrace.pending p WHERE p.destination_id = t.destination_id AND parked
            ORDER BY event_id DESC LIMIT 1)),
  (SELECT extract(epoch FROM min(next_attempt_at) - now()) FROM tailrace.pending p WHERE p.destination_id = t.destination_id AND NOT parked),
  t.paused, l.state, extract(epoch FROM l.until - now()), s.per_second
FROM (SELECT destination_id, key, paused FROM tailrace.destination UNION ALL SELECT 0, '(too large)', false) t
LEFT JOIN LATERAL (SELECT state, until FROM tailrace.lane l WHERE l.destination_id = t.destination_id
  AND (l.epoch = ANY($1::int8[]) OR l.epoch = ANY($2::int8[]) AND l.state = 'disabled')
  ORDER BY array_position(ARRAY['disabled', 'open', 'asked_to_wait', 'rate_limited'], state), until DESC LIMIT 1) l ON true
LEFT JOIN LATERAL (SELECT sum(per_second) AS per_second FROM tailrace.lane l
  WHERE l.destination_id = t.destination_id AND l.epoch = ANY($1::int8[])) s ON true
ORDER BY t.destination_id`;

export const LEFT_SQL = `SELECT coalesce(sum(bit_count(ids)), 0) FROM tailrace.ledger WHERE kind = 'l'`;

/**
 * The newest writers of the table $1, one for each set of slots: epoch, slots, seconds since it began, stopped cleanly,
 * runs now, journal place. Also of a layout that is no more, where nobody has taken the slots over since.
 */
export const WRITERS_SQL = `
SELECT DISTINCT ON (slots) epoch, slots, extract(epoch FROM now() - started_at), clean, ${IS_RUNNING}, journal_at
FROM tailrace.writer w WHERE NOT revoked ORDER BY slots, epoch DESC`;

/** Rows in the queue that are ours: exact up to $1, so that a status never scans ten million rows. */
export const queuedSql = (table: QueueTable): string =>
  `SELECT count(*) FROM (SELECT FROM ${table.name} WHERE true${table.ours} LIMIT $1) q`;

/** Seconds since the event_time of the events $1: id, seconds; null where the table has no such number. */
export const agesSql = (table: QueueTable): string => {
  const kind = table.shape.columns[table.shape.eventTimeAt]?.kind;
  const age = kind === 'integer' || kind === 'double' ? 'extract(epoch FROM now()) - event_time' : 'NULL';
  return `SELECT id, ${age} FROM ${table.name} WHERE id = ANY($1::int8[])`;
};

/** Id of the first row of ours. */
export const oldestSql = (table: QueueTable): string =>
  `SELECT id FROM ${table.name} WHERE true${table.ours} ORDER BY id LIMIT 1`;
