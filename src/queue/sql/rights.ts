// The statements behind the right to write: advisory locks on 64 slots, the epoch, generations and destinations.

/**
 * All slots of this process or none. Polled: a session that waits in pg_advisory_lock pins the vacuum horizon (QUEUE B1).
 * $1 the table's oid, $2 the slots.
 */
export const LOCK_SLOTS_SQL =
  'SELECT count(*) FILTER (WHERE pg_try_advisory_lock(($1::int8 - 2147483648)::int4, s)) = cardinality($2::int4[]) FROM unnest($2::int4[]) s';

/** The reader's sleep (QUEUE B3): fails while a transaction that inserts is open. */
export const TRY_SLEEP_SQL = 'SELECT pg_try_advisory_lock(($1::int8 - 2147483648)::int4, 64)';
export const AWAKE_SQL = 'SELECT pg_advisory_unlock(($1::int8 - 2147483648)::int4, 64)';

/** Waits for a settling of the old writer that is under way; after it the old epoch can settle nothing. */
export const REVOKE_SQL = 'UPDATE tailrace.writer SET revoked = true WHERE NOT revoked AND slots && $1::int2[]';

/**
 * Epochs before $1 over the slots $2 that did not end cleanly, since one last did: also one whose successor was killed
 * before it had brought in what was left unfinished.
 */
export const PREDECESSORS_SQL = `
SELECT epoch, journal, journal_at FROM tailrace.writer WHERE epoch < $1 AND NOT clean AND slots && $2::int2[]
AND epoch > coalesce((SELECT max(epoch) FROM tailrace.writer WHERE epoch < $1 AND clean AND slots && $2::int2[]), 0)
ORDER BY epoch`;

/** A new epoch, committed before anything is written under it: slots, journal id, journal place. */
export const ENTER_SQL =
  'INSERT INTO tailrace.writer (slots, journal, journal_at) VALUES ($1::int2[], $2, $3) RETURNING epoch';

export const STILL_OURS_SQL = 'SELECT NOT revoked FROM tailrace.writer WHERE epoch = $1';

/** Another log file, so another journal: epoch, journal id, journal place. */
export const MOVE_JOURNAL_SQL =
  'UPDATE tailrace.writer SET journal = $2, journal_at = $3 WHERE epoch = $1 AND NOT revoked';

/** Stopped with nothing in flight. */
export const LEAVE_SQL = 'UPDATE tailrace.writer SET clean = true WHERE epoch = $1 AND NOT revoked';

/** Epochs are only asked about while they are the newest of their slots. */
export const TIDY_WRITERS_SQL = 'DELETE FROM tailrace.writer WHERE revoked AND epoch < $1 - 100';

export const NEWEST_GENERATION_SQL = `SELECT generation, encode(fingerprint, 'hex') FROM tailrace.generation ORDER BY generation DESC LIMIT 1`;
export const NEW_GENERATION_SQL = `INSERT INTO tailrace.generation (epoch, fingerprint) VALUES ($1, decode($2, 'hex')) RETURNING generation`;

/** Numbers for the destination keys $1, given on first sight (only then, so that no identity value is burnt). */
export const ADD_DESTINATIONS_SQL = `
INSERT INTO tailrace.destination (key) SELECT k FROM unnest($1::text[]) k
WHERE NOT EXISTS (SELECT FROM tailrace.destination t WHERE t.key = k) ON CONFLICT (key) DO NOTHING`;
export const FIND_DESTINATIONS_SQL = 'SELECT key, destination_id FROM tailrace.destination WHERE key = ANY($1::text[])';
