// What the kernel and PostgreSQL say of a running program.

import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TestDatabase } from '../helpers/postgres.ts';

const field = async (pid: number, name: string): Promise<number> =>
  Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** Resident memory now, MiB. */
export const residentMiB = async (pid: number): Promise<number> => (await field(pid, 'VmRSS')) / 1024;

/** Most resident memory so far, MiB. */
export const peakMiB = async (pid: number): Promise<number> => (await field(pid, 'VmHWM')) / 1024;

/** Open descriptors. */
export const openFiles = async (pid: number): Promise<number> => (await readdir(`/proc/${pid}/fd`)).length;

/**
 * Looks at the program's transactions until the work has ended.
 *
 * @returns the longest time that one was seen open, in milliseconds.
 */
export async function longestTransactionMs(database: TestDatabase, work: Promise<unknown>): Promise<number> {
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  work.then(end, end);
  const client = await database.client();
  let longest = 0;
  while (!ended) {
    const { rows } = await client.query<{ ms: number | null }>(
      `SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8 * 1000 AS ms FROM pg_stat_activity
       WHERE application_name = 'tailrace' AND datname = current_database()`,
    );
    longest = Math.max(longest, rows[0]?.ms ?? 0);
    await sleep(20);
  }
  await client.end();
  return longest;
}
