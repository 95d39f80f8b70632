// What a crash is staged in: a database copied from a template (a tenth of what `init` costs), a folder with a
// configuration and the log file, a receiver, and what was committed.

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { runCli } from '../helpers/cli.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';
import { createRow, FATES, type Known, knownOf, type Row } from './events.ts';
import { insertRows, nextUnique } from './producer.ts';
import { type Program, type ProgramOptions, startProgram } from './program.ts';
import { createRandom } from './random.ts';
import { createReceiver, type Receiver } from './receiver.ts';

/** Farther apart than the ids that one page looks at, so that each of these is the start of a batch of its own. */
export const BATCH_STARTS = [1, 200_001, 400_001];

export interface Scene extends AsyncDisposable {
  readonly database: TestDatabase;
  readonly folder: string;
  readonly log: string;
  readonly config: string;
  readonly receiver: Receiver;
  readonly accepted: Receiver['accepted'];
  readonly committed: Map<string, Known>;
  /** `tailrace run`, in this scene. */
  run(options?: Partial<ProgramOptions> & { readonly once?: boolean; readonly database?: string }): Program;
}

export interface SceneOptions {
  readonly database: TestDatabase;
  /** Rows that are in the database already. */
  readonly committed?: ReadonlyMap<string, Known>;
  /** Where the folder is made; default the system's temporary folder. */
  readonly parent?: string;
  /** A folder for the log within the scene's; default none. */
  readonly logFolder?: string;
  /** Put over the `logfile` of the configuration. */
  readonly logfile?: object;
  /** No destinations: the file is all there is. */
  readonly logOnly?: boolean;
}

/** Makes a scene on a database that `tailrace init` was run on. The database is dropped with it. */
export async function createScene(options: SceneOptions): Promise<Scene> {
  const { database, parent = tmpdir(), logFolder = '' } = options;
  const folder = await mkdtemp(join(parent, 'tailrace-crash-'));
  const log = join(folder, logFolder, 'events.jsonl');
  await mkdir(dirname(log), { recursive: true });
  const config = join(folder, 'event_processor.json');
  const receiver = await createReceiver();
  const logfile = { filename: log, ...options.logfile };
  const destinations = options.logOnly ? {} : { event_destinations: destinationsOf(receiver) };
  await writeFile(config, JSON.stringify({ use_json_for_http_post: true, logfile, ...destinations }, null, 2));
  return {
    database,
    folder,
    log,
    config,
    receiver,
    accepted: receiver.accepted,
    committed: new Map(options.committed),
    run: ({ once = false, database: url = database.url, args = [], ...others } = {}) =>
      startProgram({
        args: ['run', ...(once ? ['--once'] : []), '--config', config, '--database', url, ...args],
        ...others,
      }),
    async [Symbol.asyncDispose]() {
      await receiver[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A database with the queue and tailrace's schema, for a server of the test's own or the run's. */
export async function createQueue(options: Parameters<typeof createTestDatabase>[0] = {}): Promise<TestDatabase> {
  const database = await createTestDatabase(options);
  const { code, stderr } = await runCli(['init'], { cwd: tmpdir(), env: { TAILRACE_DATABASE_URL: database.url } });
  if (code !== 0) throw new Error(`init ended with ${code}: ${stderr}`);
  return database;
}

/** A workload of three batches of a few rows each, every fate in each. @returns what was committed. */
export async function insertSmallWorkload(database: TestDatabase): Promise<Map<string, Known>> {
  const random = createRandom(7);
  const committed = new Map<string, Known>();
  const client = await database.client();
  for (const start of BATCH_STARTS) {
    await client.query(`SELECT setval('events_seq', $1, false)`, [start]);
    const rows: Row[] = [...Object.keys(FATES), 'engine_open'].map((type) => createRow(random, nextUnique(), type));
    for (const [at, id] of (await insertRows(client, rows)).entries()) {
      const row = rows[at];
      if (row) committed.set(id, knownOf(row));
    }
  }
  await client.end();
  return committed;
}

/** What may happen to the log file while no program runs. */
export type Rotation = 'none' | 'rename' | 'rename + gzip';

const run = promisify(execFile);
let rotations = 0;

/**
 * Moves the log file away as logrotate does.
 *
 * @param waitMs before it is compressed.
 * @returns false when there was none.
 */
export async function rotate({ log }: Pick<Scene, 'log'>, rotation: Rotation, waitMs = 0): Promise<boolean> {
  if (rotation === 'none' || !(await stat(log).catch(() => null))) return false;
  rotations += 1;
  const moved = `${log}.${rotations}`;
  await rename(log, moved);
  if (rotation === 'rename + gzip') {
    await sleep(waitMs);
    await run('gzip', [moved]);
  }
  return true;
}

function destinationsOf(receiver: Receiver): object[] {
  const post = (path: Parameters<Receiver['url']>[0]): object => ({
    type: 'http_post',
    url: receiver.url(path),
    // Once a run is enough: what was refused is not to be tried again while a test looks.
    retry: path === '/accept' ? { initial_ms: 20, max_ms: 200 } : { initial_ms: 86_400_000, max_ms: 86_400_000 },
  });
  return [
    { name: 'accepts', matches: { event_type: 'engine_open' }, destination: post('/accept') },
    { name: 'refuses', matches: { event_type: 'bounce_all' }, destination: post('/refuse') },
    { name: 'redirects', matches: { event_type: 'scomp' }, destination: post('/redirect') },
    { name: 'off', enabled: false, matches: { event_type: 'engine_unsub' }, destination: post('/never') },
    { matches: { event_type: 'delivery_attempt' }, destination: { type: 'drop_from_queue' } },
    { matches: { all: true }, destination: { type: 'leave_in_queue' } },
  ];
}
