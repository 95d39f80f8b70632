// Outside the data path: the tailrace commands that the demo runs, each as a user would, in a process of its own. What
// they say goes to files in the demo's folder.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { childFailure, runWatched, spawnWatched, type WatchedChildOptions } from './watched-child.ts';

/** Twice what `run` takes at most (SPEC 8). */
const END_TIMEOUT_MS = 20_000;
const TAILRACE = fileURLToPath(new URL('../../bin/tailrace.js', import.meta.url));

export interface CommandsOptions {
  /** The demo's folder. */
  readonly directory: string;
  readonly configFile: string;
  readonly databaseUrl: string;
  readonly env: NodeJS.ProcessEnv;
}

/** What `status --json` says, as far as the demo needs it. */
export interface Status {
  readonly left: number;
  readonly waiting: number;
  /** Tried and not accepted: to be tried again, or parked. */
  readonly failed: number;
}

export interface RunningPipeline extends AsyncDisposable {
  /** @throws {TailraceError} CHILD_FAILED when `run` has ended, which it never does by itself. */
  check(): Promise<void>;
  /** SIGTERM; resolves when it has settled what was in flight. @throws {TailraceError} CHILD_FAILED unless it exits with 0. */
  end(): Promise<void>;
}

export interface Commands {
  init(): Promise<void>;
  /** Records a file of JSON lines. */
  record(file: string): Promise<void>;
  status(): Promise<Status>;
  run(): Promise<RunningPipeline>;
}

/** The commands of one demo. Each throws TailraceError CHILD_FAILED, with what the command said last, when it fails. */
export function createCommands(options: CommandsOptions): Commands {
  const { directory } = options;
  const database = ['--database', options.databaseUrl];
  const config = ['--config', options.configFile];
  const child = (command: string, args: readonly string[]): WatchedChildOptions => ({
    program: process.execPath,
    args: [TAILRACE, command, ...args],
    cwd: directory,
    env: withoutSettings(options.env),
    logPath: join(directory, `${command}.log`),
    orphanSignal: 'TERM',
  });

  return {
    init: () => runWatched(child('init', [...config, ...database])),
    record: (file) => runWatched(child('record', ['--all', file, ...config, ...database])),
    async status() {
      const stdoutPath = join(directory, 'status.json');
      await runWatched({ ...child('status', ['--json', ...database]), stdoutPath });
      return readStatus(await readFile(stdoutPath, 'utf8'));
    },
    async run() {
      const run = child('run', [...config, ...database]);
      const running = await spawnWatched(run);
      return {
        async check() {
          if (!running.isRunning) throw await childFailure(run, await running.exit);
        },
        async end() {
          await Promise.race([running.end('SIGTERM'), sleep(END_TIMEOUT_MS, undefined, { ref: false })]);
          await running.end('SIGKILL');
          const code = await running.exit;
          if (code !== 0) throw await childFailure(run, code);
        },
        [Symbol.asyncDispose]: () => running.end('SIGKILL'),
      };
    },
  };
}

/** Adds up the destinations of `status --json`. */
export function readStatus(json: string): Status {
  const status: {
    left: number;
    destinations: { waiting: number; retrying: number; parked: number }[];
  } = JSON.parse(json);
  let waiting = 0;
  let failed = 0;
  for (const destination of status.destinations) {
    waiting += destination.waiting;
    failed += destination.retrying + destination.parked;
  }
  return { left: status.left, waiting, failed };
}

/** Without the settings of whoever runs the demo, who may well have a real database in the environment. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(TAILRACE_|PG)/.test(name)));
}
