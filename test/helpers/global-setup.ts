// Before the first test: one PostgreSQL server for the whole run, in folders of its own, so that runs side by side
// never meet. Each test makes itself a database on it (postgres.ts).

import { tmpdir } from 'node:os';
import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts';
import { TEST_SERVER_SETTINGS } from './postgres.ts';

declare module 'vitest' {
  interface ProvidedContext {
    readonly postgresSocketDirectory: string;
  }
}

/** Called by vitest; what it returns is called after the last test. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await startEmbeddedPostgres({ directory: tmpdir(), settings: TEST_SERVER_SETTINGS });
  project.provide('postgresSocketDirectory', postgres.socketDirectory);
  return () => postgres[Symbol.asyncDispose]();
}
