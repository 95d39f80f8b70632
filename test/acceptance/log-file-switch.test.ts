// A changed `logfile.filename` that cannot be followed at once: the new file is somebody else's, or cannot be had. What
// holds the queue must not wait for it with the queue in its hands, and the corrected configuration must be followed.

import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { acquireLocalLock, type LocalLock, stateDirectory } from '../../src/log-file/local-lock.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, expectOneLineEach, SLOW_MS, stopped, type World, waitUntilDrained } from './world.ts';

/** Each step is soon done, but not on a machine that does something else. */
const WAIT_MS = 60_000;
const LEAVE = { matches: { all: true }, destination: { type: 'leave_in_queue' } };
const otherOf = (world: World): string => join(world.folder, 'events.jsonl.other');
const naming = (filename: string): object => ({ logfile: { filename } });

/** The lock of a log file, as another process would hold it. */
async function hold(filename: string): Promise<LocalLock> {
  const lock = await acquireLocalLock({ filename, createDirectory: false });
  if (lock === null) throw new Error(`the lock of ${filename} is taken`);
  return lock;
}

test('a standby holds no log file that the writer is told to use', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using writer = await world.run();
  const standbyConfig = join(world.folder, 'standby.json');
  await writeFile(standbyConfig, JSON.stringify(naming(otherOf(world))));
  await using standby = await world.run({ standby: true, args: ['--config', standbyConfig] });
  const ids = await world.insert(5);
  await waitUntilDrained(world);
  await world.configure(naming(otherOf(world)));
  await writer.waitForStderr(/configuration loaded/, WAIT_MS);
  ids.push(...(await world.insert(5)));
  await waitUntilDrained(world, WAIT_MS);
  ids.push(...(await world.insert(5)));
  await waitUntilDrained(world, WAIT_MS);
  expectOneLineEach(await world.lines(), ids);
  expect((await world.files()).get('events.jsonl.other')).toHaveLength(10);
  expect(await stopped(writer)).toBe(0);
  expect(await stopped(standby)).toBe(0);
});

test('after a crash and a start with another name the way back to the first one is open', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  const config = (filename: string): object => ({ ...naming(filename), event_destinations: [LEAVE] });
  await world.configure(config(otherOf(world)));
  const ids: string[] = [];
  {
    await using crashed = await world.run();
    ids.push(...(await world.insert(5)));
    await waitFor(async () => (await world.lines()).length === 5, { what: 'the first lines', timeoutMs: WAIT_MS });
    crashed.signal('SIGKILL');
    await crashed.exit;
  }
  await world.configure(config(world.log));
  await using running = await world.run();
  ids.push(...(await world.insert(5)));
  await waitFor(async () => (await world.lines()).length === 10, {
    what: 'the lines of the other name',
    timeoutMs: WAIT_MS,
  });
  await world.configure(config(otherOf(world)));
  await running.waitForStderr(/configuration loaded/, WAIT_MS);
  ids.push(...(await world.insert(5)));
  await waitFor(async () => (await world.lines()).length === 15, { what: 'the last lines', timeoutMs: WAIT_MS });
  expectOneLineEach(await world.lines(), ids);
  expect((await world.files()).get('events.jsonl.other')).toHaveLength(10);
  expect(running.stderr).not.toMatch(/kept its state elsewhere/);
  expect(await stopped(running)).toBe(0);
});

test('a new name in a folder that is not there is mended by correcting the configuration', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  await using running = await world.run();
  const ids = await world.insert(5);
  await waitUntilDrained(world);
  await world.configure(naming(join(world.folder, 'missing', 'events.jsonl')));
  await running.waitForStderr(/configuration loaded/, WAIT_MS);
  ids.push(...(await world.insert(5)));
  await running.waitForStderr(/LOG_FILE_DIRECTORY_MISSING|make it or set logfile\.create_directory/, WAIT_MS);
  await world.configure(naming(world.log));
  await waitUntilDrained(world, WAIT_MS);
  expectOneLineEach(await world.lines(), ids);
  expect(await stopped(running)).toBe(0);
});

test('a folder that is made while the new name waits for it is used', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using running = await world.run();
  const folder = join(world.folder, 'events.jsonl.folder');
  await world.configure(naming(join(folder, 'events.jsonl')));
  await running.waitForStderr(/configuration loaded/, WAIT_MS);
  const ids = await world.insert(5);
  await running.waitForStderr(/cannot start; trying again every second/, WAIT_MS);
  await mkdir(folder);
  await waitUntilDrained(world, WAIT_MS);
  expect(ids).toHaveLength(5);
  expect((await readdir(folder)).sort()).toEqual(['.events.jsonl.tailrace', 'events.jsonl']);
  expect(await stopped(running)).toBe(0);
  await rm(folder, { recursive: true });
});

test.each(['at the start', 'live'])(
  'a name of something that is no file, given %s, is mended by correcting the configuration',
  async (when) => {
    await using world = await createWorld();
    await mkdir(otherOf(world));
    if (when === 'at the start') await world.configure(naming(otherOf(world)));
    await using running = await world.run();
    if (when === 'live') {
      await world.configure(naming(otherOf(world)));
      await running.waitForStderr(/configuration loaded/, WAIT_MS);
    }
    const ids = await world.insert(5);
    await running.waitForStderr(/LOG_FILE_NOT_REGULAR/, WAIT_MS);
    await world.configure(naming(world.log));
    await waitUntilDrained(world, WAIT_MS);
    await rm(otherOf(world), { recursive: true });
    expectOneLineEach(await world.lines(), ids);
    expect(await stopped(running)).toBe(0);
  },
);

test('stopped while another process has the new file, it leaves that one alone', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  const lock = await hold(otherOf(world));
  try {
    await using running = await world.run();
    const ids = await world.insert(5);
    await waitUntilDrained(world);
    await world.configure(naming(otherOf(world)));
    await running.waitForStderr(/configuration loaded/, WAIT_MS);
    ids.push(...(await world.insert(5)));
    await running.waitForStderr(/holds the lock of .*events\.jsonl\.other; standing by/, WAIT_MS);
    expect(await stopped(running)).toBe(0);
    expect([...(await world.files()).keys()]).toEqual(['events.jsonl']);
    expect(await readdir(stateDirectory(otherOf(world)))).toEqual(['lock']);
    await world.configure(naming(world.log));
    await world.once();
    expectOneLineEach(await world.lines(), ids);
  } finally {
    await lock.release();
  }
});

test('while another process has the new file, one that stands by takes the queue and what is in flight', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  const lock = await hold(otherOf(world));
  try {
    await using running = await world.run();
    const standbyConfig = join(world.folder, 'standby.json');
    const third = join(world.folder, 'events.jsonl.third');
    await writeFile(standbyConfig, JSON.stringify(naming(third)));
    await using standby = await world.run({ standby: true, args: ['--config', standbyConfig] });
    await world.insert(5);
    await waitUntilDrained(world);
    await world.configure(naming(otherOf(world)));
    await running.waitForStderr(/configuration loaded/, WAIT_MS);
    const ids = await world.insert(5);
    await standby.waitForStderr(/started as the writer/, WAIT_MS);
    await waitUntilDrained(world, WAIT_MS);
    expect((await world.files()).get('events.jsonl.third')?.map(({ id }) => id)).toEqual(ids);
    expect((await world.files()).get('events.jsonl')).toHaveLength(5);
    // It had the first file's journal to look at: its lock had been given back before the queue.
    expect(standby.stderr).not.toMatch(/kept its state elsewhere/);
    expect(await stopped(standby)).toBe(0);
    expect(await stopped(running)).toBe(0);
  } finally {
    await lock.release();
  }
});
