// What a program whose log cannot be written has to do: say so, and hold everything back.

import { stat } from 'node:fs/promises';
import { expect, inject } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import type { Program } from './program.ts';
import type { Scene } from './scene.ts';

/** What the program says when it waits for its files. */
export const DEGRADED = /log file cannot be written/;

/** Holds that none of the events has been delivered or taken from the queue. */
export async function expectUntouched(scene: Scene, ids: readonly string[]): Promise<void> {
  const [row] = await scene.database.query<{ n: number }>('SELECT count(*)::int AS n FROM events WHERE id = ANY($1)', [
    ids,
  ]);
  expect(row?.n).toBe(ids.length);
  expect(ids.filter((id) => scene.accepted.has(id))).toEqual([]);
}

/** Waits until the program says more than it had. */
export async function saysAgain(program: Program, what: RegExp, before: string): Promise<void> {
  await waitFor(() => what.test(program.said.slice(before.length)), { what: `${what}`, timeoutMs: 20_000 });
}

/** Who runs PostgreSQL, and so can reach it: a user without special rights. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** A user without special rights who can reach the database; null when we are none who could become them. */
export async function unprivilegedAccount(): Promise<Account | null> {
  if (process.getuid?.() !== 0) return null;
  const { uid, gid } = await stat(inject('postgresSocketDirectory'));
  return uid === 0 ? null : { uid, gid };
}

/** The command that runs a program as a user. */
export const asUser = ({ uid, gid }: Account): string[] => [
  'setpriv',
  `--reuid=${uid}`,
  `--regid=${gid}`,
  '--clear-groups',
];
