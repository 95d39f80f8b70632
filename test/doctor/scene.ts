// What the tests of `tailrace doctor` share: a database after `init`, a configuration with a log file in a folder of its
// own, and all checks made in this process; those of the command itself run the built program.

import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { EmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { type DoctorOptions, type Examination, examine } from '../../src/doctor/doctor.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { TailraceError } from '../../src/lib/errors.ts';
import { initSchema } from '../../src/queue/schema.ts';
import { Session } from '../../src/queue/session.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';

export interface Scene {
  /** Throws when there is none. */
  readonly database: TestDatabase;
  readonly folder: string;
  /** The log's own folder. */
  readonly logs: string;
  readonly log: string;
  readonly configFile: string;
  configure(config: object, mode?: number): Promise<void>;
  examine(options?: Partial<DoctorOptions> & { readonly url?: string }): Promise<Examination>;
  /** The findings of one check. */
  check(name: string, options?: Parameters<Scene['examine']>[0]): Promise<readonly Finding[]>;
}

export interface SceneOptions {
  readonly server?: EmbeddedPostgres;
  /** Without `tailrace init`. */
  readonly bare?: boolean;
  /** PostgreSQL is down, as far as anybody can see. */
  readonly withoutDatabase?: boolean;
}

/** Makes one; it goes with the test. */
export async function createScene(options: SceneOptions = {}): Promise<Scene> {
  const hasDatabase = options.withoutDatabase !== true;
  const database = hasDatabase ? await createTestDatabase(options.server ? { server: options.server } : {}) : null;
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-doctor-'));
  onTestFinished(async () => {
    await database?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });
  const logs = join(folder, 'logs');
  await mkdir(logs, { mode: 0o750 });
  const log = join(logs, 'events.jsonl');
  const configFile = join(folder, 'event_processor.json');
  const open = (url: string | undefined) => async () => {
    if (url === undefined) throw new TailraceError('DATABASE_UNAVAILABLE', 'cannot use the database');
    return Session.open({ database: url, applicationName: 'tailrace doctor' });
  };
  if (database !== null && options.bare !== true) {
    const session = await open(database.url)();
    await initSchema(session, { notify: false });
    await session.close();
  }
  const scene: Scene = {
    get database() {
      if (database === null) throw new Error('this scene has no database');
      return database;
    },
    folder,
    logs,
    log,
    configFile,
    async configure(config, mode = 0o640) {
      await writeFile(configFile, JSON.stringify(config, null, 2));
      await chmod(configFile, mode);
    },
    examine: ({ url = database?.url, ...more } = {}) =>
      examine({ config: configFile, env: {}, open: open(url), now: Date.now, logrotate: [], ...more }),
    async check(name, more) {
      const findings = allOf(await scene.examine(more)).filter(({ check }) => check === name);
      if (findings.length === 0) throw new Error(`there is no check "${name}"`);
      return findings;
    },
  };
  await scene.configure({ logfile: { filename: log } });
  return scene;
}

/** A test machine may keep its temporary files in memory, or have little room. */
export const OF_THE_MACHINE: readonly string[] = ['file system', 'disk left', 'inodes left', 'memory'];

/** All findings of all groups. */
export const allOf = ({ groups }: Examination): readonly Finding[] => groups.flatMap(({ findings }) => findings);

/** What a finding must look like: its state, and texts in what was found and in the advice. */
export const finding = (state: Finding['state'], found: string, advice?: string): object => ({
  state,
  found: expect.stringContaining(found),
  ...(advice === undefined ? {} : { advice: expect.arrayContaining([expect.stringContaining(advice)]) }),
});
