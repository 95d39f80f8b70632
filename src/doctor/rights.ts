// Whether the database role may do what the README lists for a processor.

import { OWN_TABLES } from '../queue/privileges.ts';
import type { Session } from '../queue/session.ts';
import { MISSING_SQL, ROLE_SQL } from '../queue/sql/doctor-rights.ts';
import type { QueueTable } from '../queue/table.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

const check = 'rights';

/** Without these something is not shown, not counted or not switched; events go their way all the same. */
const LESSER: readonly (readonly [string, readonly string[]])[] = [
  ['tailrace.lane', ['SELECT', 'INSERT', 'UPDATE']],
  ['tailrace.switches', ['SELECT', 'INSERT', 'UPDATE']],
  ['tailrace.recording', ['SELECT', 'UPDATE']],
];
const ALL_TABLES = [['tailrace.meta', ['SELECT']] as const, ...OWN_TABLES, ...LESSER];
const IS_LESSER = new Set([...LESSER.map(([name]) => name), 'FUNCTION tailrace.fold_recording_counts()']);

/**
 * The role that runs a processor now, else the one that we are connected as.
 *
 * @param markProcessed settled rows are marked, not deleted.
 */
export async function checkRights(
  session: Session,
  table: QueueTable,
  markProcessed: boolean,
): Promise<readonly Finding[]> {
  const [role] = await session.query(ROLE_SQL, [table.oid]);
  const [name, quoted, isProcessor] = role ?? [];
  const who = `the role ${quoted}, ${isProcessor === 't' ? 'which the processor runs as' : 'which you are connected as'},`;
  const pairs = ALL_TABLES.flatMap(([each, privileges]) =>
    privileges.map((what) => [each.slice('tailrace.'.length), what]),
  );
  const rows = await session.query(MISSING_SQL, [
    name,
    table.oid,
    markProcessed,
    pairs.map(([each]) => each),
    pairs.map(([, what]) => what),
  ]);
  const missing = rows.map(([what, on]) => ({ what: String(what), on: on ?? table.name }));
  if (missing.length === 0) return [ok(check, `${who} may do all that a processor needs`)];
  const lacks = missing.map(({ what, on }) => `${what} on ${on}`).join(', ');
  const grants = [...new Set(missing.map(({ on }) => on))].map((on) => {
    const privileges = missing.filter((each) => each.on === on).map(({ what }) => what);
    return `GRANT ${privileges.join(', ')} ON ${on} TO ${quoted};`;
  });
  return [
    missing.every(({ on }) => IS_LESSER.has(on))
      ? warning(
          check,
          `${who} lacks ${lacks}: states of destinations or counts of recording are not written`,
          ...grants,
        )
      : problem(check, `${who} lacks ${lacks}: a processor reads nothing until it has them`, ...grants),
  ];
}
