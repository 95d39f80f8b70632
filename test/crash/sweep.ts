// One point of the sweep: the program is killed there, the log file is perhaps moved, a recovery is killed too, and the
// last start has to bring everything in and go on.

import { readFile, stat, truncate } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { messageOf } from '../../src/lib/errors.ts';
import { ranOut } from '../helpers/second-try.ts';
import { inParallel } from './in-parallel.ts';
import { isOnlyLate, judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import type { Program } from './program.ts';
import { createRandom, type Random } from './random.ts';
import { type Rotation, rotate, type Scene } from './scene.ts';
import { type FileClass, injecting, pathsOf } from './strace.ts';

/** The n-th time that the program makes a call on a class of files. */
export interface FilePoint {
  readonly files: FileClass;
  readonly call: string;
  readonly n: number;
}

/** Lines of a batch of the small workload. */
const BATCH_LINES = 7;
/** Instead of a number of bytes: the whole last line. */
export const LAST_LINE = 0;

export interface Staging {
  /** Makes the first process and ends when it is dead. @returns whether it met its point. */
  readonly crash: (scene: Scene) => Promise<boolean>;
  readonly rotation: Rotation;
  /** Where a second start is killed, or null. */
  readonly recoveryPoint: FilePoint | null;
  readonly name: string;
}

/** Kills the program at a point. @returns whether it was reached. */
export async function crashAt(scene: Scene, { files, call, n }: FilePoint): Promise<boolean> {
  const under = injecting({
    call,
    paths: pathsOf(scene.log, scene.folder)[files],
    effect: 'signal=KILL',
    when: `${n}`,
  });
  await using program = scene.run({ once: true, under });
  const code = await program.exit;
  if (code !== 0 && code !== 137) throw new Error(`run --once ended with ${code}:\n${program.said}`);
  return code === 137;
}

/**
 * Shortens the log by a part of its last batch: what a write leaves that the kernel had half done.
 *
 * @param tear `LAST_LINE`, a number of bytes, or below 1 a share of the batch.
 */
export async function tearOff({ log }: Scene, tear: number): Promise<void> {
  const lines = (await readFile(log, 'utf8')).split('\n').slice(-1 - BATCH_LINES, -1);
  const batchBytes = Buffer.byteLength(lines.join('\n')) + 1;
  const lastLineBytes = Buffer.byteLength(lines.at(-1) ?? '') + 1;
  const { size } = await stat(log);
  const bytes = tear >= 1 ? tear : Math.round(tear * batchBytes);
  await truncate(log, size - (tear === LAST_LINE ? lastLineBytes : bytes));
}

/** Stages one point in a scene. @returns the faults, and whether the points were met. */
export async function stage(
  scene: Scene,
  { crash, rotation, recoveryPoint }: Staging,
): Promise<{ readonly faults: readonly string[]; readonly met: boolean; readonly metAgain: boolean }> {
  const met = await crash(scene);
  const moved = await rotate(scene, rotation);
  const metAgain = recoveryPoint !== null && (await crashAt(scene, recoveryPoint));
  const faults = await restart(scene, { mayBeTorn: moved });
  return { faults, met, metAgain };
}

/** Starts the program again, lets it settle everything and pass a fresh event, stops it. @returns what is wrong then. */
export async function restart(
  scene: Scene,
  options: { readonly mayBeTorn?: boolean; readonly clockMoved?: boolean; readonly timeoutMs?: number } = {},
): Promise<string[]> {
  const truth = { ...scene, ...options };
  await using program = scene.run();
  try {
    await program.started();
    await waitUntilSettled(truth, options.timeoutMs);
    await passFreshEvent(truth);
    await stop(program);
    return await judge(truth);
  } catch (error) {
    const faults = await judge(truth);
    const said = program.said.slice(-2_000);
    // Nothing is wrong but that it took too long: that is for a second try to decide.
    if (ranOut(error) && isOnlyLate(faults)) {
      throw new Error([messageOf(error), ...faults, said].join('\n'), { cause: error });
    }
    return [`${error}`, ...faults, said];
  }
}

/** Starts the program and kills it at any moment of its first second, again and again. */
export async function killAgainAndAgain(scene: Scene, random: Random, times: number): Promise<void> {
  for (let kills = 0; kills < times; kills += 1) {
    await using program = scene.run();
    await program.started();
    await sleep(random.integer(0, 1_000));
    program.signal('SIGKILL');
    await program.exit;
  }
}

/** @throws {Error} when SIGTERM does not end it with 0. */
export async function stop(program: Program): Promise<void> {
  program.signal('SIGTERM');
  const code = await program.exit;
  if (code !== 0) throw new Error(`SIGTERM ended it with ${code}:\n${program.said}`);
}

/** Stages all, as many at a time as there are cores, and holds that none has a fault. @returns how many met their point. */
export async function sweep(
  stagings: readonly Staging[],
  createScene: () => Promise<Scene>,
): Promise<{ readonly met: number; readonly metAgain: number }> {
  const faults: string[] = [];
  const counts = { met: 0, metAgain: 0 };
  await inParallel(stagings, async (staging) => {
    await using scene = await createScene();
    const outcome = await stage(scene, staging);
    faults.push(...outcome.faults.map((fault) => `${staging.name}: ${fault}`));
    counts.met += outcome.met ? 1 : 0;
    counts.metAgain += outcome.metAgain ? 1 : 0;
  });
  expect(faults).toEqual([]);
  return counts;
}

/** What a recovery does that could be cut short. Some starts do less, and then the kill is not met. */
const RECOVERY_POINTS: readonly FilePoint[] = [
  ...[1, 2].flatMap((n): FilePoint[] => [
    { files: 'log', call: 'openat', n },
    { files: 'log', call: 'write', n },
    { files: 'log', call: 'fdatasync', n },
    { files: 'journal', call: 'fdatasync', n },
    { files: 'journal', call: 'pwritev', n },
    { files: 'directory', call: 'fsync', n },
  ]),
  ...[1, 9, 17, 18].map((n): FilePoint => ({ files: 'journal', call: 'pwrite64', n })),
  { files: 'journal', call: 'openat', n: 1 },
  { files: 'journal', call: 'fsync', n: 1 },
];

/** A point of the recovery, another one for each `at`. */
export function recoveryPoint(at: number): FilePoint {
  return createRandom(at * 7_919).pick(RECOVERY_POINTS);
}

export const nameOf = ({ files, call, n }: FilePoint): string => `${call} ${n} on the ${files}`;
