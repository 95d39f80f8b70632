// One drain of a queue by `tailrace run --once`, and the same by psql alone: what most rows measure.

import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Finding, finding } from './finding.ts';
import { type Measured, run, start, tailrace } from './measured.ts';
import type { Bench } from './scene.ts';

/** The drain that needs no program: baseline A. Its file is synced like ours; nothing else of the disk is. */
const PSQL_DRAIN = 'COPY (DELETE FROM events RETURNING json_strip_nulls(row_to_json(events))) TO STDOUT';

export interface Drain {
  /** Events a second, from the start of the process to its end. */
  readonly rate: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
  readonly bytesPerLine: number;
}

/**
 * Drains a queue of so many events and checks that each has its line and left the queue.
 *
 * @param config all but the log file.
 * @throws {Error} when an event is missing.
 */
export async function drain(bench: Bench, events: number, config: object): Promise<Drain> {
  await using queue = await bench.queues.create(events);
  await using place = await bench.place(config);
  const args = ['run', '--once', '--config', place.config, '--database', queue.url];
  const measured = await run({ ...tailrace(args), folder: place.folder });
  const { lines, bytes } = await countLines(place.log);
  const [left] = await queue.query<{ count: string }>('SELECT count(*) FROM events');
  if (lines !== events || left?.count !== '0') {
    throw new Error(`of ${events} events ${lines} are in the file and ${left?.count} in the queue\n${measured.stderr}`);
  }
  return { ...took(measured), rate: events / measured.seconds, bytesPerLine: bytes / lines };
}

/** Events a second of baseline A. */
export async function psqlDrain(bench: Bench, psql: string, events: number): Promise<number> {
  await using queue = await bench.queues.create(events);
  await using place = await bench.place({});
  const file = join(place.folder, 'psql.jsonl');
  const began = performance.now();
  await using running = start({
    command: psql,
    args: ['-X', '-q', '-d', queue.url, '-c', PSQL_DRAIN, '-o', file],
    folder: place.folder,
  });
  const { code, stderr } = await running.end;
  if (code !== 0) throw new Error(`psql ended with ${code}: ${stderr}`);
  const handle = await open(file, 'r+');
  await handle.sync();
  await handle.close();
  const seconds = (performance.now() - began) / 1000;
  const { lines } = await countLines(file);
  if (lines !== events) throw new Error(`psql wrote ${lines} lines of ${events}`);
  return events / seconds;
}

export const took = ({ cpuSeconds, peakMiB }: Measured): Pick<Measured, 'cpuSeconds' | 'peakMiB'> => ({
  cpuSeconds,
  peakMiB,
});

/** A finding of drains, each against the rate of the same round. */
export function drained(known: Pick<Finding, 'what'> & Partial<Finding>, drains: readonly Drain[]): Finding {
  return finding({
    ours: { label: 'tailrace', unit: 'events/s', values: drains.map(({ rate }) => rate) },
    cpuSeconds: drains.map(({ cpuSeconds }) => cpuSeconds),
    peakMiB: drains.map(({ peakMiB }) => peakMiB),
    ...known,
  });
}

/** Runs the sides of a comparison in turn, as often as is asked for: A B A B … */
export async function inTurn(bench: Bench, what: string, ...sides: readonly (() => Promise<void>)[]): Promise<void> {
  for (let round = 1; round <= bench.options.pairs; round += 1) {
    bench.say(`${what}: round ${round} of ${bench.options.pairs}`);
    for (const side of sides) await side();
  }
}

/** Lines and bytes of a file. */
export async function countLines(file: string): Promise<{ lines: number; bytes: number }> {
  let lines = 0;
  let bytes = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines += 1;
  }
  return { lines, bytes };
}
