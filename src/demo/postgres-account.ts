// Outside the data path: which account the embedded PostgreSQL runs under. PostgreSQL refuses to run as root.

import { readFile } from 'node:fs/promises';

/** An account other than our own. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** `nobody` of nearly every system: what is left when there is no account `postgres`. */
const NOBODY: Account = { uid: 65534, gid: 65534 };

/** @returns the account for the server when we are root, else null: our own will do. */
export async function choosePostgresAccount(): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null;
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const entry = /^postgres:[^:]*:(\d+):(\d+):/m.exec(passwd);
  return entry ? { uid: Number(entry[1]), gid: Number(entry[2]) } : NOBODY;
}

/** The options of `spawn` that make a child run under the account. */
export function runAs(account: Account | null): { uid?: number; gid?: number } {
  return account ? { uid: account.uid, gid: account.gid } : {};
}
