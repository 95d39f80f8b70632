// The database: does it answer, is it the right kind of server, is the connection one, do the clocks agree.

import { codeOf, messageOf } from '../lib/errors.ts';
import { assertDirect } from '../queue/direct.ts';
import type { Session } from '../queue/session.ts';
import { CLOCK_SQL, SERVER_SQL, SIGHT_SQL } from '../queue/sql/doctor-server.ts';
import { type Finding, notSeen, ok, problem, warning } from './finding.ts';

const OLDEST_VERSION = 140_000;
/** Seconds by which two clocks may differ. */
const MOST_SKEW = 1;

/** What kind of server it is. */
export async function checkServer(session: Session): Promise<readonly Finding[]> {
  const [row] = await session.query(SERVER_SQL);
  const [version, number, recovering, readOnlyByDefault, database, role] = row ?? [];
  const where = `PostgreSQL ${version}, database ${database}, role ${role}`;
  return [
    Number(number) < OLDEST_VERSION
      ? problem('database', `${where}: older than version 14`, 'upgrade PostgreSQL to version 14 or newer')
      : ok('database', where),
    recovering === 't'
      ? problem(
          'primary',
          'this server is a standby: nothing can be settled there',
          'point the database URL to the primary',
        )
      : readOnlyByDefault === 'on'
        ? problem(
            'primary',
            'default_transaction_read_only is on: nothing can be settled there',
            'see who has set it: for the role, the database, or the server',
            "SELECT source, sourcefile, setting FROM pg_settings WHERE name = 'default_transaction_read_only';",
          )
        : ok('primary', 'it can be written to'),
  ];
}

/** Whether a pooler stands between us and the server, and of which kind. */
export async function checkDirect(session: Session, open: () => Promise<Session>): Promise<readonly Finding[]> {
  const check = 'connection';
  try {
    await assertDirect(session, open);
  } catch (error) {
    if (codeOf(error) !== 'CONNECTION_POOLED') return [notSeen(check, error)];
    return [
      problem(
        check,
        'a pooler in transaction mode stands between: the locks that keep two processes apart do not hold through it',
        'point the database URL at PostgreSQL itself, or give tailrace an entry of its own in pgbouncer.ini:',
        'tailrace = host=… dbname=… pool_mode=session',
      ),
    ];
  }
  return [
    ok(
      check,
      session.announcedBackEnd === session.backEnd
        ? 'direct'
        : 'through a pooler in session mode, which is good enough',
    ),
  ];
}

/** @param now milliseconds since the epoch, here. */
export async function checkClock(session: Session, now: () => number): Promise<readonly Finding[]> {
  const before = now();
  const [row] = await session.query(CLOCK_SQL);
  const after = now();
  const skew = Number(row?.[0]) - (before + after) / 2_000;
  // What the answer may be wrong by is half of the time that it took.
  const doubt = (after - before) / 2_000;
  const text = `${Math.abs(skew).toFixed(doubt > 0.1 ? 1 : 3)} s`;
  if (Math.abs(skew) - doubt <= MOST_SKEW) return [ok('clock', `this host and the server differ by ${text}`)];
  return [
    warning(
      'clock',
      `the server's clock is ${text} ${skew > 0 ? 'ahead of' : 'behind'} this host's: next attempts come ${skew > 0 ? 'early' : 'late'}, and ages are wrong`,
      'see whether both hosts keep the time: timedatectl, chronyc tracking',
    ),
  ];
}

/** How much of other sessions we are shown. */
export async function checkSight(session: Session): Promise<readonly Finding[]> {
  const [row] = await session.query(SIGHT_SQL);
  if (row?.[0] === 't') return [ok('sight', "other sessions' states and queries can be seen")];
  return [
    warning(
      'sight',
      `the role ${row?.[1]} is no member of pg_monitor: of other roles' sessions state, age and query are hidden below`,
      `GRANT pg_monitor TO ${row?.[1]};`,
    ),
  ];
}

/** The one line when there is no session at all. */
export const noDatabase = (error: unknown): Finding => problem('database', messageOf(error));
