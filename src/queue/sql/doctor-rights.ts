// What `tailrace doctor` asks about rights: those of the role that runs the processor now, else of our own.

/**
 * The role to look at: of the process that holds a slot of the table $1, else ours. Name, quoted name, whether a processor runs
 * under it.
 */
export const ROLE_SQL = `SELECT coalesce(w.usename, current_user), quote_ident(coalesce(w.usename, current_user)), w.usename IS NOT NULL
  FROM (SELECT 1) one LEFT JOIN (
    SELECT a.usename FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.objid < 64 AND l.granted
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND l.classid = (($1::int8 - 2147483648)::int4)::oid LIMIT 1) w ON true`;

/**
 * What the role $1 lacks of: USAGE on the schema; on the queue table $2 SELECT and what settling needs ($3: rows are marked);
 * the privileges $5 on tailrace's tables $4, side by side; EXECUTE on the function that adds up counts. A row each: privilege, on what.
 */
export const MISSING_SQL = `
WITH own AS (SELECT oid FROM pg_namespace WHERE nspname = 'tailrace')
SELECT 'USAGE', 'SCHEMA tailrace' FROM own WHERE NOT has_schema_privilege($1::name, oid, 'USAGE')
UNION ALL SELECT 'SELECT', NULL WHERE NOT has_table_privilege($1::name, $2::oid, 'SELECT')
UNION ALL SELECT 'DELETE', NULL WHERE NOT $3 AND NOT has_table_privilege($1::name, $2::oid, 'DELETE')
UNION ALL SELECT 'UPDATE (processed)', NULL FROM pg_attribute WHERE $3 AND attrelid = $2::oid AND attname = 'processed'
  AND NOT has_column_privilege($1::name, attrelid, attnum, 'UPDATE')
UNION ALL SELECT what, 'tailrace.' || name FROM unnest($4::text[], $5::text[]) AS t(name, what)
  JOIN pg_class c ON c.relname = name AND c.relnamespace = (SELECT oid FROM own) WHERE NOT has_table_privilege($1::name, c.oid, what)
UNION ALL SELECT 'EXECUTE', 'FUNCTION tailrace.fold_recording_counts()' FROM pg_proc
  WHERE proname = 'fold_recording_counts' AND pronamespace = (SELECT oid FROM own) AND NOT has_function_privilege($1::name, oid, 'EXECUTE')`;
