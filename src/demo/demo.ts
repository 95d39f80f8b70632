// Outside the data path: the demo from beginning to end. Everything in it is real: a PostgreSQL, the pipeline in a
// process of its own, a receiver that refuses now and then, and a rotation by rename on the way.

import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { EXIT, TailraceError } from '../lib/errors.ts';
import { writeProblem } from '../lib/file-problem.ts';
import { makeFolders } from '../lib/make-folders.ts';
import { many } from '../lib/quantity.ts';
import { type Accounts, drawUpAccounts } from './accounts.ts';
import { type Commands, createCommands, type RunningPipeline } from './commands.ts';
import { writeDemoConfig } from './demo-config.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts';
import { countLines, readLines } from './log-lines.ts';
import { type Receiver, startReceiver } from './receiver.ts';
import type { Screen } from './screen.ts';
import { startTrickle, type Trickle } from './trickle.ts';

export interface DemoOptions {
  /** A folder that is absent or empty. */
  readonly directory: string;
  /** How long events trickle in; null = until the signal. */
  readonly seconds: number | null;
  readonly env: NodeJS.ProcessEnv;
  readonly screen: Screen;
  /** Ends the trickle early; everything still ends in order, and is added up. */
  readonly signal: AbortSignal;
}

const FIXTURES = fileURLToPath(new URL('../../fixtures/', import.meta.url));
const EVENTS_PER_SECOND = 20;
const REFUSED_SHARE = 0.05;
const SEED = 20;
const TICK_MS = 200;
/** The rotation comes this long after the beginning, or half-way through a shorter demo. */
const ROTATE_AFTER_MS = 4_000;
/** How long refused events may take to be accepted after the last one has come in. */
const DRAIN_MS = 5_000;

/**
 * Runs a demo.
 *
 * @returns its accounts, or null when it was ended before the pipeline ran.
 * @throws {TailraceError} DEMO_DIRECTORY_IN_USE, DEMO_DIRECTORY_UNUSABLE; EMBEDDED_POSTGRES_MISSING and _UNUSABLE; CHILD_FAILED.
 */
export async function runDemo(options: DemoOptions): Promise<Accounts | null> {
  const { directory, screen, signal } = options;
  await makeEmptyDirectory(directory);
  await using postgres = await startEmbeddedPostgres({ directory });
  await using receiver = await startReceiver({ refusedShare: REFUSED_SHARE, seed: SEED });
  const logFile = join(directory, 'events.jsonl');
  const logFiles = [`${logFile}.1`, logFile];
  const configFile = join(directory, 'event_processor.json');
  const template = join(FIXTURES, 'event_processor.json');
  const fixture = join(FIXTURES, 'events.jsonl');
  const droppedTypes = await writeDemoConfig({ template, file: configFile, logFile, receiverOrigin: receiver.origin });
  const commands = createCommands({ directory, configFile, databaseUrl: postgres.url(), env: options.env });
  await commands.init();
  screen.step('PostgreSQL started, and the queue table made in it');
  if (signal.aborted) return null;

  await commands.record(fixture);
  const fromFixture = await countLines([fixture]);
  screen.step(`${many(fromFixture, 'event')} recorded from fixtures/events.jsonl`);
  if (signal.aborted) return null;

  await using database = await connect(postgres);
  const trickle = await startTrickle(database.client, EVENTS_PER_SECOND);
  await using pipeline = await commands.run();
  screen.step(`tailrace run started; the receiver refuses one request in ${1 / REFUSED_SHARE}`);
  if (options.seconds === null) {
    screen.step(`look around with psql '${postgres.url()}' and tail -F ${logFile}; Ctrl-C ends the demo`);
  }
  const stage: Stage = { ...options, logFile, logFiles, fromFixture, receiver, trickle, pipeline, database };
  await letItRun(stage);
  await drain(stage, commands);
  await pipeline.end();

  return drawUpAccounts({
    recorded: fromFixture + trickle.inserted,
    lines: await readLines(logFiles),
    acceptedIds: new Set([...receiver.accepted.values()].flatMap((ids) => [...ids])),
    queuedIds: new Set(await database.queuedIds()),
    droppedTypes,
    status: await commands.status(),
  });
}

/** Everything that is on while the pipeline runs. */
interface Stage extends DemoOptions {
  readonly logFile: string;
  readonly logFiles: readonly string[];
  readonly fromFixture: number;
  readonly receiver: Receiver;
  readonly trickle: Trickle;
  readonly pipeline: RunningPipeline;
  readonly database: Database;
}

/** Events trickle in, the file is rotated once, the counts are shown. */
async function letItRun(stage: Stage): Promise<void> {
  const { seconds, signal, screen } = stage;
  const lastsMs = seconds === null ? Number.POSITIVE_INFINITY : seconds * 1000;
  const rotateAfterMs = Math.min(ROTATE_AFTER_MS, lastsMs / 2);
  const startedAt = performance.now();
  let rotated = false;
  while (!signal.aborted) {
    const elapsedMs = performance.now() - startedAt;
    if (elapsedMs >= lastsMs && rotated) return;
    await stage.trickle.insertDue();
    await showCounts(stage);
    // Not before there is a file: on a slow machine the pipeline may take its time to start.
    if (!rotated && elapsedMs >= rotateAfterMs && (await countLines([stage.logFile])) > 0) {
      await rename(stage.logFile, `${stage.logFile}.1`);
      rotated = true;
      screen.step('the log file was moved to events.jsonl.1; tailrace goes on in a new one');
    }
    await sleep(TICK_MS, undefined, { signal }).catch(() => {});
  }
}

/** Gives what has come in last the time to be logged, and what was refused the time to be accepted. */
async function drain(stage: Stage, commands: Commands): Promise<void> {
  const deadline = performance.now() + DRAIN_MS;
  while (performance.now() < deadline) {
    await showCounts(stage);
    const { waiting, failed, left } = await commands.status();
    const queued = (await stage.database.queuedIds()).length;
    if (waiting + failed === 0 && left === queued) return;
    await sleep(TICK_MS);
  }
}

async function showCounts(stage: Stage): Promise<void> {
  await stage.pipeline.check();
  const accepted = [...stage.receiver.accepted.values()].reduce((sum, ids) => sum + ids.size, 0);
  stage.screen.counts({
    recorded: stage.fromFixture + stage.trickle.inserted,
    logged: await countLines(stage.logFiles),
    accepted,
    refused: stage.receiver.refused,
    queued: (await stage.database.queuedIds()).length,
  });
}

async function makeEmptyDirectory(directory: string): Promise<void> {
  const names = await makeFolders(directory)
    .then(() => readdir(directory))
    .catch((cause: unknown) => {
      const message = `${directory} cannot be used: ${writeProblem(cause)}; name a new folder with --directory`;
      throw new TailraceError('DEMO_DIRECTORY_UNUSABLE', message, { exitCode: EXIT.usage, cause });
    });
  if (names.length === 0) return;
  const message = `${directory} is not empty; the demo wants a folder of its own, name a new one with --directory`;
  throw new TailraceError('DEMO_DIRECTORY_IN_USE', message, { exitCode: EXIT.usage });
}

interface Database extends AsyncDisposable {
  readonly client: Client;
  /** The ids of all rows of the queue table. */
  queuedIds(): Promise<string[]>;
}

async function connect(postgres: EmbeddedPostgres): Promise<Database> {
  const client = new Client({ connectionString: postgres.url() });
  await client.connect();
  return {
    client,
    queuedIds: async () => (await client.query<{ id: string }>('SELECT id FROM events')).rows.map(({ id }) => id),
    [Symbol.asyncDispose]: () => client.end(),
  };
}
