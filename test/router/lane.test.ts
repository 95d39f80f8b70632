import { expect, test } from 'vitest';
import type { LaneConfig } from '../../src/config/config.ts';
import type { BatchEvent } from '../../src/flow/batch.ts';
import { createBudget } from '../../src/router/budget.ts';
import { Lane, type LaneEvent, type LaneOptions } from '../../src/router/lane.ts';
import { batchEventOf, createManual, eventOf, regimeOf } from './batches.ts';

const CONFIG: LaneConfig = {
  concurrency: 2,
  maxPerSecond: null,
  batch: null,
  retry: { initialMs: 1, maxMs: 1, maxAttempts: null, maxRetryAfterMs: 1 },
};

function createLane(more: Partial<LaneOptions> = {}) {
  const manual = createManual();
  const answered: string[] = [];
  const lane = new Lane({
    destinationId: 1,
    destination: manual.destination,
    config: CONFIG,
    enabled: true,
    budget: createBudget(32 * 1024 * 1024),
    mayDeliver: () => true,
    onAnswer: ({ batchEvent }, { ok }) => answered.push(`${batchEvent.event.id} ${ok}`),
    onRoom: () => {},
    ...more,
  });
  return { lane, manual, answered };
}

const REGIME = regimeOf({ routes: [{ to: 'A' }] });

function laneEvent(id: number, due = false, bytes = 100): LaneEvent {
  const batchEvent: BatchEvent = batchEventOf(eventOf(id, { bytes }));
  return { batchEvent, regime: REGIME, destinationId: 1, offeredMs: 0, due, startedMs: 0, answered: false };
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

test('a batch has as many events as the destination takes at once', async () => {
  const manual = createManual(3);
  const { lane } = createLane({ destination: manual.destination, config: { ...CONFIG, concurrency: 1 } });
  for (let id = 0; id < 5; id += 1) lane.offer(laneEvent(id));
  await manual.answer();
  expect(manual.underWay).toEqual(['1 2 3']);
});
