// Whether the database role may do all that settling needs, asked before anything is read: a processor that may write
// lines and deliver, but not delete, would deliver the same events again after every restart.

import { TailraceError } from '../lib/errors.ts';
import type { Session } from './session.ts';
import type { QueueTable } from './table.ts';

/** What the README lists for those of tailrace's own tables that nothing goes on without. */
export const OWN_TABLES: readonly (readonly [string, readonly string[]])[] = [
  ['tailrace.generation', ['SELECT', 'INSERT']],
  ['tailrace.destination', ['SELECT', 'INSERT']],
  ['tailrace.writer', ['SELECT', 'INSERT', 'UPDATE', 'DELETE']],
  ['tailrace.ledger', ['SELECT', 'INSERT', 'UPDATE', 'DELETE']],
  ['tailrace.pending', ['SELECT', 'INSERT', 'UPDATE', 'DELETE']],
];

/** What is done with a settled row, as a condition on the name $3. */
const DELETES = `SELECT 0, $3::text, 'DELETE', has_table_privilege($3::text::regclass, 'DELETE')`;
const MARKS = `SELECT 0, $3::text, 'UPDATE (processed)', has_column_privilege($3::text::regclass, 'processed', 'UPDATE')`;

/** Names $1 and privileges $2 side by side. */
const missingSql = (settles: string): string => `
SELECT string_agg(what || ' on ' || name, ', ' ORDER BY place), quote_ident(current_user) FROM (
  SELECT place, name, what, has_table_privilege(name::regclass, what)
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS t(name, what, place) UNION ALL ${settles}
) AS p(place, name, what, may) WHERE NOT may`;

/**
 * @param markProcessed settled rows are marked, not deleted.
 * @throws {TailraceError} `RIGHTS_MISSING`, with all that is missing.
 */
export async function assertPrivileges(session: Session, table: QueueTable, markProcessed: boolean): Promise<void> {
  const pairs = OWN_TABLES.flatMap(([name, privileges]) => privileges.map((what) => [name, what] as const));
  const names = pairs.map(([name]) => name);
  const privileges = pairs.map(([, what]) => what);
  const [missing] = await session.query(missingSql(markProcessed ? MARKS : DELETES), [names, privileges, table.name]);
  if (missing?.[0] == null) return;
  throw new TailraceError(
    'RIGHTS_MISSING',
    `the database role ${missing[1]} lacks ${missing[0]}; grant it what the README lists; nothing is read until then`,
  );
}
