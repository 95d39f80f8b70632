// What every acceptance test needs: a database with the queue table, a folder with a configuration and a log file, and
// the built program. Its numbers are small; TAILRACE_FULL=1 runs those of the specification.

import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { type CliOptions, type CliResult, type RunningCli, runCli, spawnCli } from '../helpers/cli.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';

/** Whether the numbers of the specification are run instead of the small ones. */
export const FULL = process.env.TAILRACE_FULL === '1';

/** A number of the specification, or the small one that is enough for every day. */
export const scaled = (full: number, small: number): number => (FULL ? full : small);

/** Timeout of a test whose numbers are scaled. */
export const SLOW_MS = FULL ? 1_800_000 : 120_000;

export interface World extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly folder: string;
  /** `logfile.filename` of `configure`. */
  readonly log: string;
  readonly configFile: string;
  /** Puts a configuration in the file's place by a rename. Default: the log file and no destination. */
  configure(config?: object): Promise<void>;
  /** Runs a command to its end. */
  cli(args: readonly string[], options?: CliOptions): Promise<CliResult>;
  /** `run --once`. @returns its summary. */
  once(options?: CliOptions): Promise<Summary>;
  /** Starts `run` and waits until it is the writer (or, with `standby`, until it stands by). */
  run(options?: RunOptions): Promise<RunningCli>;
  /** Inserts events in one statement. @returns their ids. */
  insert(count: number, values?: Readonly<Record<string, unknown>>): Promise<string[]>;
  /** Rows in the queue. */
  queued(): Promise<number>;
  /** Every line of the log file and of what it was renamed to, file by file. */
  files(): Promise<Map<string, Line[]>>;
  /** All lines. */
  lines(): Promise<Line[]>;
}

export interface RunOptions extends CliOptions {
  readonly standby?: boolean;
  readonly args?: readonly string[];
}

export type Summary = Readonly<
  Record<'read' | 'logged' | 'delivered' | 'dropped' | 'left' | 'waiting' | 'failed' | 'parked', number>
>;

export interface Line {
  /** `event_id` with all its digits. */
  readonly id: string;
  /** `time_written_to_logfile` in microseconds. */
  readonly timeUs: number;
  readonly event: Readonly<Record<string, unknown>>;
  readonly text: string;
}

/** Makes a world, with `tailrace init` done unless `bare`. */
export async function createWorld(
  options: { readonly bare?: boolean; readonly notify?: boolean } = {},
): Promise<World> {
  const database = await createTestDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-acceptance-'));
  const log = join(folder, 'events.jsonl');
  const configFile = join(folder, 'event_processor.json');
  const withDatabase = (own: CliOptions = {}): CliOptions => ({
    cwd: folder,
    ...own,
    env: { TAILRACE_DATABASE_URL: database.url, ...own.env },
  });

  const world: World = {
    database,
    folder,
    log,
    configFile,
    async configure(config = { logfile: { filename: log } }) {
      await writeFile(`${configFile}.new`, JSON.stringify(config, null, 2));
      await rename(`${configFile}.new`, configFile);
    },
    cli: (args, own) => runCli(args, withDatabase(own)),
    async once(own) {
      const { code, stdout, stderr } = await world.cli(['run', '--once'], own);
      if (code !== 0) throw new Error(`run --once ended with ${code}:\n${stderr}`);
      return JSON.parse(stdout);
    },
    async run({ standby = false, args = [], ...own } = {}) {
      const running = spawnCli(['run', ...args], withDatabase(own));
      try {
        await running.waitForStderr(standby ? /standing by/ : /started as the writer/, 30_000);
      } catch (error) {
        await running[Symbol.asyncDispose]();
        throw error;
      }
      return running;
    },
    async insert(count, values = {}) {
      const given = { event_type: 'engine_open', event_time: 1_767_225_600, email: 'a@example.com', ...values };
      const names = Object.keys(given);
      const parameters = names.map((_, at) => `$${at + 2}`);
      const rows = await database.query<{ id: string }>(
        `INSERT INTO events (${names.join(', ')}) SELECT ${parameters.join(', ')} FROM generate_series(1, $1::int) RETURNING id`,
        [count, ...Object.values(given)],
      );
      return rows.map(({ id }) => String(id));
    },
    async queued() {
      const [row] = await database.query<{ n: number }>('SELECT count(*)::int AS n FROM events');
      return row?.n ?? -1;
    },
    async files() {
      const files = new Map<string, Line[]>();
      for (const name of (await readdir(folder)).sort()) {
        if (name.startsWith('events.jsonl')) files.set(name, await readLines(join(folder, name)));
      }
      return files;
    },
    lines: async () => [...(await world.files()).values()].flat(),
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
  if (!options.bare) {
    await world.configure();
    const made = await world.cli(['init', ...(options.notify ? ['--notify'] : [])]);
    expect(made).toMatchObject({ code: 0, stderr: '' });
  }
  return world;
}

/**
 * Reads the whole lines of a log file.
 *
 * @throws {Error} when one is not an object that begins with its time and its id, or the last one is torn.
 */
export async function readLines(path: string): Promise<Line[]> {
  const text = await readFile(path, 'utf8');
  if (text !== '' && !text.endsWith('\n')) throw new Error(`${path} ends within a line`);
  return text.split('\n').slice(0, -1).map(parseLine);
}

/** The destination entry that sends all events to a URL. */
export function httpPost(url: string, settings: object = {}, entry: object = {}): object {
  return {
    matches: { all: true },
    ...entry,
    destination: { type: 'http_post', url, format: 'json', retry: { initial_ms: 20, max_ms: 200 }, ...settings },
  };
}

/** Holds that each of the events has one line, and that there are no other lines. */
export function expectOneLineEach(lines: readonly Line[], ids: readonly string[]): void {
  const found = lines.map(({ id }) => id);
  const wanted = new Set(ids);
  const unique = new Set(found);
  expect({
    missing: ids.filter((id) => !unique.has(id)).slice(0, 10),
    doubled: found.length === unique.size ? [] : found.filter((id, at) => found.indexOf(id) !== at).slice(0, 10),
    foreign: [...unique].filter((id) => !wanted.has(id)).slice(0, 10),
    lines: found.length,
  }).toEqual({ missing: [], doubled: [], foreign: [], lines: wanted.size });
}

/** Holds that the times of a file's lines grow strictly. */
export function expectGrowingTimes(lines: readonly Line[]): void {
  const late = lines.filter(({ timeUs }, at) => at > 0 && timeUs <= (lines[at - 1]?.timeUs ?? 0));
  expect(late.map(({ text }) => text)).toEqual([]);
}

/** Waits until the queue is empty. */
export async function waitUntilDrained(world: World, timeoutMs = 60_000): Promise<void> {
  await waitFor(async () => (await world.queued()) === 0, { timeoutMs, what: 'an empty queue', intervalMs: 50 });
}

/** SPEC 8 gives a process ten seconds to end; every day a busy machine may take some for the end itself. */
const ENDS_WITHIN_MS = scaled(12_000, 30_000);

/** `run` after `stop` sends it a signal: its exit code, which must come in time. */
export async function stopped(running: RunningCli, signal: NodeJS.Signals = 'SIGTERM'): Promise<number> {
  running.signal(signal);
  const late = new Promise<never>((_, reject) => {
    const message = `did not stop within ${ENDS_WITHIN_MS} ms:\n${running.stderr}`;
    setTimeout(() => reject(new Error(message)), ENDS_WITHIN_MS).unref();
  });
  return Promise.race([running.exit, late]);
}

/** The share `p` of a list of numbers lies at or below the value returned. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * p) - 1)] ?? Number.NaN;
}

/** Figures of a run, for whoever runs it in full. */
export function report(figures: object): void {
  if (FULL) process.stderr.write(`FIGURES ${expect.getState().currentTestName}: ${JSON.stringify(figures)}\n`);
}

function parseLine(text: string): Line {
  const head = /^\{"time_written_to_logfile":(\d+)\.(\d{6}),"event_id":(-?\d+),"event_time":/.exec(text);
  if (!head) throw new Error(`not a line of the log file: ${text.slice(0, 200)}`);
  const [, seconds, micros, id] = head;
  return { id: String(id), timeUs: Number(seconds) * 1e6 + Number(micros), event: JSON.parse(text), text };
}
