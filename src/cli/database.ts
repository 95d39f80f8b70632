// The database of a command: `--database URL`, else TAILRACE_DATABASE_URL, else libpq's PG* variables (SPEC 8).

import type { ArgumentsCamelCase, Argv } from 'yargs';
import { Session } from '../queue/session.ts';

export const databaseOption = (yargs: Argv): Argv =>
  yargs.option('database', {
    type: 'string',
    requiresArg: true,
    describe: 'connection URL, for example postgresql://user@host/db (else TAILRACE_DATABASE_URL, else PG* variables)',
  });

/** The URL to connect to; undefined leaves it to the PG* variables. */
export function databaseUrl(args: ArgumentsCamelCase, env: NodeJS.ProcessEnv): string | undefined {
  return typeof args.database === 'string' ? args.database : env.TAILRACE_DATABASE_URL || undefined;
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
