import { describe, expect, test } from 'vitest';
import type { LaneConfig } from '../../src/config/config.ts';
import type { DeliveryResult } from '../../src/destinations/destination.ts';
import type { BatchEvent } from '../../src/flow/batch.ts';
import { LOGGED } from '../../src/flow/standing.ts';
import { FAILURES_TO_OPEN } from '../../src/router/breaker.ts';
import { createBudget } from '../../src/router/budget.ts';
import { Lane, type LaneOptions } from '../../src/router/lane.ts';
import type { LaneEvent } from '../../src/router/lane-queue.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { SILENT } from '../queue/world.ts';
import { batchEventOf, createManual, eventOf, type Manual, regimeOf } from './batches.ts';

const CONFIG: LaneConfig = {
  concurrency: 2,
  maxPerSecond: null,
  batch: null,
  retry: { initialMs: 1, maxMs: 1, maxAttempts: null, maxRetryAfterMs: 1 },
};

function createLane(more: Partial<LaneOptions> = {}) {
  const manual = createManual();
  const answered: string[] = [];
  const givenBack: string[] = [];
  const lane = new Lane({
    destinationId: 1,
    key: 'A',
    destination: manual.destination,
    config: CONFIG,
    enabled: true,
    budget: createBudget(32 * 1024 * 1024),
    mayDeliver: () => true,
    onAnswer: ({ batchEvent }, { ok }) => answered.push(`${batchEvent.event.id} ${ok}`),
    onRoom: () => {},
    onGivenBack: (events) => givenBack.push(...events.map(({ batchEvent }) => batchEvent.event.id)),
    logger: SILENT,
    ...more,
  });
  return { lane, manual, answered, givenBack };
}

const REGIME = regimeOf({ routes: [{ to: 'A' }] });

function laneEvent(id: number, due = false, bytes = 100): LaneEvent {
  const batchEvent: BatchEvent = batchEventOf(eventOf(id, { bytes }));
  return { batchEvent, regime: REGIME, destinationId: 1, offeredMs: 0, due, startedMs: 0, answered: false };
}

/** As one that PostgreSQL gives back after a failure here. */
function failedEvent(id: number): LaneEvent {
  const failure = { destinationId: 1, generation: 1, attempts: 3, waitMs: 0, parked: false, error: 'HTTP 500' };
  const batchEvent = batchEventOf(eventOf(id), { ...LOGGED, failed: [failure] });
  return { ...laneEvent(id, true), batchEvent };
}

/** Offers until refused. @returns how many were taken. */
function fill(lane: Lane, due: boolean, from: number, bytes = 100): number {
  let taken = 0;
  while (taken < 10_000 && lane.offer(laneEvent(from + taken, due, bytes))) taken += 1;
  return taken;
}

test('a lane holds at most 100 events beyond its concurrency', () => {
  const { lane, manual } = createLane();
  fill(lane, false, 0);
  fill(lane, true, 1_000);
  expect(lane.size).toBe(102);
  expect(manual.underWay).toHaveLength(2);
  expect(lane.offer(laneEvent(5_000))).toBe(false);
});

test('a lane full of new events still has room for due ones, worth asking PostgreSQL for', () => {
  const { lane } = createLane();
  fill(lane, false, 0);
  expect(lane.roomForDue.events).toBeGreaterThanOrEqual(25);
  expect(lane.offer(laneEvent(1_000, true))).toBe(true);
});

test('a fast lane is fed what it delivers in a tenth of a second, and new events keep their room', async () => {
  const { lane } = createLane({ destination: { ...createManual().destination, deliver: async () => [{ ok: true }] } });
  for (let id = 0; id < 5_000; id += 100) {
    for (let at = 0; at < 50; at += 1) lane.offer(laneEvent(id + at));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await waitFor(() => lane.size === 0);
  const { events } = lane.roomForDue;
  expect(events).toBeGreaterThan(200);
  const slow = createLane();
  expect(slow.lane.roomForDue.events).toBeLessThan(60);
  lane.replace(createManual().destination, CONFIG, true);
  expect(fill(lane, true, 10_000)).toBeGreaterThan(250);
  expect(fill(lane, false, 20_000)).toBeGreaterThanOrEqual(25);
});

test('new and due events are delivered in turn', async () => {
  const { lane, manual } = createLane({ config: { ...CONFIG, concurrency: 1 } });
  for (let id = 0; id < 5; id += 1) lane.offer(laneEvent(id));
  for (let id = 100; id < 105; id += 1) lane.offer(laneEvent(id, true));
  for (let at = 0; at < 10; at += 1) await manual.answer();
  expect(manual.delivered.slice(0, 8)).toEqual(['0', '100', '1', '101', '2', '102', '3', '103']);
});

test('a lane holds at most 1 MiB, however few events that are', () => {
  const { lane } = createLane();
  const taken = fill(lane, false, 0, 200_000) + fill(lane, true, 1_000, 200_000);
  expect(taken).toBe(5);
  expect(lane.roomForDue.bytes).toBe(1024 * 1024 - 1_000_000);
});

test('an event larger than the lane is taken when the lane is empty', async () => {
  const { lane, manual } = createLane();
  expect(lane.offer(laneEvent(1, false, 5_000_000))).toBe(true);
  expect(lane.offer(laneEvent(2))).toBe(false);
  await manual.answer();
  expect(lane.offer(laneEvent(2))).toBe(true);
});

test('an event larger than the lane does not wait until steady traffic leaves it empty, but of such it takes one', async () => {
  const { lane, manual } = createLane();
  lane.offer(laneEvent(1));
  expect(lane.offer(laneEvent(2, false, 5_000_000))).toBe(true);
  expect(lane.offer(laneEvent(3, true, 5_000_000))).toBe(false);
  expect(lane.offer(laneEvent(4))).toBe(false);
  await manual.answer();
  await manual.answer();
  expect(lane.offer(laneEvent(3, true, 5_000_000))).toBe(true);
});

test('all lanes together hold no more than their budget', async () => {
  const budget = createBudget(300_000);
  const one = createLane({ budget });
  const other = createLane({ budget });
  expect(fill(one.lane, false, 0, 100_000)).toBe(3);
  // Each may hold one event, or a lane could starve beside another.
  expect(fill(other.lane, false, 0, 100_000)).toBe(1);
  for (let at = 0; at < 3; at += 1) await one.manual.answer();
  expect(budget.free).toBe(200_000);
});

test('a disabled lane refuses, and one that becomes so gives back what it had not begun', async () => {
  const { lane, manual } = createLane();
  for (let id = 0; id < 10; id += 1) lane.offer(laneEvent(id));
  const givenBack = lane.replace(createManual().destination, CONFIG, false);
  expect(givenBack.map(({ batchEvent }) => batchEvent.event.id)).toEqual(['2', '3', '4', '5', '6', '7', '8', '9']);
  expect(lane.offer(laneEvent(20))).toBe(false);
  expect(lane.roomForDue.events).toBe(0);
  await manual.answer();
  expect(manual.delivered).toEqual(['0', '1']);
});

test('says that it has room when it is enabled again', () => {
  let told = 0;
  const { lane } = createLane({ enabled: false, onRoom: () => told++ });
  expect(lane.roomForDue.events).toBe(0);
  lane.replace(createManual().destination, CONFIG, true);
  expect([told, lane.roomForDue.events > 0]).toEqual([1, true]);
});

test('new settings apply from the next delivery, and the old connections close with their last answer', async () => {
  const { lane, manual, answered } = createLane();
  for (let id = 0; id < 4; id += 1) lane.offer(laneEvent(id));
  const next = createManual();
  lane.replace(next.destination, { ...CONFIG, concurrency: 3 }, true);
  expect([manual.underWay, next.underWay, manual.closed]).toEqual([['0', '1'], ['2'], 0]);
  await manual.answer();
  await manual.answer();
  expect(manual.closed).toBe(1);
  await next.answer();
  await next.answer();
  expect(answered).toEqual(['0 true', '1 true', '2 true', '3 true']);
  expect(next.closed).toBe(0);
});

test('a stopped lane gives back what it had not begun, and ends when the rest is answered or aborted', async () => {
  const { lane, manual, answered } = createLane();
  for (let id = 0; id < 4; id += 1) lane.offer(laneEvent(id, id === 3));
  expect(lane.stop().map(({ batchEvent }) => batchEvent.event.id)).toEqual(['2', '3']);
  await manual.answer();
  lane.abort();
  await lane.ended();
  expect(answered).toEqual(['0 true', '1 false']);
  expect([lane.size, manual.closed]).toEqual([0, 1]);
});

test('nothing is delivered while the right to write is in doubt', () => {
  let held = false;
  const { lane, manual } = createLane({ mayDeliver: () => held });
  expect(lane.offer(laneEvent(1))).toBe(true);
  expect(manual.delivered).toEqual([]);
  held = true;
  lane.pump();
  expect(manual.delivered).toEqual(['1']);
});

test('a destination that throws, or answers for too few, fails its events and does not stop the lane', async () => {
  const broken = [() => Promise.reject(new Error('boom')), async () => []];
  const { lane, answered } = createLane({
    destination: {
      outcome: 'delivered',
      maxBatchEvents: 1,
      deliver: () => broken.shift()?.() ?? Promise.resolve([{ ok: true }]),
      close: async () => {},
    },
  });
  for (let id = 0; id < 3; id += 1) lane.offer(laneEvent(id));
  await lane.stop();
  await lane.ended();
  expect(answered).toEqual(['0 false', '1 false']);
  expect(lane.healthy).toBe(false);
});

/** Answers everything under way until nothing is, with one result. */
async function answerAll(manual: Manual, result: DeliveryResult): Promise<void> {
  while (manual.underWay.length > 0) await manual.answer(result);
}

const NO: DeliveryResult = { ok: false, error: 'HTTP 500' };

/** A lane whose breaker has just opened, for so long. */
async function createOpenLane(initialMs: number, more: Partial<LaneOptions> = {}) {
  const retry = { initialMs, maxMs: initialMs, maxAttempts: null, maxRetryAfterMs: 60_000 };
  const made = createLane({ config: { ...CONFIG, concurrency: FAILURES_TO_OPEN, retry }, ...more });
  for (let id = 0; id < FAILURES_TO_OPEN; id += 1) made.lane.offer(laneEvent(id));
  await answerAll(made.manual, NO);
  expect(made.lane.report().state).toBe('open');
  return made;
}

describe('batches', () => {
  const BATCH = { ...CONFIG, concurrency: 1, batch: { maxEvents: 3, maxWaitMs: 0 } };

  test('have as many events as the destination takes at once, of those offered together', async () => {
    const manual = createManual(3);
    const { lane } = createLane({ destination: manual.destination, config: BATCH });
    for (let id = 0; id < 5; id += 1) lane.offer(laneEvent(id));
    await manual.answer();
    expect(manual.underWay).toEqual(['0 1 2']);
    await manual.answer();
    expect(manual.underWay).toEqual(['3 4']);
  });

  test('wait to be filled, and no longer than they may', async () => {
    const manual = createManual(3);
    const config = { ...BATCH, batch: { maxEvents: 3, maxWaitMs: 60 } };
    const { lane } = createLane({ destination: manual.destination, config });
    const started = performance.now();
    lane.offer({ ...laneEvent(1), offeredMs: started });
    lane.offer({ ...laneEvent(2), offeredMs: started });
    await waitFor(() => manual.underWay.length === 1, { intervalMs: 1 });
    expect(performance.now() - started).toBeGreaterThan(58);
    expect(manual.underWay).toEqual(['1 2']);
    await manual.answer();
    const late = performance.now();
    for (let id = 3; id < 6; id += 1) lane.offer({ ...laneEvent(id), offeredMs: late });
    await Promise.resolve();
    expect(manual.underWay).toEqual(['3 4 5']);
  });

  test('do not wait for more when the lane can hold no more', async () => {
    const manual = createManual(10_000);
    const config = { ...BATCH, batch: { maxEvents: 10_000, maxWaitMs: 60_000 } };
    const { lane } = createLane({ destination: manual.destination, config });
    for (let id = 0; id < 6; id += 1) lane.offer({ ...laneEvent(id, false, 100_000), offeredMs: performance.now() });
    await Promise.resolve();
    expect(manual.underWay).toEqual(['0 1 2 3 4 5']);
  });

  test('count as one request each, and the lane holds 100 events beyond what may be under way', async () => {
    const manual = createManual(50);
    const { lane } = createLane({ destination: manual.destination, config: { ...CONFIG, concurrency: 2 } });
    expect(fill(lane, false, 0)).toBe(175);
    expect(fill(lane, true, 1_000)).toBe(25);
    await Promise.resolve();
    expect(manual.underWay.map((ids) => ids.split(' ').length)).toEqual([50, 50]);
  });
});

test('no more events are sent than the rate allows, and a lane out of it is not worth waiting for', async () => {
  const { lane, manual } = createLane({ config: { ...CONFIG, concurrency: 1_000, maxPerSecond: 100 } });
  const started = performance.now();
  const allowed = (): number => ((performance.now() - started) / 1_000) * 100 + 11;
  fill(lane, false, 0);
  expect(manual.delivered.length).toBeLessThanOrEqual(allowed());
  await waitFor(() => !lane.healthy && lane.report().state === 'rate_limited', { intervalMs: 1 });
  await waitFor(() => manual.delivered.length >= 40, { intervalMs: 1 });
  expect(manual.delivered.length).toBeLessThanOrEqual(allowed());
  lane.stop();
});

describe('the breaker', () => {
  test('gives back what was queued when it opens, refuses what was tried, and takes neither until its time is over', async () => {
    const { lane, manual, givenBack } = createLane({
      config: {
        ...CONFIG,
        concurrency: FAILURES_TO_OPEN,
        retry: { ...CONFIG.retry, initialMs: 60_000, maxMs: 60_000 },
      },
    });
    for (let id = 0; id < 30; id += 1) lane.offer(laneEvent(id));
    for (let at = 0; at < FAILURES_TO_OPEN; at += 1) await manual.answer(NO);
    // Those that took the places of the first to fail were under way already.
    expect(manual.delivered).toHaveLength(2 * FAILURES_TO_OPEN - 1);
    expect(givenBack).toHaveLength(30 - manual.delivered.length);
    expect([lane.offer(laneEvent(90)), lane.offer(laneEvent(91, true))]).toEqual([false, false]);
    expect([lane.roomForDue.events, lane.healthy, lane.wantsProbe]).toEqual([0, false, false]);
    expect(lane.report().waitMs).toBeGreaterThan(29_000);
    lane.stop();
  });

  test('lets one request at a time probe, and closes when that is accepted', async () => {
    let told = 0;
    const { lane, manual, givenBack } = await createOpenLane(20, { onRoom: () => told++ });
    const before = told;
    await waitFor(() => told > before && lane.wantsProbe, { intervalMs: 1, what: 'to be told that a probe may go' });
    expect(lane.offer(laneEvent(100, true))).toBe(true);
    expect(lane.offer(laneEvent(101, true))).toBe(true);
    expect(lane.offer(laneEvent(102, true))).toBe(false);
    await Promise.resolve();
    expect(manual.underWay).toEqual(['100']);
    expect(lane.roomForDue.events).toBe(0);
    await manual.answer(NO);
    expect(givenBack).toEqual(['101']);
    await waitFor(() => lane.wantsProbe, { intervalMs: 1 });
    lane.offer(laneEvent(103));
    await Promise.resolve();
    await manual.answer();
    expect(lane.report().state).toBe('ok');
    expect([lane.healthy, fill(lane, false, 200)]).toEqual([true, 85]);
  });

  test('does not count events that the receiver refuses for what they are', async () => {
    const { lane, manual } = createLane();
    for (let id = 0; id < 50; id += 1) lane.offer(laneEvent(id));
    await answerAll(manual, { ok: false, error: 'HTTP 400', blame: 'event' });
    expect([lane.healthy, lane.report().state]).toEqual([true, 'ok']);
  });

  test('is not held shut by events that fail again and again: a new one may probe', async () => {
    const { lane, manual } = createLane({
      config: {
        ...CONFIG,
        concurrency: FAILURES_TO_OPEN,
        retry: { ...CONFIG.retry, initialMs: 60_000, maxMs: 60_000 },
      },
    });
    for (let id = 0; id < FAILURES_TO_OPEN; id += 1) lane.offer(failedEvent(id));
    await answerAll(manual, NO);
    expect(lane.report().state).toBe('open');
    expect(lane.offer(failedEvent(50))).toBe(false);
    expect(lane.offer(laneEvent(51))).toBe(true);
    await Promise.resolve();
    expect(manual.underWay).toEqual(['51']);
    await manual.answer();
    expect(lane.report().state).toBe('ok');
  });

  test('is not closed by a new event either when that fails', async () => {
    const { lane, manual } = await createOpenLane(60_000);
    expect(lane.offer(laneEvent(51))).toBe(false);
    expect(manual.underWay).toEqual([]);
    lane.stop();
  });

  test('prefers an event that was never tried as its probe', async () => {
    const { lane, manual } = await createOpenLane(10);
    await waitFor(() => lane.wantsProbe, { intervalMs: 1 });
    lane.offer(failedEvent(60));
    lane.offer(laneEvent(61, true));
    await Promise.resolve();
    expect(manual.underWay).toEqual(['61']);
  });

  test('waits as long as Retry-After asks, at most as long as it may', async () => {
    const retry = { ...CONFIG.retry, maxRetryAfterMs: 5_000 };
    const { lane, manual, givenBack } = createLane({ config: { ...CONFIG, retry } });
    for (let id = 0; id < 5; id += 1) lane.offer(laneEvent(id));
    await manual.answer({ ok: false, error: 'HTTP 429', retryAfterMs: 60_000 });
    expect(givenBack).toEqual(['2', '3', '4']);
    expect(lane.report().state).toBe('asked_to_wait');
    expect(lane.report().waitMs).toBeGreaterThan(4_000);
    expect(lane.report().waitMs).toBeLessThanOrEqual(5_000);
    expect(lane.offer(laneEvent(9))).toBe(false);
    await manual.answer(NO);
    lane.stop();
  });

  test('probes at once when a person asks, or when the configuration is new', async () => {
    for (const nudge of [
      (lane: Lane) => lane.probeNow(),
      (lane: Lane, next: Manual) => lane.replace(next.destination, CONFIG, true),
    ]) {
      const { lane, manual } = await createOpenLane(60_000);
      nudge(lane, manual);
      expect(lane.wantsProbe).toBe(true);
      lane.stop();
    }
  });
});

test('a paused lane gives back what it had not begun, refuses, and goes on when it is resumed', async () => {
  const { lane, manual, givenBack, answered } = createLane();
  for (let id = 0; id < 5; id += 1) lane.offer(laneEvent(id));
  lane.setPaused(true);
  expect(givenBack).toEqual(['2', '3', '4']);
  expect([lane.offer(laneEvent(9)), lane.roomForDue.events, lane.worthWaiting]).toEqual([false, 0, false]);
  await answerAll(manual, { ok: true });
  expect(answered).toEqual(['0 true', '1 true']);
  lane.setPaused(false);
  expect(lane.offer(laneEvent(9))).toBe(true);
});
