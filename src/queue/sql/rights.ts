// The statements behind the right to write: advisory locks on 64 slots, the epoch, generations and destinations.

/** Advisory locks of the table beside those of the slots (0 to 63), the reader's sleep (64) and the epochs. */
const ENTERING = 65;
const BRINGING_IN = 66;

/**
 * All slots of this process or none. Polled: a session that waits in pg_advisory_lock pins the vacuum horizon (QUEUE B1).
 * $1 the table's oid, $2 the slots.
 */
export const LOCK_SLOTS_SQL =
  'SELECT count(*) FILTER (WHERE pg_try_advisory_lock(($1::int8 - 2147483648)::int4, s)) = cardinality($2::int4[]) FROM unnest($2::int4[]) s';
/** Those of the slots that are free now: which ones. $1 the table's oid, $2 the slots. */
export const LOCK_FREE_SLOTS_SQL =
  'SELECT s FROM unnest($2::int4[]) s WHERE pg_try_advisory_lock(($1::int8 - 2147483648)::int4, s)';
export const UNLOCK_SLOTS_SQL = 'SELECT pg_advisory_unlock(($1::int8 - 2147483648)::int4, s) FROM unnest($2::int4[]) s';

/** The reader's sleep (QUEUE B3): fails while a transaction that inserts is open. */
export const TRY_SLEEP_SQL = 'SELECT pg_try_advisory_lock(($1::int8 - 2147483648)::int4, 64)';
export const AWAKE_SQL = 'SELECT pg_advisory_unlock(($1::int8 - 2147483648)::int4, 64)';

/** One after the other: who enters sees all who entered before. Ends with the transaction. */
export const ENTER_ALONE_SQL = `SELECT pg_advisory_xact_lock(($1::int8 - 2147483648)::int4, ${ENTERING})`;

/** Held with the slots of others while their journals are brought in. */
export const TRY_BRINGING_IN_SQL = `SELECT pg_try_advisory_lock(($1::int8 - 2147483648)::int4, ${BRINGING_IN})`;
export const BROUGHT_IN_SQL = `SELECT pg_advisory_unlock(($1::int8 - 2147483648)::int4, ${BRINGING_IN})`;

/** The first of the locks of epochs, above all others. */
const EPOCHS = 1024;
const EPOCH_KEYS = 1_000_000_000;

/**
 * Held by the process of the epoch $2 of the table $1 beside its slots: those are also locked for a moment by everybody
 * who tries to begin.
 */
export const SAY_RUNNING_SQL = `SELECT pg_try_advisory_lock(($1::int8 - 2147483648)::int4, (${EPOCHS} + $2::int8 % ${EPOCH_KEYS})::int4)`;

/** SQL: whether another session holds the lock of the epoch of tailrace.writer AS w, of the table $1. */
export const IS_RUNNING = `EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
  AND pid <> pg_backend_pid() AND objid::int8 = ${EPOCHS} + w.epoch % ${EPOCH_KEYS}
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = (($1::int8 - 2147483648)::int4)::oid)`;

/** The other writers of the table $1 that run now: epoch, slots, journal, journal place. */
export const LIVING_SQL = `
SELECT w.epoch, w.slots, w.journal, w.journal_at FROM tailrace.writer w WHERE NOT w.revoked AND ${IS_RUNNING} ORDER BY w.epoch`;

/** Waits for a settling of the old writer that is under way; after it the old epoch can settle nothing. */
export const REVOKE_SQL = 'UPDATE tailrace.writer SET revoked = true WHERE NOT revoked AND slots && $1::int2[]';

/** Where a clean end counts: it says of its slots that nothing of what was before is unfinished. */
const LAST_CLEAN = `SELECT s, max(epoch) AS epoch FROM tailrace.writer, unnest(slots) s WHERE clean GROUP BY s`;

/**
 * Epochs that did not end cleanly, with those of their slots that nobody has left clean since, the oldest first: epoch,
 * journal, journal place, slots. Also one whose successor was killed before it had brought in what was left unfinished.
 */
export const UNFINISHED_SQL = `
WITH last_clean AS (${LAST_CLEAN})
SELECT w.epoch, w.journal, w.journal_at, array_agg(s ORDER BY s) AS open
FROM tailrace.writer w CROSS JOIN unnest(w.slots) s LEFT JOIN last_clean c USING (s)
WHERE NOT w.clean AND w.epoch > coalesce(c.epoch, 0)
GROUP BY w.epoch, w.journal, w.journal_at ORDER BY w.epoch`;

/** A new epoch, committed before anything is written under it: slots, journal id, journal place. */
export const ENTER_SQL =
  'INSERT INTO tailrace.writer (slots, journal, journal_at) VALUES ($1::int2[], $2, $3) RETURNING epoch';

export const STILL_OURS_SQL = 'SELECT NOT revoked FROM tailrace.writer WHERE epoch = $1';

/** Another log file, so another journal: epoch, journal id, journal place. */
export const MOVE_JOURNAL_SQL =
  'UPDATE tailrace.writer SET journal = $2, journal_at = $3 WHERE epoch = $1 AND NOT revoked';

/** Stopped with nothing in flight. */
export const LEAVE_SQL = 'UPDATE tailrace.writer SET clean = true WHERE epoch = $1 AND NOT revoked';

export const REVOKE_EPOCHS_SQL =
  'UPDATE tailrace.writer SET revoked = true WHERE epoch = ANY($1::int8[]) AND NOT revoked';

/** What these epochs left unfinished is brought in. */
export const FINISHED_SQL = 'UPDATE tailrace.writer SET clean = true, revoked = true WHERE epoch = ANY($1::int8[])';

/**
 * Old epochs that say nothing any more: those before all that is unfinished or runs, and unclean ones that a later one of
 * the same slots and the same journal repeats.
 */
export const TIDY_WRITERS_SQL = `
WITH last_clean AS (${LAST_CLEAN})
DELETE FROM tailrace.writer w WHERE w.revoked AND w.epoch < $1::int8 - 100 AND (
  w.epoch < (SELECT min(o.epoch) FROM tailrace.writer o WHERE NOT o.revoked OR NOT o.clean AND EXISTS (
    SELECT FROM unnest(o.slots) s LEFT JOIN last_clean c USING (s) WHERE o.epoch > coalesce(c.epoch, 0)))
  OR NOT w.clean AND EXISTS (SELECT FROM tailrace.writer l WHERE l.epoch > w.epoch AND l.slots = w.slots AND l.journal = w.journal))`;

export const NEWEST_GENERATION_SQL = `SELECT generation, encode(fingerprint, 'hex') FROM tailrace.generation ORDER BY generation DESC LIMIT 1`;
export const NEW_GENERATION_SQL = `INSERT INTO tailrace.generation (epoch, fingerprint) VALUES ($1, decode($2, 'hex')) RETURNING generation`;

/** Numbers for the destination keys $1, given on first sight (only then, so that no identity value is burnt). */
export const ADD_DESTINATIONS_SQL = `
INSERT INTO tailrace.destination (key) SELECT k FROM unnest($1::text[]) k
WHERE NOT EXISTS (SELECT FROM tailrace.destination t WHERE t.key = k) ON CONFLICT (key) DO NOTHING`;
export const FIND_DESTINATIONS_SQL = 'SELECT key, destination_id FROM tailrace.destination WHERE key = ANY($1::text[])';
