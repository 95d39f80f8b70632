// A configuration file in a folder of its own, loaded: what the tests of the configuration begin with.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { type LoadedConfig, loadConfig } from '../../src/config/load.ts';

/** A folder that is gone after the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-config-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a text, or a value as JSON, to a new configuration file. */
export async function writeConfig(content: unknown, folder?: string): Promise<string> {
  const file = join(folder ?? (await temporaryFolder()), 'event_processor.json');
  await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content, null, 2));
  return file;
}

/** Loads a text, or a value as JSON. */
export async function load(content: unknown, env: NodeJS.ProcessEnv = {}): Promise<LoadedConfig> {
  return loadConfig(await writeConfig(content), { env });
}

/** Loads what has to be good. */
export async function loadGood(content: unknown, env: NodeJS.ProcessEnv = {}): Promise<Config> {
  const loaded = await load(content, env);
  if (loaded.config === null) throw new Error(messages(loaded).join('\n'));
  return loaded.config;
}

/** The problems and then the warnings as `LINE:COLUMN message`. */
export function messages({ problems, warnings }: LoadedConfig): string[] {
  const format = (mark: string) => (problem: { line: number; column: number; message: string }) =>
    `${problem.line}:${problem.column} ${mark}${problem.message}`;
  return [...problems.map(format('')), ...warnings.map(format('warning: '))];
}

/** Entries whose last leaves everything else in the queue. */
export function destinations(...entries: unknown[]) {
  return { event_destinations: [...entries, { matches: { all: true }, destination: { type: 'leave_in_queue' } }] };
}

/** An entry that posts events of a type. */
export function post(url: unknown, more: object = {}, entry: object = {}) {
  return { matches: { event_type: 'scomp' }, destination: { type: 'http_post', url, ...more }, ...entry };
}
