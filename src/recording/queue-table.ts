// The queue table as recording finds it. It may be somebody else's, so that its columns come from PostgreSQL's catalog.

import { EXIT, TailraceError } from '../lib/errors.ts';

/** What recording needs of a connected `pg` client or pool. */
export interface QueryClient {
  query(sql: string, params?: unknown[]): Promise<{ rows: unknown[] }>;
}

export interface TableColumn {
  readonly name: string;
  /** As PostgreSQL names it: `integer`, `character varying(100)`, `inet`. */
  readonly type: string;
  /** A row that does not name the column gets something else than null. */
  readonly hasDefault?: boolean;
}

const COLUMNS_SQL = `
SELECT attname AS name, format_type(atttypid, atttypmod) AS type, atthasdef OR attidentity <> '' AS "hasDefault"
FROM pg_attribute
WHERE attrelid = to_regclass('events') AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
ORDER BY attnum`;

/** Rules do not see what COPY brings, and PostgreSQL refuses it for views and under row-level security. */
const TAKES_COPY_SQL = `
SELECT relkind IN ('r', 'p') AND NOT relhasrules AND NOT row_security_active(oid) AS takes
FROM pg_class WHERE oid = to_regclass('events')`;

/** Whether rows can be put into `events` by COPY just as by INSERT. */
export async function takesCopy(client: QueryClient): Promise<boolean> {
  const { rows } = await client.query(TAKES_COPY_SQL);
  return (rows as { takes: boolean }[])[0]?.takes === true; // what TAKES_COPY_SQL selects
}

/**
 * The columns of the table `events` in table order.
 *
 * @throws {TailraceError} `TABLE_MISSING` when the table is missing or bears no `event_type`.
 */
export async function readTableColumns(client: QueryClient): Promise<readonly TableColumn[]> {
  const { rows } = await client.query(COLUMNS_SQL);
  const columns = rows as TableColumn[]; // what COLUMNS_SQL selects
  if (columns.some(({ name }) => name === 'event_type')) return columns;
  const found = columns.length === 0 ? 'there is no table "events"' : 'the table "events" has no column "event_type"';
  throw new TailraceError('TABLE_MISSING', `${found} in this database; "tailrace init" makes one`, {
    exitCode: EXIT.problem,
  });
}
