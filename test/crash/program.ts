// The built program as a process that a test may kill, freeze, or run under another tool (strace, faketime).
// TAILRACE_BIN names another build of it: mutations.mjs runs the suite against broken ones.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { TAILRACE } from '../helpers/cli.ts';
import { waitFor } from '../helpers/wait-for.ts';

const PROGRAM = process.env.TAILRACE_BIN ?? TAILRACE;
/** What it said last is kept: for messages, and for waits that begin where it had said so much (trouble.ts). */
const KEPT_CHARS = 200_000;
const STARTED = /started as the writer/;

export interface ProgramOptions {
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A command that runs it, with its arguments: `['strace', …]`. */
  readonly under?: readonly string[];
}

export interface Program extends AsyncDisposable {
  /** The process that was started: that of `under` if there is one. */
  readonly pid: number;
  /** The exit code; 128 + n when signal n ended it. */
  readonly exit: Promise<number>;
  readonly hasEnded: boolean;
  /** What it said, or the end of that. */
  readonly said: string;
  signal(name: NodeJS.Signals): void;
  /** The process of the program itself, also when another command runs it. */
  ownPid(): Promise<number>;
  /** Waits until it is the writer of the queue. @throws {Error} when it ends before, or in 30 s. */
  started(): Promise<void>;
  /** Waits until it says something. @throws {Error} as `started`. */
  says(what: RegExp, timeoutMs?: number): Promise<void>;
  /** Kills it if it still runs. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts the program. */
export function startProgram({ args, env, under = [] }: ProgramOptions): Program {
  const [command = process.execPath, ...rest] = [...under, process.execPath, PROGRAM, ...args];
  const child = spawn(command, rest, {
    env: { PATH: process.env.PATH, UV_THREADPOOL_SIZE: '1', UV_USE_IO_URING: '0', NODE_ENV: 'production', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-KEPT_CHARS);
    });
  }
  let ended = false;
  const exit = exitOf(child).finally(() => {
    ended = true;
  });
  // Whoever waits for the end hears of it; a process that cannot be started says so to them.
  exit.catch(() => undefined);

  const says = async (what: RegExp, timeoutMs = 30_000): Promise<void> => {
    await waitFor(() => what.test(said) || ended, { what: `${what}`, timeoutMs, intervalMs: 5 }).catch(
      (cause: Error) => {
        throw new Error(`${cause.message}; the program said:\n${said}`, { cause });
      },
    );
    if (!what.test(said)) throw new Error(`the program ended before it said ${what}:\n${said}`);
  };
  return {
    pid: child.pid ?? 0,
    exit,
    get hasEnded() {
      return ended;
    },
    get said() {
      return said;
    },
    signal: (name) => void child.kill(name),
    async ownPid() {
      if (under.length === 0) return child.pid ?? 0;
      const children = await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
      return Number(children.trim().split(' ')[0]);
    },
    started: () => says(STARTED),
    says,
    async [Symbol.asyncDispose]() {
      if (ended) return;
      // The tool first would let go of the program, which would then go on.
      const own = under.length > 0 ? await this.ownPid().catch(() => 0) : 0;
      if (own > 0) process.kill(own, 'SIGKILL');
      child.kill('SIGKILL');
      await exit.catch(() => undefined);
    },
  };
}

/** `close`, not `exit`: by then all that it said has been read. */
async function exitOf(child: ChildProcess): Promise<number> {
  const [code, signal]: (number | NodeJS.Signals | null)[] = await once(child, 'close');
  if (typeof code === 'number') return code;
  return 128 + (typeof signal === 'string' ? constants.signals[signal] : 0);
}
