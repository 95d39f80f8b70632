// What `tailrace doctor` asks about the server, its clock and who we are there.

/** Version as text and as a number, in recovery, read-only by default, database, role (quoted). */
export const SERVER_SQL = `SELECT current_setting('server_version'), current_setting('server_version_num'), pg_is_in_recovery(),
  current_setting('default_transaction_read_only'), current_database(), quote_ident(current_user)`;

/** Seconds since the epoch. */
export const CLOCK_SQL = 'SELECT extract(epoch FROM clock_timestamp())';

/** Whether states and queries of other roles' sessions are shown to us. */
export const SIGHT_SQL = `SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), quote_ident(current_user)`;
