// What `tailrace doctor` asks about the queue table: its kind, columns, indexes, sequence, and what else hangs on it.

import type { QueueTable } from '../table.ts';

/** Oid and quoted name of the table $1, whether or not anybody has locked it. */
export const TABLE_OID_SQL = `SELECT c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`;

/** Kind, persistence, row security of the table $1. */
export const CLASS_SQL = 'SELECT relkind, relpersistence, relrowsecurity FROM pg_class WHERE oid = $1::oid';

/** Of the table $1, a row a column: name, type as written, base type, default or identity. */
export const COLUMNS_SQL = `SELECT a.attname, format_type(a.atttypid, a.atttypmod),
    format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, NULL),
    CASE WHEN a.attidentity <> '' THEN 'identity' ELSE pg_get_expr(d.adbin, d.adrelid) END
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`;

/** B-trees of the table $1, a row each: name, begins with id, of id alone, unique, valid, without a condition. */
export const INDEXES_SQL = `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), a.attname IS NOT NULL,
    a.attname IS NOT NULL AND i.indnkeyatts = 1, i.indisunique, i.indisvalid AND i.indisready, i.indpred IS NULL
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
  LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND a.attname = 'id'
  WHERE i.indrelid = $1::oid ORDER BY i.indisprimary DESC, c.relname`;

/**
 * The sequence that ids of the table $1 come from, by its default or as an identity: name, last value (null = none given yet,
 * or not for us), largest value (of the column too), increment, cycles, may be looked at.
 */
export const SEQUENCE_SQL = `SELECT quote_ident(n.nspname) || '.' || quote_ident(s.relname), v.last_value,
    least(q.seqmax, CASE a.atttypid WHEN 'int4'::regtype THEN 2147483647 WHEN 'int2'::regtype THEN 32767 ELSE q.seqmax END),
    q.seqincrement, q.seqcycle, has_sequence_privilege(s.oid, 'SELECT, USAGE')
  FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass
    OR a.attidentity <> '' AND p.classid = 'pg_class'::regclass AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype = 'i'
  JOIN pg_class s ON s.relkind = 'S' AND s.oid IN (p.refobjid, p.objid) JOIN pg_namespace n ON n.oid = s.relnamespace
  JOIN pg_sequence q ON q.seqrelid = s.oid
  JOIN pg_sequences v ON v.schemaname = n.nspname AND v.sequencename = s.relname
  WHERE a.attrelid = $1::oid AND a.attname = 'id' LIMIT 1`;

/** The highest id in the table; by its index, if it has one. */
export const highestIdSql = (table: QueueTable): string => `SELECT max(id) FROM ${table.name}`;

/** At least this id is remembered as waiting, left or failed. */
export const HIGHEST_REMEMBERED_SQL = `SELECT greatest((SELECT max(block) << 10 FROM tailrace.ledger WHERE ids <> repeat('0', 1024)::bit(1024)),
  (SELECT max(event_id) FROM tailrace.pending))`;

/** Triggers of the table $1 that are none of ours and none of a constraint's: name, on INSERT, UPDATE, DELETE, before, enabled. */
export const TRIGGERS_SQL = `SELECT quote_ident(tgname), tgtype & 4 > 0, tgtype & 16 > 0, tgtype & 8 > 0, tgtype & 2 > 0, tgenabled <> 'D'
  FROM pg_trigger WHERE tgrelid = $1::oid AND NOT tgisinternal AND tgname <> 'tailrace_wake' ORDER BY tgname`;

/** Rules on the table $1, and foreign keys of other tables that lead to it: what, name. */
export const ATTACHMENTS_SQL = `SELECT 'rule', quote_ident(rulename) FROM pg_rewrite WHERE ev_class = $1::oid AND rulename <> '_RETURN'
  UNION ALL SELECT 'foreign key', quote_ident(conname) || ' of ' || conrelid::regclass FROM pg_constraint WHERE contype = 'f' AND confrelid = $1::oid`;

/** Among the first $1 rows as they lie in the table: how many, of them with another destination_id, and with none. */
export const foreignRowsSql = (table: QueueTable): string => `SELECT count(*),
  count(*) FILTER (WHERE destination_id <> 1), count(*) FILTER (WHERE destination_id IS NULL)
  FROM (SELECT destination_id FROM ${table.name} LIMIT $1) q`;
