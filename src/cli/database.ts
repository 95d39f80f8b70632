// The database of a command: `--database URL`, else TAILRACE_DATABASE_URL, else libpq's PG* variables (SPEC 8).

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { EXIT, TailraceError } from '../lib/errors.ts';
import { Session } from '../queue/session.ts';

export const databaseOption = (yargs: Argv): Argv =>
  yargs.option('database', {
    type: 'string',
    requiresArg: true,
    describe: 'connection URL, for example postgresql://user@host/db (else TAILRACE_DATABASE_URL, else PG* variables)',
  });

/** What pg takes for a connection; of anything else it makes a host that nobody named. */
const CONNECTION_URL = /^(?:postgres(?:ql)?|socket):|^\//i;

/**
 * The URL to connect to; undefined leaves it to the PG* variables.
 *
 * @throws {TailraceError} `USAGE` when it is no URL; it is not shown, since it may hold a password.
 */
export function databaseUrl(args: ArgumentsCamelCase, env: NodeJS.ProcessEnv): string | undefined {
  const isOption = typeof args.database === 'string';
  const url = isOption ? String(args.database) : env.TAILRACE_DATABASE_URL || undefined;
  if (url === undefined || CONNECTION_URL.test(url)) return url;
  const name = isOption ? '--database' : 'TAILRACE_DATABASE_URL';
  throw new TailraceError('USAGE', `${name} is a connection URL, for example postgresql://user@host/db`, {
    exitCode: EXIT.usage,
  });
}

/** Opens one session and closes it when the work is done. */
export async function withSession<T>(
  args: ArgumentsCamelCase,
  env: NodeJS.ProcessEnv,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await Session.open({ database: databaseUrl(args, env), applicationName: 'tailrace' });
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}
