// Outside the data path: a real PostgreSQL of our own, for the demo and the tests. Reached by a Unix socket only, in
// folders that are new each time, so that nothing a killed run left behind is ever used again. The server ends when
// our process does, however that ends.

import { spawnSync } from 'node:child_process';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Account, choosePostgresAccount, runAs } from './postgres-account.ts';
import { preparePostgresBinaries } from './postgres-binaries.ts';
import { initialisePostgres, type PostgresProcess, type StopMode, startPostgresProcess } from './postgres-process.ts';

export interface EmbeddedPostgresOptions {
  /**
   * An existing folder; the server makes a new one of its own in it, or in the system's temporary folder when the
   * server's account may not enter it.
   */
  readonly directory: string;
  /** Settings as in postgresql.conf, for example `{ fsync: 'off' }`. */
  readonly settings?: Readonly<Record<string, string>>;
}

export interface EmbeddedPostgres extends AsyncDisposable {
  readonly socketDirectory: string;
  /** The file that the server logs to. */
  readonly logPath: string;
  /** The postmaster's process id; another one after a restart. */
  readonly pid: number;
  /** Connection URL of a database, by default `postgres`. */
  url(database?: string): string;
  /** Ends the server and keeps its files; safe to call twice. */
  stop(mode?: StopMode): Promise<void>;
  /** Ends the server and starts it again on the same data and the same socket. */
  restart(mode?: StopMode): Promise<void>;
  /** Ends the server and removes its files. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Longest path of a Unix socket on macOS; Linux has 107 bytes. */
const MAX_SOCKET_PATH_BYTES = 103;

/**
 * Initialises and starts a server with the superuser `postgres`, UTF-8 and no passwords.
 *
 * @throws {TailraceError} EMBEDDED_POSTGRES_MISSING, EMBEDDED_POSTGRES_UNUSABLE, CHILD_FAILED with the end of
 *   the log of a program that did not do its work.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const account = await choosePostgresAccount();
  const home = await makeFolder(join(homeParent(options.directory, account), 'tailrace-postgres-'), account);
  const socketDirectory = await makeFolder(socketFolderPrefix(), account);
  const removeFiles = async () => {
    await rm(home, { recursive: true, force: true });
    await rm(socketDirectory, { recursive: true, force: true });
  };
  const files = { dataDirectory: join(home, 'data'), logPath: join(home, 'postgres.log'), account };
  const settings = { ...options.settings, listen_addresses: '', unix_socket_directories: socketDirectory };

  let start: () => Promise<PostgresProcess>;
  let server: PostgresProcess;
  try {
    const binaries = await preparePostgresBinaries(home, account);
    await initialisePostgres({ ...files, program: binaries.initdb });
    start = () => startPostgresProcess({ ...files, program: binaries.postgres, settings });
    server = await start();
  } catch (error) {
    await removeFiles();
    throw error;
  }

  return {
    socketDirectory,
    logPath: files.logPath,
    get pid() {
      return server.pid;
    },
    url: (database = 'postgres') => `postgresql://postgres@/${database}?host=${socketDirectory}`,
    stop: (mode = 'fast') => server.stop(mode),
    async restart(mode = 'fast') {
      await server.stop(mode);
      server = await start();
    },
    async [Symbol.asyncDispose]() {
      await server.stop('fast');
      await removeFiles();
    },
  };
}

/** `directory`, or the system's temporary folder when the server's account may not enter it (a folder under /root). */
function homeParent(directory: string, account: Account | null): string {
  if (!account) return directory;
  const entered = spawnSync('/bin/sh', ['-c', 'cd -- "$1"', 'sh', directory], { cwd: '/', ...runAs(account) });
  return entered.status === 0 ? directory : tmpdir();
}

function socketFolderPrefix(): string {
  const prefix = join(tmpdir(), 'tailrace-');
  return Buffer.byteLength(`${prefix}XXXXXX/.s.PGSQL.5432`) > MAX_SOCKET_PATH_BYTES ? '/tmp/tailrace-' : prefix;
}

async function makeFolder(prefix: string, account: Account | null): Promise<string> {
  const folder = await mkdtemp(prefix);
  if (account) await chown(folder, account.uid, account.gid);
  return folder;
}
