// The configuration changes while the program runs (SPEC 5): new destinations, broken files, another log file, none.

import { open, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, expectOneLineEach, httpPost, stopped, type World, waitUntilDrained } from './world.ts';

const LEAVE = { matches: { all: true }, destination: { type: 'leave_in_queue' } };

/** Inserts events until `end` is called. */
function load(world: World): { end(): Promise<string[]> } {
  const ids: string[] = [];
  let going = true;
  const work = async (): Promise<string[]> => {
    while (going) {
      ids.push(...(await world.insert(50)));
      await sleep(10);
    }
    return ids;
  };
  const working = work();
  return {
    end() {
      going = false;
      return working;
    },
  };
}

test('a new destination gets what was left, and the file does not repeat it', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await world.configure({ logfile: { filename: world.log }, event_destinations: [LEAVE] });
  await using running = await world.run();
  const ids = await world.insert(3_000);
  await waitFor(async () => (await world.lines()).length === 3_000, { what: 'every line' });
  expect(await world.queued()).toBe(3_000);
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
  await waitUntilDrained(world);
  expect(receiver.requests).toHaveLength(3_000);
  expectOneLineEach(await world.lines(), ids);
  expect(await stopped(running)).toBe(0);
});

test('a file written in pieces under load is in force only once it is whole', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await using running = await world.run();
  const inserting = load(world);
  const config = { logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] };
  const text = JSON.stringify(config, null, 2);
  const file = await open(world.configFile, 'w');
  for (let at = 0; at < text.length; at += 10) {
    await file.write(text.slice(at, at + 10));
    await sleep(10);
    // Long enough, once, to be taken for what was meant.
    if (at === 100) await running.waitForStderr(/broken; the last good one stays in force/);
  }
  await file.close();
  await receiver.waitForRequests(1);
  const ids = await inserting.end();
  await waitUntilDrained(world);
  expectOneLineEach(await world.lines(), ids);
  expect(running.stderr).toMatch(/event_processor\.json:\d+:\d+: /);
  expect(await stopped(running)).toBe(0);
});

test('another log file is used from the next batch on', async () => {
  await using world = await createWorld();
  await using running = await world.run();
  const inserting = load(world);
  const names = ['events.jsonl.b', 'events.jsonl.c', 'events.jsonl'];
  for (const name of names) {
    await sleep(300);
    const before = running.stderr.length;
    await world.configure({ logfile: { filename: `${world.folder}/${name}` } });
    await waitFor(() => running.stderr.slice(before).includes(`${name}","`), { what: `an opened ${name}` });
  }
  const ids = await inserting.end();
  await waitUntilDrained(world);
  const files = await world.files();
  expect([...files.keys()].sort()).toEqual(['events.jsonl', 'events.jsonl.b', 'events.jsonl.c']);
  expectOneLineEach([...files.values()].flat(), ids);
  expect(await stopped(running)).toBe(0);
});

test('a log file that is switched off and on logs what is then still queued', async () => {
  await using world = await createWorld();
  await using running = await world.run();
  const logged = await world.insert(10);
  await waitUntilDrained(world);
  await world.configure({ event_destinations: [LEAVE] });
  await running.waitForStderr(/configuration loaded/);
  const unlogged = await world.insert(10);
  await waitFor(async () => JSON.parse((await world.cli(['status', '--json'])).stdout).left === 10, {
    what: '10 left',
  });
  expect(await world.lines()).toHaveLength(10);
  await world.configure({ logfile: { filename: world.log }, event_destinations: [LEAVE] });
  await waitFor(async () => (await world.lines()).length === 20, { what: 'lines of what was left' });
  await world.insert(1);
  await waitFor(async () => (await world.lines()).length === 21, { what: 'the new line' });
  expectOneLineEach((await world.lines()).slice(0, 20), [...logged, ...unlogged]);
  expect(await world.queued()).toBe(11);
  expect(await stopped(running)).toBe(0);
});

test('a broken configuration is refused at the start with its place', async () => {
  await using world = await createWorld();
  const file = await open(world.configFile, 'w');
  await file.writeFile('{\n  "logfile": { "filname": "x" }\n}\n');
  await file.close();
  const { code, stdout, stderr } = await world.cli(['run', '--config', world.configFile]);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(`${world.configFile}:2:16: `);
  expect(stderr).toContain('did you mean');
});

test('a secret never appears in what the program says or keeps', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ status: 500, body: 'no' });
  const secret = `http://user:canary1@127.0.0.1:${receiver.port}/hook?token=canary2`;
  const entry = httpPost('replaced', { url: { env: 'HOOK' }, timeout_ms: 500 });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [entry] });
  const env = { HOOK: secret };
  const said: string[] = [];
  await using running = await world.run({ env });
  await world.insert(20);
  await receiver.waitForRequests(30);
  receiver.script({ kind: 'hang' });
  await sleep(1_200);
  receiver.script({ kind: 'raw', text: 'nonsense' });
  await sleep(300);
  await receiver.close();
  await sleep(500);
  for (const args of [['status'], ['status', '--json'], ['check', world.configFile], ['run', '--once']]) {
    const { stdout, stderr } = await world.cli(args, { env });
    said.push(stdout, stderr);
  }
  expect(await stopped(running)).toBe(0);
  said.push(
    running.stdout,
    running.stderr,
    JSON.stringify(await world.database.query('SELECT * FROM tailrace.pending')),
  );
  said.push(JSON.stringify(await world.database.query('SELECT * FROM tailrace.destination')));
  said.push(await readFile(world.log, 'utf8'));
  expect(receiver.requests[0]?.headers.authorization).toBe(`Basic ${btoa('user:canary1')}`);
  expect(said.join('\n')).toContain('127.0.0.1');
  expect(said.join('\n')).not.toMatch(/canary|Y2FuYXJ5|dXNlcjpj/);
});

test('a secret in a file is read again when the file changes', async () => {
  await using world = await createWorld();
  await using one = await createHttpReceiver();
  await using other = await createHttpReceiver();
  const file = `${world.folder}/url`;
  const write = async (text: string): Promise<void> => {
    const handle = await open(file, 'w');
    await handle.writeFile(text);
    await handle.close();
  };
  await write(one.url());
  const destination = { type: 'http_post', url: { file }, format: 'json' };
  await world.configure({ event_destinations: [{ name: 'hook', matches: { all: true }, destination }] });
  await using running = await world.run();
  await world.insert(1);
  await waitUntilDrained(world);
  await write(`${other.url()}\n`);
  await running.waitForStderr(/configuration loaded/);
  await world.insert(1);
  await waitUntilDrained(world);
  expect([one.requests.length, other.requests.length]).toEqual([1, 1]);
  expect(await stopped(running)).toBe(0);
});
