// Delivery over HTTP as the receivers see it: bad ones get every event in the end, under one key, and never hold the
// log file or another destination up.

import { createServer as createHttpServer } from 'node:http';
import { expect, test } from 'vitest';
import { freePort } from '../helpers/free-port.ts';
import { createHttpReceiver, failingWithProbability } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import {
  createWorld,
  expectOneLineEach,
  httpPost,
  report,
  SLOW_MS,
  scaled,
  stopped,
  type World,
  waitUntilDrained,
} from './world.ts';

const FLAKY_EVENTS = scaled(10_000, 2_000);
const PACE_EVENTS = scaled(50_000, 15_000);

test(`a receiver that fails one request in five gets ${FLAKY_EVENTS} events`, { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  const answered = new Map<string, number>();
  const failing = failingWithProbability(0.2, 4711, { status: 503 });
  await using receiver = await createHttpReceiver((request, index) => {
    const answer = failing(request, index);
    const key = String(request.headers['idempotency-key']);
    if (!('status' in answer)) answered.set(key, (answered.get(key) ?? 0) + 1);
    return answer;
  });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
  const started = performance.now();
  await using running = await world.run();
  const ids = await world.insert(FLAKY_EVENTS, { server_id: 'mail1' });
  await waitUntilDrained(world, SLOW_MS);
  const seconds = (performance.now() - started) / 1_000;
  expect(await stopped(running)).toBe(0);

  expectOneLineEach(await world.lines(), ids);
  expect(answered.size).toBe(FLAKY_EVENTS);
  expect([...answered.values()].filter((times) => times !== 1)).toEqual([]);
  for (const { body, headers } of receiver.requests) {
    expect(headers['idempotency-key']).toBe(`mail1:${JSON.parse(body).id}`);
  }
  expect((await world.once()).read).toBe(0);
  report({ events: FLAKY_EVENTS, requests: receiver.requests.length, seconds });
});

test('a destination that never answers does not hold the file or another one up', { timeout: SLOW_MS }, async () => {
  await using silent = await createHttpReceiver({ kind: 'hang' });
  await using healthy = await createHttpReceiver();
  const small = { matches: { event_type: 'engine_click' } };
  const open = { matches: { event_type: 'engine_open' } };
  const rest = { matches: { all: true }, destination: { type: 'drop_from_queue' } };
  const entries = [httpPost(healthy.url(), {}, open), rest];
  const withSilent = [httpPost(silent.url(), {}, small), ...entries];
  const alone = [];
  const beside = [];
  for (let turn = 0; turn < scaled(3, 1); turn += 1) {
    alone.push(await pace(entries));
    beside.push(await pace(withSilent));
  }
  const ratio = Math.max(...beside) / Math.max(...alone);
  report({ linesPerSecond: { alone, beside }, ratio });
  expect(ratio).toBeGreaterThan(scaled(0.9, 0.5));
  expect(silent.requests.length).toBeGreaterThan(0);
  expect(healthy.requests.length).toBeGreaterThan(0);
});

/** Lines a second from the first to the last line of many events of three types, read by one run. */
async function pace(entries: readonly object[]): Promise<number> {
  await using world = await createWorld();
  await world.configure({ logfile: { filename: world.log }, event_destinations: entries });
  await world.database.query(
    `INSERT INTO events (event_type, event_time, email, click_url)
     SELECT CASE WHEN n % 100 = 0 THEN 'engine_click' WHEN n % 100 = 1 THEN 'engine_open' ELSE 'scomp' END, 1767225600,
            'a' || n || '@example.com', repeat('u', 200) FROM generate_series(1, $1::int) n`,
    [PACE_EVENTS],
  );
  await using running = await world.run();
  await waitFor(async () => (await world.lines()).length === PACE_EVENTS, { timeoutMs: 60_000, what: 'every line' });
  const lines = await world.lines();
  running.signal('SIGKILL');
  await running.exit;
  return (PACE_EVENTS * 1e6) / ((lines.at(-1)?.timeUs ?? 0) - (lines[0]?.timeUs ?? 0));
}

test('events for a destination that refuses connections are delivered when it is up', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  const port = await freePort();
  const entries = [httpPost(`http://127.0.0.1:${port}/hook`)];
  await world.configure({ logfile: { filename: world.log }, event_destinations: entries });
  await using running = await world.run();
  const ids = await world.insert(200);
  await waitFor(async () => (await world.lines()).length === 200, { what: 'every line' });
  await waitFor(async () => (await retrying(world)) > 0, { what: 'a failed event' });

  const arrived: string[] = [];
  const server = createHttpServer((request, response) => {
    request.resume().on('end', () => {
      arrived.push(String(request.headers['idempotency-key']));
      response.end();
    });
  }).listen(port, '127.0.0.1');
  try {
    await waitUntilDrained(world);
    expect(await stopped(running)).toBe(0);
    expectOneLineEach(await world.lines(), ids);
    expect(arrived.length).toBe(200);
    expect(new Set(arrived).size).toBe(200);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

async function retrying(world: World): Promise<number> {
  const { stdout } = await world.cli(['status', '--json']);
  return JSON.parse(stdout).destinations[0]?.retrying ?? 0;
}
