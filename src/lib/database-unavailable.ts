// The one thing to say when PostgreSQL cannot be used, whoever wanted it.

import { codeOf, EXIT, messageOf, TailraceError } from './errors.ts';

/** SQLSTATEs of a server that is there and does not let us in: no such database, wrong password, no such user. */
const NOT_LET_IN = new Set(['3D000', '28P01', '28000']);

/** @returns a `DATABASE_UNAVAILABLE` that names the options to look at, or the cause if it says what to do already. */
export function databaseUnavailable(cause: unknown): TailraceError {
  if (cause instanceof TailraceError) return cause;
  const hint = NOT_LET_IN.has(codeOf(cause) ?? '')
    ? 'check the name, user and password in --database, TAILRACE_DATABASE_URL or the PG* variables'
    : 'check that PostgreSQL runs and that --database, TAILRACE_DATABASE_URL or the PG* variables point to it';
  return new TailraceError('DATABASE_UNAVAILABLE', `cannot use the database: ${messageOf(cause)}; ${hint}`, {
    exitCode: EXIT.unavailable,
    cause,
  });
}
