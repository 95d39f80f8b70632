// Signals as a supervisor and a person send them (SPEC 8): an orderly end that loses and doubles nothing, an end at
// once, and a SIGHUP that never ends anything.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { spawnCli } from '../helpers/cli.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { createWorld, expectOneLineEach, httpPost, scaled, stopped, waitUntilDrained } from './world.ts';

const HANGUPS = scaled(50, 20);

test.for(['SIGTERM', 'SIGINT'] as const)('%s amid deliveries ends in order', async (signal) => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ delayMs: 400 });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
  const ids = await world.insert(3_000);
  await using running = await world.run();
  await receiver.waitForRequests(15);
  expect(await stopped(running, signal)).toBe(0);
  const answered = receiver.requests.length;
  expect(answered).toBeLessThan(500);
  expect(await world.queued()).toBe(3_000 - answered);

  receiver.script({});
  await world.once();
  expect(await world.queued()).toBe(0);
  expectOneLineEach(await world.lines(), ids);
  const delivered = receiver.requests.map(({ body }) => String(JSON.parse(body).id));
  expect([...delivered].sort()).toEqual([...ids].sort());
});

test('a destination that never answers is given up in time', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ kind: 'hang' });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
  const ids = await world.insert(50);
  await using running = await world.run();
  await receiver.waitForRequests(10);
  const started = performance.now();
  expect(await stopped(running)).toBe(0);
  expect(performance.now() - started).toBeLessThan(scaled(10_500, 20_000));
  receiver.script({});
  await world.once();
  expect(await world.queued()).toBe(0);
  expectOneLineEach(await world.lines(), ids);
});

test('a second signal ends it at once', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ kind: 'hang' });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
  const ids = await world.insert(50);
  await using running = await world.run();
  await receiver.waitForRequests(10);
  running.signal('SIGTERM');
  await running.waitForStderr(/stopping/);
  const started = performance.now();
  running.signal('SIGINT');
  expect(await running.exit).toBe(130);
  expect(performance.now() - started).toBeLessThan(scaled(1_000, 8_000));
  receiver.script({});
  await world.once();
  expectOneLineEach(await world.lines(), ids);
});

test(`${HANGUPS} SIGHUPs under load end nothing and lose nothing`, async () => {
  await using world = await createWorld();
  await using running = await world.run();
  const ids: string[] = [];
  for (let time = 0; time < HANGUPS; time += 1) {
    ids.push(...(await world.insert(200)));
    running.signal('SIGHUP');
    await sleep(20 * Math.random());
  }
  await waitUntilDrained(world);
  running.signal('SIGHUP');
  const last = await world.insert(1);
  await waitUntilDrained(world);
  expectOneLineEach(await world.lines(), [...ids, ...last]);
  expect(await stopped(running)).toBe(0);
});

test('a signal while it waits for the database ends it', async () => {
  await using world = await createWorld();
  const env = { TAILRACE_DATABASE_URL: 'postgresql:///x?host=/nowhere' };
  await using running = spawnCli(['run', '--config', world.configFile], { env });
  await running.waitForStderr(/cannot start/);
  expect(await stopped(running)).toBe(0);
});
