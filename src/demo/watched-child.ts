// Outside the data path: a child process that Ctrl-C on our terminal does not reach, since we end it in order, and that
// ends when we do, SIGKILL too. What it says goes to files.

import { type SpawnOptions, spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { EXIT, messageOf, TailraceError } from '../lib/errors.ts';
import { type Account, runAs } from './postgres-account.ts';

export interface WatchedChildOptions {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** What it says on standard error, and on standard output too unless `stdoutPath` is given, is appended here. */
  readonly logPath: string;
  readonly stdoutPath?: string;
  /** What it gets when we have died. */
  readonly orphanSignal: 'QUIT' | 'TERM';
  readonly account?: Account | null;
}

export interface WatchedChild {
  readonly pid: number;
  /** Whether it has not ended yet. */
  readonly isRunning: boolean;
  /** Its exit code, or null when a signal ended it. */
  readonly exit: Promise<number | null>;
  /** Sends a signal if it still runs, and resolves when it has ended. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/**
 * Becomes the program ("$@"), beside a watcher that signals it when our end of descriptor 3 closes without a word. The
 * kernel closes it however we end. The watcher is a grandchild, so that the program does not meet an unknown child.
 */
const watched = (signal: string) => `( (read -r word || kill -${signal} $$) <&3 >/dev/null 2>&1 & ); exec "$@" 3<&-`;
const LOG_TAIL_LINES = 8;

/** Starts the program; that it cannot be run shows as exit code 126 or 127. */
export async function spawnWatched(options: WatchedChildOptions): Promise<WatchedChild> {
  await using log = await open(options.logPath, 'a');
  await using out = options.stdoutPath === undefined ? undefined : await open(options.stdoutPath, 'w');
  const spawnOptions: SpawnOptions = {
    cwd: options.cwd,
    env: options.env,
    stdio: ['ignore', out?.fd ?? log.fd, log.fd, 'pipe'],
    detached: true,
    ...runAs(options.account ?? null),
  };
  const script = watched(options.orphanSignal);
  const child = spawn('/bin/sh', ['-c', script, 'sh', options.program, ...options.args], spawnOptions);
  const pipe = child.stdio[3];
  const watcher = pipe instanceof Writable ? pipe : undefined;
  watcher?.on('error', () => {}); // the watcher went first: it has nothing left to do

  let isRunning = true;
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', resolve);
  })
    .catch((cause: unknown) => {
      throw new TailraceError('CHILD_FAILED', `cannot start ${options.program}: ${messageOf(cause)}`, { cause });
    })
    .finally(async () => {
      isRunning = false;
      watcher?.end('ended\n');
      if (watcher) await finished(watcher, { readable: false }).catch(() => {});
      watcher?.destroy();
    });
  exit.catch(() => {}); // whoever waits for it hears of it
  return {
    pid: child.pid ?? 0,
    get isRunning() {
      return isRunning;
    },
    exit,
    async end(signal) {
      if (isRunning) child.kill(signal);
      await exit.catch(() => {});
    },
  };
}

/**
 * Runs a program to its end.
 *
 * @throws {TailraceError} CHILD_FAILED with the end of its log, unless it exits with 0.
 */
export async function runWatched(options: WatchedChildOptions): Promise<void> {
  const child = await spawnWatched(options);
  const code = await child.exit;
  if (code !== EXIT.ok) throw await childFailure(options, code);
}

/** The error that says how a program ended and what it said last. */
export async function childFailure(options: WatchedChildOptions, code: number | null): Promise<TailraceError> {
  const how = code === null ? 'was killed' : `exited with ${code}`;
  const command = [options.program, ...options.args].join(' ');
  return new TailraceError('CHILD_FAILED', `${command} ${how}; it said last:\n${await tailOf(options.logPath)}`);
}

/** The last lines of a file, for an error message. */
async function tailOf(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(messageOf);
  return text.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
}
