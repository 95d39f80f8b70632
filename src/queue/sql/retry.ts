// The statements behind `tailrace retry`.

/**
 * Of the pairs behind ($4, $5), the next $6 of destination $1 and event $2 (null = any), with $3 only parked ones, are
 * due now. A parked pair begins anew with its attempts, so that `max_attempts` gives it all of them. Returns how many
 * were seen, how many were changed, the last pair seen, and the destinations among them.
 */
export const DUE_NOW_SQL = `
WITH chunk AS MATERIALIZED (
  SELECT destination_id, event_id FROM tailrace.pending
  WHERE (destination_id, event_id) > ($4::int2, $5::int8) AND destination_id <> 0
    AND (destination_id = $1::int2 OR $1 IS NULL) AND (event_id = $2::int8 OR $2 IS NULL) AND (parked OR NOT $3::bool)
  ORDER BY destination_id, event_id LIMIT $6),
due AS (
  UPDATE tailrace.pending p SET parked = false, attempts = CASE WHEN p.parked THEN 0 ELSE p.attempts END, next_attempt_at = now()
  FROM chunk c WHERE p.destination_id = c.destination_id AND p.event_id = c.event_id RETURNING 1)
SELECT (SELECT count(*) FROM chunk), (SELECT count(*) FROM due),
  (SELECT destination_id FROM chunk ORDER BY destination_id DESC, event_id DESC LIMIT 1),
  (SELECT event_id FROM chunk ORDER BY destination_id DESC, event_id DESC LIMIT 1),
  (SELECT string_agg(DISTINCT destination_id::text, ',') FROM chunk)`;

export const NO_LONGER_TOO_LARGE_SQL = `
DELETE FROM tailrace.pending WHERE destination_id = 0 AND (event_id = $1 OR $1 IS NULL) RETURNING event_id`;
