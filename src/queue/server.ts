// Which PostgreSQL server answers: after a fail-over it is another one, which may have forgotten what was committed last.

import { isServerError } from '../lib/errors.ts';
import type { Session } from './session.ts';

/** null = not to be learnt: some hosted servers keep it to themselves. */
export interface Server {
  /** Differs between two servers unless one began as a copy of the other. */
  readonly system: string | null;
  /** Begins anew when a standby is promoted; eight hexadecimal digits. */
  readonly timeline: string | null;
}

const SYSTEM_SQL = 'SELECT system_identifier FROM pg_control_system()';
/** The control file knows of a promotion only after the next checkpoint, the name of the WAL file at once. */
const TIMELINE_SQL = 'SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)';

/** Asks a server that can be written to. */
export async function readServer(session: Session): Promise<Server> {
  return { system: await ask(session, SYSTEM_SQL), timeline: await ask(session, TIMELINE_SQL) };
}

/** Whether nothing says that two answers came from different servers. */
export function isSameServer(one: Server, other: Server): boolean {
  const same = (a: string | null, b: string | null): boolean => a === null || b === null || a === b;
  return same(one.system, other.system) && same(one.timeline, other.timeline);
}

async function ask(session: Session, sql: string): Promise<string | null> {
  try {
    const [row] = await session.query(sql);
    return row?.[0] ?? null;
  } catch (error) {
    // Not known there, or not for us; nothing depends on it but a warning.
    if (isServerError(error) && !session.lost.aborted) return null;
    throw error;
  }
}
