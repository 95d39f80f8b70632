// What every row has: the options, the server, queues on it, a receiver, and folders that go at the end.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchOptions } from './options.ts';
import { createQueues, type Queues } from './queue.ts';
import { type BenchReceiver, startReceiver } from './receiver.ts';
import { type BenchServer, startBenchServer } from './server.ts';

export interface Bench extends AsyncDisposable {
  readonly options: BenchOptions;
  readonly server: BenchServer;
  readonly queues: Queues;
  readonly receiver: BenchReceiver;
  readonly folder: string;
  /** What goes on, for whoever waits: one line on standard error. */
  say(text: string): void;
  /** A folder with a configuration in it and a place for the log. */
  place(config: object): Promise<Place>;
}

export interface Place extends AsyncDisposable {
  readonly folder: string;
  readonly config: string;
  readonly log: string;
}

/** Everything to the log file, with these destinations behind it. */
export type Destinations = readonly object[];

/** Starts all of it. */
export async function createBench(options: BenchOptions): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-bench-'));
  await using stack = new AsyncDisposableStackOf();
  stack.add(() => rm(folder, { recursive: true, force: true }));
  const server = await startBenchServer(options.embedded);
  stack.add(() => server[Symbol.asyncDispose]());
  const receiver = await startReceiver();
  stack.add(() => receiver[Symbol.asyncDispose]());
  const queues = await createQueues(server, folder);
  const dispose = stack.move();
  return {
    options,
    server,
    queues,
    receiver,
    folder,
    say: (text) => {
      process.stderr.write(`  ${text}\n`);
    },
    async place(config) {
      const own = await mkdtemp(join(folder, 'place-'));
      await mkdir(join(own, 'log'));
      const place = { folder: own, config: join(own, 'event_processor.json'), log: join(own, 'log', 'events.jsonl') };
      const whole = { use_json_for_http_post: true, logfile: { filename: place.log }, ...config };
      await writeFile(place.config, JSON.stringify(whole));
      return { ...place, [Symbol.asyncDispose]: () => rm(own, { recursive: true, force: true }) };
    },
    [Symbol.asyncDispose]: dispose,
  };
}

/** All events to one destination. */
export function allTo(destination: object): object {
  return { event_destinations: [{ name: 'bench', matches: { all: true }, destination }] };
}

/** Undoes, last first, what was done so far, unless it is moved on. Node 20 has no AsyncDisposableStack. */
class AsyncDisposableStackOf implements AsyncDisposable {
  #undo: (() => PromiseLike<void>)[] = [];

  add(undo: () => PromiseLike<void>): void {
    this.#undo.push(undo);
  }

  move(): () => Promise<void> {
    const undo = this.#undo.reverse();
    this.#undo = [];
    return async () => {
      for (const each of undo) await each();
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.move()();
  }
}
