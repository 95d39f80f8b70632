// Fan-out with the built program: several destinations for an event, new configurations in between, crashes.

import { expect, test } from 'vitest';
import { createHttpReceiver, type HttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, expectOneLineEach, httpPost, stopped, waitUntilDrained } from './world.ts';

const idsOf = ({ requests }: HttpReceiver): string[] =>
  requests.map(({ body }) => String(JSON.parse(body).id)).sort((a, b) => Number(a) - Number(b));
const on = { continue: true };
const LEAVE = { matches: { all: true }, destination: { type: 'leave_in_queue' } };

test('an event goes to every entry up to the first without continue, and its row goes when all have it', async () => {
  await using world = await createWorld();
  await using a = await createHttpReceiver();
  await using b = await createHttpReceiver();
  await using c = await createHttpReceiver();
  await world.configure({
    logfile: { filename: world.log },
    event_destinations: [
      httpPost(a.url(), {}, on),
      httpPost(b.url(), {}, { matches: { event_type: 'scomp' }, ...on }),
      httpPost(c.url()),
    ],
  });
  const opens = await world.insert(3);
  const complaints = await world.insert(2, { event_type: 'scomp' });
  expect(await world.once()).toMatchObject({ read: 5, logged: 5, delivered: 5, failed: 0 });
  expect([idsOf(a), idsOf(b), idsOf(c)]).toEqual([[...opens, ...complaints], complaints, [...opens, ...complaints]]);
  expect(await world.queued()).toBe(0);
  expectOneLineEach(await world.lines(), [...opens, ...complaints]);
});

test('what one destination has it does not get again: after a failure elsewhere, a new configuration, a crash', async () => {
  await using world = await createWorld();
  await using a = await createHttpReceiver();
  await using b = await createHttpReceiver({ status: 500 });
  await using c = await createHttpReceiver();
  const configured = (...event_destinations: object[]) =>
    world.configure({ logfile: { filename: world.log }, event_destinations });
  await configured(httpPost(a.url(), {}, on), httpPost(b.url()));
  const ids = await world.insert(20);
  const first = await world.run();
  await waitFor(async () => {
    const [row] = await world.database.query(
      `SELECT sum(bit_count(ids))::int AS done FROM tailrace.ledger WHERE kind = 'd'`,
    );
    return row?.done === 20;
  });
  first.signal('SIGKILL');
  await first.exit;
  // Left in the queue for another reason, under another configuration.
  await configured(httpPost(a.url(), {}, on), LEAVE);
  expect(await world.once()).toMatchObject({ left: 20, delivered: 0 });
  await configured(httpPost(a.url(), {}, on), httpPost(c.url(), {}, on), httpPost(b.url()));
  b.script({});
  const second = await world.run();
  await waitUntilDrained(world);
  expect(await stopped(second)).toBe(0);
  expect(idsOf(a)).toEqual(ids);
  expect(idsOf(c)).toEqual(ids);
  expect(new Set(idsOf(b))).toEqual(new Set(ids));
  expectOneLineEach(await world.lines(), ids);
});

test('a retry at one destination does not wait for a slow answer of another', async () => {
  await using world = await createWorld();
  await using slow = await createHttpReceiver({ kind: 'hang' });
  await using flaky = await createHttpReceiver((_, index) => ({ status: index < 3 ? 500 : 200 }));
  await world.configure({
    logfile: { filename: world.log },
    event_destinations: [httpPost(slow.url(), { timeout_ms: 60_000 }, on), httpPost(flaky.url())],
  });
  await using running = await world.run();
  await world.insert(1);
  // Four attempts with pauses of some milliseconds each; the slow destination still owes its first answer.
  await flaky.waitForRequests(4);
  expect(slow.requests).toHaveLength(1);
  expect(await stopped(running)).toBe(0);
  expect(slow.requests).toHaveLength(1);
  const [row] = await world.database.query(
    `SELECT sum(bit_count(ids)) FILTER (WHERE kind = 'd')::int AS done,
            sum(bit_count(ids)) FILTER (WHERE kind = 'w')::int AS waiting FROM tailrace.ledger`,
  );
  expect(row).toEqual({ done: 1, waiting: 1 });
});

test('a parked pair keeps the row until it is tried again, and then alone', async () => {
  await using world = await createWorld();
  await using a = await createHttpReceiver({ status: 500 });
  await using b = await createHttpReceiver();
  await world.configure({
    logfile: { filename: world.log },
    on_delivered: 'mark_processed',
    event_destinations: [httpPost(a.url(), { retry: { initial_ms: 1, max_attempts: 1 } }, on), httpPost(b.url())],
  });
  const ids = await world.insert(3);
  expect(await world.once()).toMatchObject({ read: 3, parked: 3, delivered: 0 });
  a.script({});
  expect((await world.cli(['retry', '--parked'])).stdout).toContain('3 due now');
  expect(await world.once()).toMatchObject({ read: 3, logged: 0, delivered: 3 });
  expect(idsOf(b)).toEqual(ids);
  const [row] = await world.database.query('SELECT count(*)::int AS open FROM events WHERE processed IS NOT TRUE');
  expect(row?.open).toBe(0);
});
