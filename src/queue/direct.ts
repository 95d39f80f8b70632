// Whether a session is one: a pooler in transaction mode (PgBouncer) gives each transaction to another server process, so
// that the session's locks, settings and prepared statements are somebody else's. Then nothing keeps two writers apart.

import { EXIT, TailraceError } from '../lib/errors.ts';
import type { Session } from './session.ts';

/** A pool with other clients may by chance give both sessions processes of their own. */
const ROUNDS = 3;

/**
 * Checks that the server process is still that of the beginning.
 *
 * @throws {TailraceError} `CONNECTION_POOLED` (exit 69).
 */
export async function assertSameBackEnd(session: Session): Promise<void> {
  const [row] = await session.query('SELECT pg_backend_pid()');
  if (row?.[0] !== session.backEnd) throw pooled();
}

/**
 * Checks that no pooler in transaction mode stands before the server, even one that has a single client so far: a second
 * session must never get the first one's process, and both must keep their own.
 *
 * @param open opens a session like this one.
 * @throws {TailraceError} `CONNECTION_POOLED` (exit 69).
 */
export async function assertDirect(session: Session, open: () => Promise<Session>): Promise<void> {
  const other = await open();
  try {
    if (other.backEnd === session.backEnd) throw pooled();
    for (let round = 0; round < ROUNDS; round += 1) {
      // A transaction keeps its process, so that the session would have to take another one; and poolers give away what
      // was given back last, or longest ago.
      await other.query('BEGIN');
      await assertSameBackEnd(other);
      await assertSameBackEnd(session);
      await other.query('COMMIT');
      await assertSameBackEnd(session);
      await assertSameBackEnd(other);
    }
  } catch (error) {
    await tidy(other);
    await tidy(session);
    throw error;
  } finally {
    await other.close();
  }
}

/**
 * The same with fewer connections: only where a pooler shows, as nearly all do, since they announce another process.
 *
 * @throws {TailraceError} `CONNECTION_POOLED` (exit 69).
 */
export async function assertStillDirect(session: Session, open: () => Promise<Session>): Promise<void> {
  if (session.announcedBackEnd === session.backEnd) await assertSameBackEnd(session);
  else await assertDirect(session, open);
}

/** The process goes to other clients of the pool: our settings and locks must not go with it, as far as we reach it. */
async function tidy(session: Session): Promise<void> {
  if (session.lost.aborted) return;
  await session.query('ROLLBACK').catch(() => undefined);
  await session.query('DISCARD ALL').catch(() => undefined);
}

const pooled = (): TailraceError =>
  new TailraceError(
    'CONNECTION_POOLED',
    'a connection pooler in transaction mode stands between tailrace and PostgreSQL, and locks do not hold through it; point --database, TAILRACE_DATABASE_URL or the PG* variables at PostgreSQL itself, or use a pool in session mode',
    { exitCode: EXIT.unavailable },
  );
