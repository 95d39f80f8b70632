// Runs the built program as a user does: bin/tailrace.js in a process of its own, with the environment that the test
// gives and nothing of ours that would change what it does.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { waitFor } from './wait-for.ts';

/** Path of the program. */
export const TAILRACE = fileURLToPath(new URL('../../bin/tailrace.js', import.meta.url));

export interface CliOptions {
  /** Added to a bare environment: no TAILRACE_*, no PG*. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input, which then ends. */
  readonly input?: string | Buffer;
  readonly cwd?: string;
}

export interface CliResult {
  /** Exit code; 128 + n when signal n ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCli extends AsyncDisposable {
  readonly pid: number;
  /** The exit code; 128 + n when signal n ended it. */
  readonly exit: Promise<number>;
  /** What it has said so far. */
  readonly stdout: string;
  readonly stderr: string;
  readonly stderrLines: readonly string[];
  signal(name: NodeJS.Signals): void;
  /**
   * Waits until standard error holds what is looked for, in what was said before the call too.
   *
   * @throws {Error} when it does not come in time or the program ends before.
   */
  waitForStderr(expected: string | RegExp, timeoutMs?: number): Promise<void>;
  /** Kills it if it still runs. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Runs one command to its end. */
export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  await using running = spawnCli(args, options);
  const code = await running.exit;
  return { code, stdout: running.stdout, stderr: running.stderr };
}

/** Starts a command that goes on until it is told to end: `await using running = spawnCli(['run', …])`. */
export function spawnCli(args: readonly string[], options: CliOptions = {}): RunningCli {
  const child = spawn(process.execPath, [TAILRACE, ...args], {
    cwd: options.cwd,
    env: { ...bareEnvironment(), ...options.env },
    stdio: 'pipe',
  });
  // A command need not read what it is given.
  child.stdin.on('error', () => {});
  child.stdin.end(options.input ?? '');

  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  let code: number | undefined;
  const exit = exitOf(child).then((value) => {
    code = value;
    return value;
  });
  const holds = (expected: string | RegExp) =>
    typeof expected === 'string' ? stderr.includes(expected) : expected.test(stderr);

  return {
    pid: child.pid ?? 0,
    exit,
    get stdout() {
      return stdout;
    },
    get stderr() {
      return stderr;
    },
    get stderrLines() {
      return stderr.split('\n').filter(Boolean);
    },
    signal(name) {
      child.kill(name);
    },
    async waitForStderr(expected, timeoutMs) {
      const what = `${expected} on standard error`;
      await waitFor(() => holds(expected) || code !== undefined, { what, ...(timeoutMs && { timeoutMs }) }).catch(
        (cause: Error) => {
          throw new Error(`${cause.message}; it held:\n${stderr}`, { cause });
        },
      );
      if (!holds(expected)) throw new Error(`the program ended with ${code} before ${what}; it held:\n${stderr}`);
    },
    async [Symbol.asyncDispose]() {
      if (code === undefined) child.kill('SIGKILL');
      await exit;
    },
  };
}

/** `close`, not `exit`: by then all that it said has been read. */
async function exitOf(child: ChildProcessWithoutNullStreams): Promise<number> {
  const [code, signal]: (number | NodeJS.Signals | null)[] = await once(child, 'close');
  if (typeof code === 'number') return code;
  return 128 + (typeof signal === 'string' ? constants.signals[signal] : 0);
}

function bareEnvironment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG'];
  return Object.fromEntries(kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}
