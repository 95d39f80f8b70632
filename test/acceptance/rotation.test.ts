// Rotation by rename while the program runs, idle and under load (SPEC 4): each event in exactly one file, and a moved
// file is left alone one second later.

import { existsSync } from 'node:fs';
import { rename, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import {
  createWorld,
  expectGrowingTimes,
  expectOneLineEach,
  report,
  SLOW_MS,
  scaled,
  stopped,
  type World,
  waitUntilDrained,
} from './world.ts';

const BUSY_ROTATIONS = scaled(200, 25);
const IDLE_ROTATIONS = scaled(50, 8);
/** The second of SPEC 4, with patience for a machine that does much else every day. */
const ONE_SECOND_MS = scaled(1_000, 5_000);

interface Move {
  readonly to: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

async function move(world: World, number: number): Promise<Move> {
  const to = `${world.log}.${String(number).padStart(3, '0')}`;
  await rename(world.log, to);
  return { to, at: Date.now() };
}

/** Milliseconds from a move to the last writing into the moved file. */
async function writtenAfter({ to, at }: Move): Promise<number> {
  return (await stat(to)).mtimeMs - at;
}

test(`${BUSY_ROTATIONS} rotations under load leave each event in one file`, { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using running = await world.run();
  const ids: string[] = [];
  const moves: Move[] = [];
  let rotating = true;
  const load = async (): Promise<void> => {
    while (rotating) {
      ids.push(...(await world.insert(100)));
      await sleep(5);
    }
  };
  const loading = load();
  for (let number = 0; number < BUSY_ROTATIONS; number += 1) {
    await waitFor(() => existsSync(world.log), { timeoutMs: ONE_SECOND_MS, intervalMs: 5, what: 'a new file' });
    await sleep(Math.random() * 60);
    moves.push(await move(world, number));
  }
  rotating = false;
  await loading;
  await waitUntilDrained(world);
  expect(await stopped(running)).toBe(0);

  const files = await world.files();
  expectOneLineEach([...files.values()].flat(), ids);
  for (const lines of files.values()) expectGrowingTimes(lines);
  const latest = Math.max(...(await Promise.all(moves.map(writtenAfter))));
  expect(latest).toBeLessThan(ONE_SECOND_MS);
  report({ events: ids.length, files: files.size, latestWriteIntoMovedFileMs: latest });
});

test(`${IDLE_ROTATIONS} rotations of an idle log get a new file within a second`, { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using _running = await world.run();
  await world.insert(1);
  await waitFor(() => existsSync(world.log), { what: 'the first file' });
  const waits: number[] = [];
  for (let number = 0; number < IDLE_ROTATIONS; number += 1) {
    await sleep(Math.random() * 300);
    const { at } = await move(world, number);
    await waitFor(() => existsSync(world.log), { timeoutMs: ONE_SECOND_MS, intervalMs: 5, what: 'a new file' });
    waits.push(Date.now() - at);
  }
  const ids = await world.insert(1);
  await waitUntilDrained(world);
  expect((await world.files()).get('events.jsonl')?.map(({ id }) => id)).toEqual(ids);
  report({ longestWithoutFileMs: Math.max(...waits) });
});

test('a file that is deleted under load is made again and gets all that comes later', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  await using running = await world.run();
  await world.insert(2_000);
  await waitUntilDrained(world);
  await rename(world.log, `${world.folder}/kept.jsonl`);
  const ids = await world.insert(3_000);
  await waitUntilDrained(world);
  expectOneLineEach(await world.lines(), ids);
  expect(await stopped(running)).toBe(0);
});
