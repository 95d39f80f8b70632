// Outside the data path: PostgreSQL's two programs on a data directory: `initdb`, which makes it, and one run of
// `postgres`, from its start to its end.

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Account } from './postgres-account.ts';
import {
  childFailure,
  runWatched,
  spawnWatched,
  type WatchedChild,
  type WatchedChildOptions,
} from './watched-child.ts';

/** `fast` ends the sessions and writes a checkpoint; `immediate` is a crash that the next start recovers from. */
export type StopMode = 'fast' | 'immediate';

export interface PostgresProgramOptions {
  /** Path of the program. */
  readonly program: string;
  readonly dataDirectory: string;
  /** What the program says is appended here. */
  readonly logPath: string;
  readonly account: Account | null;
}

export interface PostgresProcess {
  readonly pid: number;
  /** Resolves when the server has ended; safe to call twice. */
  stop(mode: StopMode): Promise<void>;
}

const START_TIMEOUT_MS = 60_000;
const START_POLL_MS = 20;
const STOP_SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

/**
 * Makes the data directory.
 *
 * @throws {TailraceError} CHILD_FAILED with the end of its log.
 */
export async function initialisePostgres(options: PostgresProgramOptions): Promise<void> {
  const args = ['--pgdata', options.dataDirectory, '--username=postgres', '--auth=trust', '--no-sync'];
  // Independent of the locales that the system has; lower() still knows all of Unicode.
  args.push('--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8');
  await runWatched(childOptions(options, args));
}

/**
 * Starts the server and resolves when it accepts connections.
 *
 * @throws {TailraceError} CHILD_FAILED with the end of its log.
 */
export async function startPostgresProcess(
  options: PostgresProgramOptions & { readonly settings: Readonly<Record<string, string>> },
): Promise<PostgresProcess> {
  const settings = Object.entries(options.settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const childOf = childOptions(options, ['-D', options.dataDirectory, ...settings]);
  const child = await spawnWatched(childOf);
  if (!(await becomesReady(child, options.dataDirectory))) {
    await child.end(STOP_SIGNALS.immediate);
    throw await childFailure(childOf, await child.exit);
  }
  return { pid: child.pid, stop: (mode) => child.end(STOP_SIGNALS[mode]) };
}

/** The environment lacks our own PG* variables, which PostgreSQL's programs would obey. */
function childOptions(options: PostgresProgramOptions, args: readonly string[]): WatchedChildOptions {
  const { program, logPath, account } = options;
  const { PATH, TZ } = process.env;
  const env = { LC_ALL: 'C', ...(PATH && { PATH }), ...(TZ && { TZ }) };
  return { program, args, cwd: dirname(options.dataDirectory), env, logPath, orphanSignal: 'QUIT', account };
}

/** Reads what pg_ctl reads: the server's process id on line 1 of postmaster.pid, its status on line 8. */
async function becomesReady(child: WatchedChild, dataDirectory: string): Promise<boolean> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (child.isRunning && performance.now() < deadline) {
    const lines = (await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return true;
    await Promise.race([sleep(START_POLL_MS), child.exit]);
  }
  return false;
}
