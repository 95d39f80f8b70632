// A real MariaDB for tests, from the system's package: its own data folder, socket and port, gone at the end.

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import mysql from 'mysql2/promise';
import { findTool, requireTool } from './require-tool.ts';
import { waitFor } from './wait-for.ts';

/** Whether MariaDB can be started; said aloud when it cannot, an error where all tests must run. */
export function requireMariadb(): boolean {
  return requireTool('mariadbd') && requireTool('mariadb-install-db');
}

export interface Mariadb extends AsyncDisposable {
  readonly port: number;
  readonly socket: string;
  /** Creates an empty database. */
  createDatabase(): Promise<MariadbDatabase>;
  /** Stops it as it goes: kills it, starts it again, waits until it answers. */
  restart(): Promise<void>;
  kill(): Promise<void>;
  start(): Promise<void>;
}

export interface MariadbDatabase {
  /** With user and password. */
  readonly url: string;
  readonly name: string;
  query(sql: string, values?: readonly unknown[]): Promise<Record<string, unknown>[]>;
}

const USER = 'tailrace';
const PASSWORD = 'Maria-s3cret';

/** Nothing of a test has to survive a power cut; what is committed survives `kill` (2: written, not synced). */
const TEST_SETTINGS = ['--innodb-flush-log-at-trx-commit=2', '--innodb-buffer-pool-size=64M'];

/** Starts a server: `await using mariadb = await startMariadb()`. */
export async function startMariadb(settings: readonly string[] = TEST_SETTINGS): Promise<Mariadb> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-mariadb-'));
  const data = join(folder, 'data');
  const socket = join(folder, 'sock');
  const port = await freePort();
  // As root it would become another user, who may not enter the folder.
  const user = process.getuid?.() === 0 ? ['--user=root'] : [];
  let child: ChildProcess | null = null;
  let log = '';

  const run = async (sql: string, values: readonly unknown[] = [], database?: string) => {
    const connection = await mysql.createConnection({
      socketPath: socket,
      user: 'root',
      charset: 'utf8mb4',
      supportBigNumbers: true,
      bigNumberStrings: true,
      ...(database !== undefined && { database }),
    });
    try {
      return (await connection.query(sql, [...values]))[0] as Record<string, unknown>[];
    } finally {
      connection.destroy();
    }
  };

  const mariadb: Mariadb = {
    port,
    socket,
    async start() {
      const args = ['--no-defaults', ...user, `--datadir=${data}`, `--socket=${socket}`, `--port=${port}`];
      child = spawn(
        findTool('mariadbd') ?? 'mariadbd',
        [...args, '--bind-address=127.0.0.1', `--pid-file=${join(folder, 'pid')}`, ...settings],
        { stdio: ['ignore', 'ignore', 'pipe'] },
      );
      child.stderr?.on('data', (text) => {
        log += String(text);
      });
      const started = child;
      await waitFor(
        () => {
          if (started.exitCode !== null) throw new Error(`mariadbd ended:\n${log}`);
          return run('SELECT 1');
        },
        { timeoutMs: 60_000, what: 'mariadbd to answer' },
      );
    },
    async kill() {
      const running = child;
      child = null;
      if (!running || running.exitCode !== null) return;
      running.kill('SIGKILL');
      await once(running, 'exit');
    },
    async restart() {
      await mariadb.kill();
      await mariadb.start();
    },
    async createDatabase() {
      const name = `test_${randomBytes(6).toString('hex')}`;
      await run(`CREATE DATABASE ${name} CHARACTER SET utf8mb4`);
      return {
        name,
        url: `mysql://${USER}:${PASSWORD}@127.0.0.1:${port}/${name}`,
        query: (sql, values) => run(sql, values, name),
      };
    },
    async [Symbol.asyncDispose]() {
      await mariadb.kill();
      await rm(folder, { recursive: true, force: true });
    },
  };

  try {
    await promisify(execFile)(findTool('mariadb-install-db') ?? '', [
      '--no-defaults',
      ...user,
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
    ]);
    await mariadb.start();
    await run(`CREATE USER ${USER}@'%' IDENTIFIED BY '${PASSWORD}'`);
    await run(`GRANT ALL ON *.* TO ${USER}@'%'`);
  } catch (error) {
    await mariadb[Symbol.asyncDispose]();
    throw error;
  }
  return mariadb;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // TCP has a port
  server.close();
  await once(server, 'close');
  return port;
}
