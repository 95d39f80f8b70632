// The PostgreSQL of one bench: the system's newest, else the embedded one; a server of its own, durable as in production,
// gone at the end.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { type Account, choosePostgresAccount } from '../../src/demo/postgres-account.ts';
import { startPostgresProcess } from '../../src/demo/postgres-process.ts';
import { runWatched } from '../../src/demo/watched-child.ts';
import { findTool } from '../helpers/require-tool.ts';

const SYSTEM_FOLDER = '/usr/lib/postgresql';
const HOW = 'of this bench alone';

/** Room for the write-ahead log, so that no checkpoint falls into one round and not into the next. fsync stays on. */
export const SERVER_SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: '512MB',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
};

export interface BenchServer extends AsyncDisposable {
  readonly kind: 'system' | 'embedded';
  /** As `SHOW server_version` has it, and where it came from. */
  readonly from: string;
  readonly socketDirectory: string;
  /** psql, if there is one. */
  readonly psql: string | undefined;
  url(database: string): string;
}

/** @param embedded even if the system has one. @throws {TailraceError} when there is none that starts. */
export async function startBenchServer(embedded: boolean): Promise<BenchServer> {
  const programs = embedded ? undefined : await newestSystemPrograms();
  if (programs) return startSystemServer(programs);
  const server = await startEmbeddedPostgres({ directory: tmpdir(), settings: SERVER_SETTINGS });
  return {
    kind: 'embedded',
    from: `the embedded PostgreSQL, ${HOW}`,
    socketDirectory: server.socketDirectory,
    psql: findTool('psql'),
    url: server.url,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The folder with the programs of the highest version that is whole. */
async function newestSystemPrograms(): Promise<string | undefined> {
  const versions = await readdir(SYSTEM_FOLDER).catch(() => []);
  return versions
    .filter((name) => /^\d+$/.test(name))
    .sort((one, other) => Number(other) - Number(one))
    .map((name) => join(SYSTEM_FOLDER, name, 'bin'))
    .find((folder) => ['initdb', 'postgres'].every((program) => existsSync(join(folder, program))));
}

async function startSystemServer(programs: string): Promise<BenchServer> {
  const account = await choosePostgresAccount();
  const home = await makeFolder(account);
  const removeFiles = () => rm(home, { recursive: true, force: true });
  const files = { dataDirectory: join(home, 'data'), logPath: join(home, 'postgres.log'), account };
  const initdb = ['--pgdata', files.dataDirectory, '--username=postgres', '--auth=trust', '--no-sync'];
  try {
    await runWatched({
      program: join(programs, 'initdb'),
      args: [...initdb, '--encoding=UTF8', '--locale=C'],
      cwd: home,
      env: { LC_ALL: 'C', PATH: process.env.PATH },
      logPath: files.logPath,
      orphanSignal: 'QUIT',
      account,
    });
    const settings = { ...SERVER_SETTINGS, listen_addresses: '', unix_socket_directories: home };
    const server = await startPostgresProcess({ ...files, program: join(programs, 'postgres'), settings });
    return {
      kind: 'system',
      from: `${await versionOf(programs)} of ${programs}, ${HOW}`,
      socketDirectory: home,
      psql: existsSync(join(programs, 'psql')) ? join(programs, 'psql') : findTool('psql'),
      url: (database) => `postgresql://postgres@/${database}?host=${home}`,
      async [Symbol.asyncDispose]() {
        await server.stop('fast');
        await removeFiles();
      },
    };
  } catch (error) {
    await removeFiles();
    throw error;
  }
}

async function versionOf(programs: string): Promise<string> {
  const { stdout } = await promisify(execFile)(join(programs, 'postgres'), ['--version']);
  return stdout.trim();
}

async function makeFolder(account: Account | null): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-bench-pg-'));
  if (account) await chown(folder, account.uid, account.gid);
  return folder;
}
