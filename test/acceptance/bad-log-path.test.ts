// Log paths that cannot be written: `run --once` says so and ends, `run` says so, delivers nothing, and goes on by
// itself when the cause is gone (SPEC 4).

import { execFile } from 'node:child_process';
import { appendFile, lstat, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { spawnCli } from '../helpers/cli.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { createWorld, expectOneLineEach, httpPost, stopped, type World, waitUntilDrained } from './world.ts';

interface Obstacle {
  readonly what: string;
  readonly said: RegExp;
  /** Puts it where the file or its folder belongs. */
  put(log: string): Promise<unknown>;
  mend(log: string): Promise<unknown>;
}

const remove = (log: string): Promise<unknown> => rm(log, { recursive: true });

const OBSTACLES: readonly Obstacle[] = [
  { what: 'a symbolic link', said: /symbolic link/, put: (log) => symlink('/etc/hostname', log), mend: remove },
  { what: 'a link to nothing', said: /symbolic link/, put: (log) => symlink('nowhere', log), mend: remove },
  { what: 'a directory', said: /directory/, put: (log) => mkdir(log), mend: remove },
  { what: 'a FIFO', said: /FIFO/, put: (log) => promisify(execFile)('mkfifo', [log]), mend: remove },
];

async function worldWithObstacle({ put }: Obstacle, url: string): Promise<World> {
  const world = await createWorld();
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(url)] });
  await put(world.log);
  return world;
}

test.for(OBSTACLES)('$what at the path ends `run --once` with 69', async (obstacle) => {
  await using receiver = await createHttpReceiver();
  await using world = await worldWithObstacle(obstacle, receiver.url());
  await world.insert(3);
  const { code, stdout, stderr } = await world.cli(['run', '--once']);
  expect({ code, stdout }).toEqual({ code: 69, stdout: '' });
  expect(stderr).toMatch(new RegExp(`^tailrace: .*${obstacle.said.source}`, 'm'));
  expect(receiver.requests).toEqual([]);
  await obstacle.mend(world.log);
  expect(await world.once()).toMatchObject({ read: 3, logged: 3, delivered: 3 });
});

test.for(OBSTACLES)('$what at the path stops `run` until it is gone', async (obstacle) => {
  await using receiver = await createHttpReceiver();
  await using world = await worldWithObstacle(obstacle, receiver.url());
  const ids = await world.insert(3);
  await using running = await world.run();
  await running.waitForStderr(/log file cannot be written; nothing is delivered until it can/);
  expect(running.stderr).toMatch(obstacle.said);
  await sleep(500);
  expect(receiver.requests).toEqual([]);
  expect(await world.queued()).toBe(3);
  await obstacle.mend(world.log);
  await waitUntilDrained(world);
  expect(receiver.requests).toHaveLength(3);
  expect((await lstat(world.log)).isFile()).toBe(true);
  expectOneLineEach(await world.lines(), ids);
  expect(await stopped(running)).toBe(0);
});

test('a missing folder is waited for by `run`, and ends `run --once` with 69', async () => {
  await using world = await createWorld();
  const folder = `${world.folder}/var/log`;
  await world.configure({ logfile: { filename: `${folder}/events.jsonl` } });
  const { code, stderr } = await world.cli(['run', '--once']);
  expect(code).toBe(69);
  expect(stderr).toMatch(/directory .*var\/log is missing; make it or set logfile\.create_directory/);
  await world.insert(2);
  await using running = spawnCli(['run', '--config', world.configFile], {
    env: { TAILRACE_DATABASE_URL: world.database.url },
  });
  await running.waitForStderr(/is missing/);
  await mkdir(folder, { recursive: true });
  await waitUntilDrained(world);
  await rename(folder, `${folder}.gone`);
  await world.insert(1);
  await running.waitForStderr(/log file cannot be written/);
  expect(await world.queued()).toBe(1);
  await mkdir(folder, { recursive: true });
  await waitUntilDrained(world);
  expect(await stopped(running)).toBe(0);
});

test('create_directory makes the folder', async () => {
  await using world = await createWorld();
  await world.configure({ logfile: { filename: `${world.folder}/a/b/events.jsonl`, create_directory: true } });
  await world.insert(1);
  expect(await world.once()).toMatchObject({ logged: 1 });
});

test('a file that ends within a line gets the next line on its own', async () => {
  await using world = await createWorld();
  await writeFile(world.log, 'a torn li');
  await world.insert(1);
  expect(await world.once()).toMatchObject({ logged: 1 });
  await expect(world.lines()).rejects.toThrow('not a line of the log file: a torn li');
  await rm(world.log);
  await world.insert(1);
  await world.once();
  const [line] = await world.lines();
  await appendFile(world.log, String(line?.text.slice(0, 30)));
  await world.insert(1);
  await world.once();
  const { stdout } = await promisify(execFile)('tail', ['-n', '1', world.log]);
  expect(JSON.parse(stdout).event_id).toBe(3);
});
