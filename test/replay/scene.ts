// What the tests of `tailrace replay` need: a folder with a configuration and log files, and the built program, without
// any database.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CliResult, type RunningCli, runCli, spawnCli } from '../helpers/cli.ts';
import { createHttpReceiver, type HttpReceiver } from '../helpers/http-receiver.ts';

/** Seconds since the epoch at which the first line was written; each following one a millisecond later. */
export const BEGAN = 1_795_302_000;

export interface Scene extends AsyncDisposable {
  readonly receiver: HttpReceiver;
  path(name: string): string;
  write(name: string, content: string | Buffer): Promise<string>;
  read(name: string): Promise<string>;
  configure(...entries: readonly object[]): Promise<void>;
  replay(...args: readonly string[]): Promise<CliResult>;
  start(...args: readonly string[]): RunningCli;
  /** Keys of the requests that the receiver got, in their order. */
  keys(): string[];
}

/** Makes a folder whose configuration sends everything to a receiver, which accepts everything. */
export async function createScene(): Promise<Scene> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-replay-'));
  const receiver = await createHttpReceiver();
  const scene: Scene = {
    receiver,
    path: (name) => join(folder, name),
    async write(name, content) {
      await writeFile(join(folder, name), content);
      return join(folder, name);
    },
    read: (name) => readFile(join(folder, name), 'utf8'),
    async configure(...entries) {
      await scene.write('event_processor.json', JSON.stringify({ event_destinations: entries }));
    },
    replay: (...args) => runCli(['replay', ...args], { cwd: folder }),
    start: (...args) => spawnCli(['replay', ...args], { cwd: folder }),
    keys: () => receiver.requests.map(({ headers }) => String(headers['idempotency-key'])),
    async [Symbol.asyncDispose]() {
      await receiver.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
  await scene.configure(hook(receiver));
  return scene;
}

/** The entry of a destination called `hook`, by default for all events. */
export function hook(receiver: HttpReceiver, settings: object = {}, entry: object = {}): object {
  const retry = { initial_ms: 1, max_ms: 5 };
  return {
    name: 'hook',
    matches: { all: true },
    ...entry,
    destination: { type: 'http_post', url: receiver.url(), format: 'json', retry, ...settings },
  };
}

/** An entry for all that no other one took. */
export const DROP_THE_REST = { matches: { all: true }, destination: { type: 'drop_from_queue' } };

/** The line of the event with an id, as tailrace writes it; its key is `u<id>`. */
export function lineOf(id: number, values: Readonly<Record<string, unknown>> = {}): string {
  const written = `${BEGAN + Math.floor(id / 1_000)}.${String((id % 1_000) * 1_000).padStart(6, '0')}`;
  const { event_type: type = 'scomp', ...rest } = values;
  const fields = { server_id: 'mail1', event_unique_id: `u${id}`, email: `a${id}@example.com`, ...rest };
  const head = `"time_written_to_logfile":${written},"event_id":${id},"event_time":1767225600,"event_type":${JSON.stringify(type)}`;
  return `{${head},${JSON.stringify(fields).slice(1)}`;
}

/** Lines of events with ids from one number to another. */
export function linesOf(from: number, to: number, values: Readonly<Record<string, unknown>> = {}): string {
  return Array.from({ length: to - from + 1 }, (_, at) => `${lineOf(from + at, values)}\n`).join('');
}

/** Their keys. */
export const keysOf = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => `u${from + at}`);

/** In the order of the ids. */
export const sorted = (keys: Iterable<string>): string[] =>
  [...keys].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
