import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { expect, test } from 'vitest';
import { startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { createTestDatabase, startPostgres } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';

/** A folder that the server's account may enter, which is another than ours when we are root. */
async function makeFolder(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  await chmod(directory, 0o755);
  return directory;
}

async function ask(url: string, sql: string): Promise<pg.QueryResultRow[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('the data outlives a crash of the server and a restart', async () => {
  await using server = await startPostgres();
  const before = server.pid;
  await ask(server.url(), 'CREATE TABLE kept AS SELECT 1 AS one');
  await server.restart('immediate');
  expect(await ask(server.url(), 'SELECT one FROM kept')).toEqual([{ one: 1 }]);
  expect(server.pid).not.toBe(before);
});

test('the settings given are in force, text is UTF-8, and lower() knows letters beyond ASCII', async () => {
  await using server = await startPostgres({ max_connections: '17' });
  const sql = `SELECT current_setting('max_connections') AS most, current_setting('server_encoding') AS encoding, lower('ÄÖ') AS low`;
  expect(await ask(server.url(), sql)).toEqual([{ most: '17', encoding: 'UTF8', low: 'äö' }]);
});

test('disposing ends the server and leaves no file behind', async () => {
  const directory = await makeFolder();
  const server = await startEmbeddedPostgres({ directory });
  expect(await readdir(directory)).toHaveLength(1);
  await server.stop();
  await server[Symbol.asyncDispose]();
  expect(isAlive(server.pid)).toBe(false);
  expect(await readdir(directory)).toEqual([]);
  expect(existsSync(server.socketDirectory)).toBe(false);
  expect(existsSync(server.logPath)).toBe(false);
  await rm(directory, { recursive: true });
});

test.runIf(process.getuid?.() === 0)('a folder that the server may not enter is made up for', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  await using server = await startEmbeddedPostgres({ directory });
  expect(await ask(server.url(), 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  expect(await readdir(directory)).toEqual([]);
  await rm(directory, { recursive: true });
});

test('a setting that PostgreSQL refuses is reported with the end of its log', async () => {
  const starting = startPostgres({ max_connections: 'many' });
  await expect(starting).rejects.toMatchObject({
    code: 'CHILD_FAILED',
    message: expect.stringContaining('max_connections'),
  });
});

test('the server ends when the process that started it is killed', async () => {
  const module = new URL('../../dist/demo/embedded-postgres.js', import.meta.url).href;
  const script = `
    const { startEmbeddedPostgres } = await import(${JSON.stringify(module)});
    const server = await startEmbeddedPostgres({ directory: process.argv[1] });
    console.log(server.pid + ' ' + server.socketDirectory);`;
  const directory = await makeFolder();
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface(owner.stdout), 'line');
  const [pid, socketDirectory] = String(line).split(' ');
  expect(isAlive(Number(pid))).toBe(true);
  owner.kill('SIGKILL');
  try {
    await waitFor(() => !isAlive(Number(pid)), { what: 'the end of the orphaned server' });
  } finally {
    if (isAlive(Number(pid))) process.kill(Number(pid), 'SIGQUIT');
    await rm(directory, { recursive: true, force: true });
    await rm(String(socketDirectory), { recursive: true, force: true });
  }
});

test('each test database is empty and its own', async () => {
  await using one = await createTestDatabase();
  await using two = await createTestDatabase();
  await one.query('CREATE TABLE events (id bigint)');
  await two.query('CREATE TABLE events (id bigint)');
  await one.query('INSERT INTO events VALUES ($1)', [1]);
  expect(await two.query('SELECT * FROM events')).toEqual([]);
});

test('a test database goes away although somebody is still connected', async () => {
  const database = await createTestDatabase();
  await database.client();
  const stranger = new pg.Client({ connectionString: database.url });
  stranger.on('error', () => {});
  await stranger.connect();
  await database[Symbol.asyncDispose]();
  await using other = await createTestDatabase();
  expect(await other.query('SELECT 1 FROM pg_database WHERE datname = $1', [database.name])).toEqual([]);
});
