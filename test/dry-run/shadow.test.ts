import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { runCli, spawnCli } from '../helpers/cli.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';

// Each starts the program several times, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const FIXTURE = fileURLToPath(new URL('../../fixtures/events.jsonl', import.meta.url));
const DESTINATIONS = [
  { name: 'hook', matches: { event_type: 'scomp' }, destination: { type: 'http_post', url: 'http://127.0.0.1:1/' } },
  { matches: { event_type: 'delivery_attempt' }, destination: { type: 'drop_from_queue' } },
  { matches: { all: true }, destination: { type: 'leave_in_queue' } },
];

let folder = '';
let database: TestDatabase;
let reader = '';
let config = '';
let shadow = '';

/** A queue table of somebody else, and a role that may look at it and no more. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  database = await createTestDatabase();
  config = join(folder, 'event_processor.json');
  shadow = join(folder, 'shadow.jsonl');
  await writeFile(config, JSON.stringify({ logfile: { filename: 'events.jsonl' }, event_destinations: DESTINATIONS }));
  expect((await tailrace(['init'])).code).toBe(0);
  await database.query(`CREATE ROLE ${database.name}_reader LOGIN`);
  await database.query(`GRANT SELECT ON events TO ${database.name}_reader`);
  reader = database.url.replace('postgres@', `${database.name}_reader@`);
});
afterEach(async () => {
  await database.query(`DROP OWNED BY ${database.name}_reader`);
  await database.query(`DROP ROLE ${database.name}_reader`);
  await database[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const tailrace = (args: readonly string[], url = database.url) =>
  runCli(args, { cwd: folder, env: { TAILRACE_DATABASE_URL: url } });
const lines = async (file: string): Promise<string[]> => {
  const text = await readFile(file, 'utf8');
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text.split('\n').slice(0, -1);
};
const idsIn = async (file: string): Promise<number[]> =>
  (await lines(file)).map((line) => JSON.parse(line).event_id).sort((a, b) => a - b);
const timeless = (line: string): string => line.replace(/"time_written_to_logfile":\d+\.\d{6},/, '');
const dump = () => database.query('SELECT xmin::text, events::text FROM events ORDER BY id');

/** The processor in charge: takes what is there, and deletes it once the onlooker has asked again a second later. */
async function oldProcessor(client: pg.Client, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const { rows } = await client.query('SELECT array_agg(id) AS ids, clock_timestamp()::text AS at FROM events');
    await waitFor(
      async () => {
        const asked = await client.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tailrace --dry-run'
             AND query_start > $1::timestamptz + interval '1 s'`,
          [rows[0].at],
        );
        return asked.rowCount;
      },
      { timeoutMs: 120_000, what: 'the shadow run to look again' },
    );
    await client.query('DELETE FROM events WHERE id = ANY($1)', [rows[0].ids ?? []]);
  }
}

describe('a shadow run', () => {
  test('writes the lines that a processor writes, and changes nothing', async () => {
    await tailrace(['record', '--all', FIXTURE]);
    await database.query('UPDATE events SET destination_id = 7 WHERE id = 3');
    await database.query('ALTER SCHEMA tailrace RENAME TO hidden');
    const before = await dump();
    const ran = await tailrace(['run', '--dry-run', '--once', '--log-file', 'shadow.jsonl'], reader);
    expect(ran).toMatchObject({ code: 0, stderr: '' });
    expect(await dump()).toEqual(before);
    expect((await readdir(folder)).sort()).toEqual(['event_processor.json', 'shadow.jsonl']);

    await database.query('ALTER SCHEMA hidden RENAME TO tailrace');
    const real = JSON.parse((await tailrace(['run', '--once'])).stdout);
    const written = await lines(join(folder, 'events.jsonl'));
    expect((await lines(shadow)).map(timeless)).toEqual(written.map(timeless));
    expect(JSON.parse(ran.stdout)).toEqual({
      read: real.read,
      logged: real.logged,
      too_large: 0,
      not_seen: 0,
      destinations: [
        { destination: 'hook', type: 'http_post', events: real.failed + real.waiting },
        { destination: 'drop_from_queue', type: 'drop_from_queue', events: real.dropped },
        { destination: 'leave_in_queue', type: 'leave_in_queue', events: real.left },
      ],
    });
  });

  test('sees each event once that lives for a second, late commits too, beside the processor that deletes them', async () => {
    await using running = spawnCli(['run', '--dry-run', '--config', config, '--log-file', shadow], {
      env: { TAILRACE_DATABASE_URL: reader },
    });
    await running.waitForStderr('shadow run starting');
    const stop = new AbortController();
    const old = oldProcessor(await database.client(), stop.signal);
    const produce = async (): Promise<number[]> => {
      const client = await database.client();
      const committed: number[] = [];
      for (let turn = 0; turn < 25; turn += 1) {
        await client.query('BEGIN');
        const { rows } = await client.query(
          `INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, 4) RETURNING id::int`,
        );
        await sleep(Math.random() * 150);
        if (turn % 5 === 4) await client.query('ROLLBACK');
        else {
          await client.query('COMMIT');
          committed.push(...rows.map(({ id }) => id));
        }
      }
      return committed;
    };
    const ids = (await Promise.all([produce(), produce(), produce()])).flat().sort((a, b) => a - b);
    expect(ids).toHaveLength(240);
    await waitFor(async () => (await database.query('SELECT FROM events')).length === 0, {
      timeoutMs: 120_000,
      what: 'an empty table',
    });
    stop.abort();
    await old;
    running.signal('SIGTERM');
    expect(await running.exit).toBe(0);
    expect(await idsIn(shadow)).toEqual(ids);
    expect(JSON.parse(running.stdout)).toMatchObject({
      read: 240,
      logged: 240,
      destinations: [{ events: 240 }, {}, {}],
    });
    expect(running.stderr).not.toContain('"level":50');
  });

  test('goes on after a lost connection, and writes no line twice', async () => {
    const insert = () => database.query(`INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, 50)`);
    await insert();
    await using running = spawnCli(['run', '--dry-run', '--config', config, '--log-file', shadow], {
      env: { TAILRACE_DATABASE_URL: reader },
    });
    await waitFor(async () => (await lines(shadow)).length === 50, { timeoutMs: 120_000, what: '50 lines' });
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%dry-run'`,
    );
    await insert();
    await waitFor(async () => (await lines(shadow)).length >= 100, { timeoutMs: 120_000, what: '100 lines' });
    running.signal('SIGTERM');
    expect(await running.exit).toBe(0);
    expect(await idsIn(shadow)).toEqual(Array.from({ length: 100 }, (_, at) => at + 1));
  });

  test('says how many ids it never saw, and how many rows are too large', async () => {
    await database.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
    await writeFile(config, JSON.stringify({ logfile: { filename: 'events.jsonl' }, max_event_bytes: 1024 }));
    await using running = spawnCli(['run', '--dry-run', '--config', config, '--log-file', shadow], {
      env: { TAILRACE_DATABASE_URL: reader },
    });
    await waitFor(async () => (await lines(shadow)).length === 1, { timeoutMs: 120_000, what: 'a line' });
    await database.query(
      `WITH gone AS (SELECT nextval('events_seq') FROM generate_series(1, 3)), large AS (SELECT repeat('x', 2000) AS text)
       INSERT INTO events (id, event_type, email) SELECT nextval('events_seq'), 'scomp', text FROM large, (SELECT count(*) FROM gone) g`,
    );
    await database.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
    await waitFor(async () => (await lines(shadow)).length === 2, { timeoutMs: 120_000, what: 'two lines' });
    running.signal('SIGTERM');
    expect(await running.exit).toBe(0);
    expect(JSON.parse(running.stdout)).toEqual({ read: 2, logged: 2, too_large: 1, not_seen: 3, destinations: [] });
  });

  test('only counts without a file of its own', async () => {
    await database.query(`INSERT INTO events (event_type) VALUES ('scomp'), ('own_type')`);
    const { code, stdout } = await tailrace(['run', '--dry-run', '--once'], reader);
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, read: 2, logged: 0 });
    expect(await readdir(folder)).toEqual(['event_processor.json']);
  });
});

describe('a shadow run is refused', () => {
  const begin = (file: string) => tailrace(['run', '--dry-run', '--once', '--log-file', file], reader);

  test('the files that the configuration names, by whatever way', async () => {
    await symlink(folder, join(folder, 'elsewhere'));
    for (const file of ['events.jsonl', join(folder, 'events.jsonl.2026-11-22'), 'elsewhere/events.jsonl']) {
      const { code, stderr } = await begin(file);
      expect(code).toBe(1);
      expect(stderr).toMatch(/is a file that the configuration names.*--log-file/);
    }
    expect(existsSync(join(folder, 'events.jsonl'))).toBe(false);
    expect((await begin('events.jsonl.shadow')).code).toBe(0);
  });

  test('a file that is there already, and leaves it as it is', async () => {
    await writeFile(shadow, 'of somebody else\n');
    const { code, stderr } = await begin('shadow.jsonl');
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('is there already') });
    expect(await readFile(shadow, 'utf8')).toBe('of somebody else\n');
  });

  test('the file of a tailrace process, though it was just moved away', async () => {
    const other = join(folder, 'other.json');
    await writeFile(other, JSON.stringify({ logfile: { filename: 'taken.jsonl' } }));
    await using running = spawnCli(['run', '--config', other], { env: { TAILRACE_DATABASE_URL: database.url } });
    await running.waitForStderr('started as the writer');
    await rm(join(folder, 'taken.jsonl'), { force: true });
    const { code, stderr } = await begin('taken.jsonl');
    expect([1, 75]).toContain(code);
    expect(stderr).toContain('taken.jsonl');
  });

  test('options that do not go together', async () => {
    for (const args of [
      ['--log-file', 'x'],
      ['--dry-run', '--shard', '0/2'],
    ]) {
      expect((await tailrace(['run', ...args])).code).toBe(2);
    }
  });

  test('a database or a table that it cannot look at', async () => {
    await database.query(`REVOKE SELECT ON events FROM ${database.name}_reader`);
    expect(await begin('shadow.jsonl')).toMatchObject({ code: 1, stderr: expect.stringContaining('42501') });
    await database.query('ALTER TABLE events RENAME TO others');
    await rm(shadow, { force: true });
    expect(await begin('shadow.jsonl')).toMatchObject({ code: 1, stderr: expect.stringContaining('no table') });
    expect((await tailrace(['run', '--dry-run'], 'postgresql://nobody@127.0.0.1:1/none')).code).toBe(69);
  });
});
