// A process that is measured: how long it ran, what it took, what it said.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TAILRACE } from '../helpers/cli.ts';

const USAGE = new URL('./usage.mjs', import.meta.url).href;
/** What it said last is kept for messages. */
const KEPT_CHARS = 20_000;

export interface Measured {
  readonly code: number | null;
  /** From its start to its end, that of Node included. */
  readonly seconds: number;
  /** NaN where the process is not one of Node. */
  readonly cpuSeconds: number;
  readonly peakMiB: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running extends AsyncDisposable {
  readonly pid: number;
  readonly stderr: string;
  readonly hasEnded: boolean;
  /** Its end, however it comes. */
  readonly end: Promise<Measured>;
  /** Asks it to end, and waits. @throws {Error} with what it said unless it exits with 0. */
  stop(): Promise<Measured>;
}

export interface ProcessOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** A folder of this run's own. */
  readonly folder: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

let started = 0;
const alive = new Set<ChildProcess>();

/** Starts a process. */
export function start({ command, args, folder, env = {}, input }: ProcessOptions): Running {
  started += 1;
  const usage = join(folder, `usage-${started}.json`);
  const began = performance.now();
  const { PATH = '', HOME = '', TZ } = process.env;
  const child = spawn(command, args, {
    cwd: folder,
    env: { PATH, HOME, ...(TZ && { TZ }), NODE_OPTIONS: `--import=${USAGE}`, BENCH_USAGE: usage, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  alive.add(child);
  child.stdin.on('error', () => undefined);
  child.stdin.end(input ?? '');
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout = (stdout + text).slice(-KEPT_CHARS);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-KEPT_CHARS);
  });
  const end = ended(child).then(async (code): Promise<Measured> => {
    alive.delete(child);
    const seconds = (performance.now() - began) / 1000;
    const took: unknown = JSON.parse(await readFile(usage, 'utf8').catch(() => '{}'));
    return { code, seconds, cpuSeconds: Number.NaN, peakMiB: Number.NaN, ...Object(took), stdout, stderr };
  });
  end.catch(() => undefined); // whoever waits for it hears of it
  return {
    pid: child.pid ?? 0,
    end,
    get stderr() {
      return stderr;
    },
    get hasEnded() {
      return child.exitCode !== null || child.signalCode !== null;
    },
    async stop() {
      child.kill('SIGTERM');
      return succeeded(command, args, await end);
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await end.catch(() => undefined);
    },
  };
}

/** Runs a process to its end. @throws {Error} with what it said unless it exits with 0. */
export async function run(options: ProcessOptions): Promise<Measured> {
  await using running = start(options);
  return succeeded(options.command, options.args, await running.end);
}

/** Kills what has been started and has not ended. */
export function killAll(): void {
  for (const child of alive) child.kill('SIGKILL');
}

/** A command of the built program, for `start` and `run`. */
export function tailrace(args: readonly string[]): Pick<ProcessOptions, 'command' | 'args'> {
  return { command: process.execPath, args: [TAILRACE, ...args] };
}

/** A script of this folder, for `start` and `run`. */
export function script(name: string, args: readonly string[]): Pick<ProcessOptions, 'command' | 'args'> {
  return { command: process.execPath, args: [fileURLToPath(new URL(name, import.meta.url)), ...args] };
}

function succeeded(command: string, args: readonly string[], measured: Measured): Measured {
  if (measured.code === 0) return measured;
  const { code, stdout, stderr } = measured;
  throw new Error(`${command} ${args.join(' ')} ended with ${code}; it said last:\n${stdout.slice(-500)}\n${stderr}`);
}

async function ended(child: ChildProcess): Promise<number | null> {
  const [code]: (number | null)[] = await once(child, 'close');
  return code ?? null;
}
