import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCli, spawnCli, TAILRACE } from './helpers/cli.ts';
import { createTestDatabase, type TestDatabase } from './helpers/postgres.ts';
import { findTool, requireTool } from './helpers/require-tool.ts';
import { insertSteadily } from './helpers/steady-inserts.ts';
import { waitFor } from './helpers/wait-for.ts';

const SAMPLE = fileURLToPath(new URL('../logrotate.d/tailrace', import.meta.url));
const SAMPLE_PATH = '/var/log/tailrace/events.jsonl';
/** What cron gives a script. */
const WITHOUT_TAILRACE = '/usr/sbin:/usr/bin:/sbin:/bin';
const ROTATED_NAME = /^events\.jsonl\.\d{4}-\d\d-\d\d\.\d+(\.gz)?$/;

let directory = '';
let logDirectory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  logDirectory = await mkdtemp(join(directory, 'log-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Writes the shipped file with the test's own path in it, and returns its path. */
async function writeLogrotateFile(change = (sample: string): string => sample): Promise<string> {
  const sample = await readFile(SAMPLE, 'utf8');
  const parts = sample.split(SAMPLE_PATH);
  expect(parts).toHaveLength(3);
  const file = join(directory, 'logrotate.conf');
  await writeFile(file, change(parts.join(join(logDirectory, 'events.jsonl'))), { mode: 0o644 });
  return file;
}

/**
 * Runs the real logrotate, which rotates whether it is time or not; without a word, as from cron.
 *
 * A rotated file's name bears the second, and a second rotation in the same one would be refused. logrotate asks a clock
 * that may be a few milliseconds behind ours.
 */
async function rotate(file: string, path = WITHOUT_TAILRACE): Promise<void> {
  const seconds = (await rotatedFiles()).map((name) => Number(name.split('.')[3]));
  await waitFor(() => Date.now() > (Math.max(0, ...seconds) + 1) * 1_000 + 100, { what: 'the next second' });
  const program = findTool('logrotate') ?? 'logrotate';
  const args = ['--force', '--state', join(directory, 'state'), file];
  const ended = await promisify(execFile)(program, args, { env: { PATH: path } });
  expect(ended).toEqual({ stdout: '', stderr: '' });
}

/** @returns a PATH on which `tailrace` is the built program. */
async function pathWithTailrace(): Promise<string> {
  const folder = join(directory, 'bin');
  await mkdir(folder);
  const script = `#!/bin/sh\nexec '${process.execPath}' '${TAILRACE}' "$@"\n`;
  await writeFile(join(folder, 'tailrace'), script, { mode: 0o755 });
  return `${folder}:${WITHOUT_TAILRACE}`;
}

async function rotatedFiles(): Promise<string[]> {
  return (await readdir(logDirectory)).filter((name) => ROTATED_NAME.test(name)).sort();
}

/** The event ids in all files, compressed ones too. */
async function loggedIds(): Promise<string[]> {
  const ids: string[] = [];
  for (const name of await readdir(logDirectory)) {
    if (name.startsWith('.')) continue;
    const bytes = await readFile(join(logDirectory, name));
    const text = (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
    expect(text === '' || text.endsWith('\n')).toBe(true);
    ids.push(...text.split('\n').flatMap((line) => (line === '' ? [] : [String(JSON.parse(line).event_id)])));
  }
  return ids;
}

/** A database with its tables, and a configuration that has the log file alone. */
async function prepare(database: TestDatabase): Promise<string[]> {
  const config = join(directory, 'event_processor.json');
  await writeFile(config, JSON.stringify({ logfile: { filename: join(logDirectory, 'events.jsonl') } }));
  const options = ['--config', config, '--database', database.url];
  expect(await runCli(['init', ...options])).toMatchObject({ code: 0 });
  return options;
}

const countQueued = async (database: TestDatabase) =>
  Number((await database.query<{ count: string }>('SELECT count(*) FROM events'))[0]?.count);

describe.skipIf(!requireTool('logrotate'))('the shipped logrotate file', () => {
  test('rotates under load with every event in exactly one line', { timeout: 120_000 }, async () => {
    await using database = await createTestDatabase();
    const options = await prepare(database);
    const logrotateFile = await writeLogrotateFile();
    await using running = spawnCli(['run', ...options]);
    let produced: string[];
    {
      await using producer = insertSteadily(database);
      produced = producer.ids;
      for (let rotation = 1; rotation <= 4; rotation += 1) {
        const enough = rotation * 200;
        await waitFor(
          async () => producer.ids.length > enough && (await stat(join(logDirectory, 'events.jsonl'))).size,
        );
        await rotate(logrotateFile);
        const movedBeforeMs = Date.now();
        const files = await rotatedFiles();
        expect(files).toHaveLength(rotation);
        // All but the last one moved are compressed by now; that one is complete since a second after its move at most.
        expect(files.filter((name) => name.endsWith('.gz'))).toHaveLength(rotation - 1);
        const moved = await stat(join(logDirectory, files.at(-1) ?? ''));
        expect(moved.mtimeMs - movedBeforeMs).toBeLessThan(1_000);
      }
    }
    await waitFor(async () => (await countQueued(database)) === 0, { what: 'an empty queue', timeoutMs: 30_000 });
    running.signal('SIGTERM');
    expect(await running.exit).toBe(0);

    const logged = await loggedIds();
    expect(logged).toHaveLength(produced.length);
    expect(new Set(logged)).toEqual(new Set(produced));
    const unexpected = (await readdir(logDirectory)).filter(
      (name) => !ROTATED_NAME.test(name) && name !== 'events.jsonl' && !name.startsWith('.'),
    );
    expect(unexpected).toEqual([]);
  });

  test('compresses at once after `tailrace rotate --wait`, under load, and no line is lost or doubled', {
    timeout: 180_000,
  }, async () => {
    await using database = await createTestDatabase();
    const options = await prepare(database);
    const logrotateFile = await writeLogrotateFile((sample) => sample.replace(/^ *delaycompress\n/m, ''));
    const path = await pathWithTailrace();
    await using running = spawnCli(['run', ...options]);
    let produced: string[];
    {
      await using producer = insertSteadily(database);
      produced = producer.ids;
      for (let rotation = 1; rotation <= 8; rotation += 1) {
        const enough = rotation * 100;
        await waitFor(
          async () => producer.ids.length > enough && (await stat(join(logDirectory, 'events.jsonl'))).size,
        );
        await rotate(logrotateFile, path);
        const files = await rotatedFiles();
        expect(files.filter((name) => name.endsWith('.gz'))).toHaveLength(files.length);
      }
    }
    await waitFor(async () => (await countQueued(database)) === 0, { what: 'an empty queue', timeoutMs: 60_000 });
    running.signal('SIGTERM');
    expect(await running.exit).toBe(0);
    expect(running.stderrLines.filter((line) => /"level":[45]0/.test(line))).toEqual([]);

    const logged = await loggedIds();
    expect(logged).toHaveLength(produced.length);
    expect(new Set(logged)).toEqual(new Set(produced));
    expect(await rotatedFiles()).toHaveLength(8);
  });

  test('a new file is there after the rotation of an idle one, and an empty one is left alone', async () => {
    await using database = await createTestDatabase();
    const options = await prepare(database);
    const logrotateFile = await writeLogrotateFile();
    await using running = spawnCli(['run', ...options]);
    await database.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
    const file = join(logDirectory, 'events.jsonl');
    await waitFor(async () => (await stat(file)).size > 0, { what: 'the first line' });

    await rotate(logrotateFile);
    expect((await stat(file)).size).toBe(0);
    await rotate(logrotateFile);
    expect(await rotatedFiles()).toHaveLength(1);
    running.signal('SIGTERM');
    expect(await running.exit).toBe(0);
  });
});
