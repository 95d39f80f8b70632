// What `tailrace doctor` asks about dead rows, who keeps them from being removed, and transaction ids.

/** Of the queue table $1 and tailrace's own: name, live rows, dead rows, seconds since the last vacuum, autovacuum off, bytes. */
export const DEAD_ROWS_SQL = `SELECT quote_ident(s.schemaname) || '.' || quote_ident(s.relname), s.n_live_tup, s.n_dead_tup,
    extract(epoch FROM now() - greatest(s.last_vacuum, s.last_autovacuum)),
    EXISTS (SELECT FROM unnest(c.reloptions) o WHERE o ~* '^autovacuum_enabled=(f|n|0|of)'),
    pg_total_relation_size(s.relid)
  FROM pg_stat_all_tables s JOIN pg_class c ON c.oid = s.relid
  WHERE s.relid = $1::oid OR s.schemaname = 'tailrace' ORDER BY s.relid <> $1::oid, s.relname`;

/** Autovacuum runs at all, and counts what it has to go by. */
export const AUTOVACUUM_SQL = `SELECT current_setting('autovacuum') = 'on' AND current_setting('track_counts') = 'on'`;

/** The database that is worst off: name, age in transactions, age in multixacts; the ages at which vacuum is forced. */
export const WRAPAROUND_SQL = `SELECT datname, age(datfrozenxid), mxid_age(datminmxid),
    current_setting('autovacuum_freeze_max_age'), current_setting('autovacuum_multixact_freeze_max_age')
  FROM pg_database ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC LIMIT 1`;

/** Columns of `pg_stat_activity a` that tell a person which session it is; session-text.ts reads them. */
const SESSION = `a.pid, a.usename, a.application_name, host(a.client_addr), a.backend_type, a.state,
    extract(epoch FROM clock_timestamp() - a.state_change), extract(epoch FROM clock_timestamp() - a.xact_start),
    extract(epoch FROM clock_timestamp() - a.query_start), left(a.query, 200)`;

/**
 * Sessions that hold a snapshot or a transaction number in this database, and standbys that have theirs kept, the oldest first:
 * the session, then its age in transactions. What vacuums on its own does not count.
 */
export const SNAPSHOTS_SQL = `SELECT ${SESSION}, greatest(age(a.backend_xid), age(a.backend_xmin)) FROM pg_stat_activity a
  WHERE a.pid <> pg_backend_pid() AND (a.datname = current_database() OR a.backend_type = 'walsender')
    AND coalesce(a.backend_type, '') <> 'autovacuum worker'
    AND (a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL OR a.state LIKE 'idle in transaction%')
  ORDER BY greatest(age(a.backend_xid), age(a.backend_xmin)) DESC NULLS LAST, a.xact_start LIMIT 20`;

/** Replication slots: name, kind, active, its process, age of its xmin, of its catalog_xmin, bytes of WAL kept, how the WAL is. */
export const SLOTS_SQL = `SELECT slot_name, slot_type, active, active_pid, age(xmin), age(catalog_xmin),
    CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) END, wal_status
  FROM pg_replication_slots ORDER BY slot_name LIMIT 20`;

/** Prepared transactions of this database: name, owner, seconds since, age in transactions. */
export const PREPARED_SQL = `SELECT gid, owner, extract(epoch FROM now() - prepared), age(transaction)
  FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT 20`;

/**
 * Locks on the queue table $1 and on tailrace's own that keep a processor from its work, held or asked for: process (null: a prepared
 * transaction), mode, granted, table, who blocks it.
 */
export const TABLE_LOCKS_SQL = `SELECT l.pid, l.mode, l.granted, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    CASE WHEN NOT l.granted THEN pg_blocking_pids(l.pid) END
  FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND (c.oid = $1::oid OR n.nspname = 'tailrace')
    AND (NOT l.granted OR l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
  ORDER BY l.granted DESC, l.pid LIMIT 50`;

/** Sessions of tailrace's that wait for others: process, whom it waits for. */
export const WAITING_SQL = `SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND application_name = 'tailrace' AND cardinality(pg_blocking_pids(pid)) > 0 LIMIT 50`;

/** The sessions $1. */
export const SESSIONS_SQL = `SELECT ${SESSION} FROM pg_stat_activity a WHERE a.pid = ANY($1::int[]) ORDER BY a.xact_start`;
