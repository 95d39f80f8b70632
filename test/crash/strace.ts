// System calls that kill, fail or wait when the program makes them on given files. strace counts per thread and per
// name of call, so the program runs with one thread for its files. (--seccomp-bpf would be faster, but strace 6.1 then
// injects no signals.)

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stateDirectory } from '../../src/log-file/local-lock.ts';

/** Calls that change something or make a change lasting. */
export const CHANGING_CALLS = [
  ...['openat', 'mkdir', 'rename', 'unlink', 'fchmod', 'ftruncate', 'close'],
  ...['write', 'pwrite64', 'pwritev', 'writev', 'fdatasync', 'fsync'],
];

/** Segments of the journal that a test's few starts can make. */
const MOST_SEGMENTS = 12;

export type FileClass = 'log' | 'journal' | 'state' | 'directory';

/** The paths of a class of files, whether or not they exist yet. */
export function pathsOf(log: string, folder: string): Readonly<Record<FileClass, readonly string[]>> {
  const state = stateDirectory(log);
  const numbers = Array.from({ length: MOST_SEGMENTS }, (_, at) => String(at + 1).padStart(6, '0'));
  return {
    log: [log],
    journal: numbers.map((number) => join(state, `journal-${number}`)),
    state: [
      state,
      join(state, 'id'),
      join(state, 'id.new'),
      join(state, 'lock'),
      join(state, 'server'),
      join(state, 'server.new'),
    ],
    directory: [folder],
  };
}

export interface Injection {
  /** One call, or several with commas between them, each counted for itself. */
  readonly call: string;
  readonly paths: readonly string[];
  /** `signal=KILL`, `error=EIO`, `delay_enter=5s`. */
  readonly effect: string;
  /** The n-th call, or `n+` for it and all behind it. */
  readonly when: string;
}

/** The command that runs a program with one fault. */
export function injecting({ call, paths, effect, when }: Injection): string[] {
  const filter = paths.flatMap((path) => ['-P', path]);
  return [
    'strace',
    '-f',
    '-qq',
    '-o',
    '/dev/null',
    ...filter,
    '-e',
    `trace=${call}`,
    '-e',
    `inject=${call}:${effect}:when=${when}`,
  ];
}

/** The command that runs a program and notes its changing calls on some files. */
export function noting(paths: readonly string[], output: string): string[] {
  const filter = paths.flatMap((path) => ['-P', path]);
  return ['strace', '-f', '-qq', '-o', output, ...filter, '-e', `trace=${CHANGING_CALLS.join(',')}`];
}

/** How often each call was made, of what `noting` noted. */
export async function countCalls(output: string): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for (const line of (await readFile(output, 'utf8')).split('\n')) {
    const call = /^\d+ +([a-z0-9_]+)\(/.exec(line)?.[1];
    if (call !== undefined) counts.set(call, (counts.get(call) ?? 0) + 1);
  }
  return counts;
}
