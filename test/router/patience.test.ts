import { expect, test } from 'vitest';
import type { Lane } from '../../src/router/lane.ts';
import type { LaneEvent } from '../../src/router/lane-queue.ts';
import { Patience } from '../../src/router/patience.ts';
import { Uptake } from '../../src/router/uptake.ts';

/** A lane as far as patience looks at it, and `events` of a page that it refused. */
function scene({
  events = 1_000,
  healthy = true,
  capacity = null as number | null,
  pageEvents = 1_000 as number | null,
}) {
  const uptake = new Uptake();
  if (capacity !== null) uptake.perSecond = () => capacity;
  const lane = { healthy, uptake, config: { concurrency: 1 } };
  const taken: LaneEvent[] = [];
  let room = 0;
  const refused = Array.from({ length: events }, (_, id) => ({ id }) as unknown as LaneEvent);
  const patience = new Patience({
    refused: new Map([[lane as unknown as Lane, refused]]),
    offer: (_, event) => {
      if (taken.length >= room) return false;
      taken.push(event);
      return true;
    },
    pageEvents,
  });
  const give = (more: number): void => {
    room += more;
    patience.onRoom();
  };
  const timed = async () => {
    const began = performance.now();
    const rest = await patience.wait();
    return { rest, tookMs: performance.now() - began };
  };
  return { lane, patience, give, taken, refused, timed };
}

test('a destination that is known to be too slow is not waited for', async () => {
  const { timed, refused } = scene({ capacity: 1_000 });
  const { rest, tookMs } = await timed();
  expect(rest).toEqual(refused);
  expect(tookMs).toBeLessThan(10);
});

test('a fast one gets all of the page, in order, and the page goes on at once', async () => {
  const { timed, give, taken, refused } = scene({ capacity: 20_000 });
  const waiting = timed();
  for (let at = 0; at < 10; at += 1) give(100);
  const { rest } = await waiting;
  expect(rest).toEqual([]);
  expect(taken).toEqual(refused);
});

test('a page goes on as soon as the healthy lane has its part, whatever a failing one refuses', async () => {
  const page = (ids: readonly number[]) => ids.map((id) => ({ id }) as unknown as LaneEvent);
  const laneOf = (healthy: boolean): Lane => {
    const uptake = new Uptake();
    uptake.perSecond = () => 20_000;
    return { healthy, uptake, config: { concurrency: 1 } } as unknown as Lane;
  };
  const [healthy, failing] = [laneOf(true), laneOf(false)];
  let hasRoom = false;
  let refusals = 0;
  const patience = new Patience({
    refused: new Map([
      [healthy, page([1, 2])],
      [failing, page([3, 4])],
    ]),
    offer: (lane) => {
      if (lane === failing) refusals += 1;
      return lane === healthy && hasRoom;
    },
    pageEvents: 1_000,
  });
  const waiting = patience.wait();
  patience.onRoom();
  expect(refusals).toBe(1);
  hasRoom = true;
  patience.onRoom();
  // It is over in this very turn: nothing is offered any more.
  patience.onRoom();
  expect(refusals).toBe(2);
  expect(await waiting).toEqual(page([3, 4]));
});

test('one that promises more than it keeps holds a page no longer than 0.2 ms an event', async () => {
  const { timed, give } = scene({ capacity: 1_000_000 });
  const waiting = timed();
  give(600);
  const { rest, tookMs } = await waiting;
  expect(rest).toHaveLength(400);
  expect(tookMs).toBeGreaterThan(150);
  expect(tookMs).toBeLessThan(400);
  expect((await scene({ capacity: 1_000_000, events: 10, pageEvents: 10 }).timed()).tookMs).toBeLessThan(50);
});

test('one that has not answered yet is waited for 50 ms, a failing one not at all', async () => {
  const { tookMs } = await scene({}).timed();
  expect(tookMs).toBeGreaterThan(40);
  expect(tookMs).toBeLessThan(150);
  expect((await scene({ healthy: false, capacity: 20_000 }).timed()).tookMs).toBeLessThan(10);
});

test('a small page waits no longer than 0.2 ms an event for one that has not answered yet, either', async () => {
  const tookMs: number[] = [];
  for (let time = 0; time < 5; time += 1) tookMs.push((await scene({ events: 10, pageEvents: 10 }).timed()).tookMs);
  expect(Math.min(...tookMs)).toBeLessThan(40);
});

test('a destination that begins to fail, and a stop, end the waiting', async () => {
  const failing = scene({ capacity: 1_000_000, pageEvents: null });
  const waiting = failing.timed();
  failing.lane.healthy = false;
  expect((await waiting).rest).toHaveLength(1_000);
  const stopped = scene({ capacity: 1_000_000, pageEvents: null });
  setTimeout(() => stopped.patience.end(), 20);
  expect((await stopped.timed()).rest).toHaveLength(1_000);
});

test('one that took nothing while it was waited for is not waited for again within a second', async () => {
  const { lane, refused, timed } = scene({});
  expect((await timed()).tookMs).toBeGreaterThan(40);
  const again = new Patience({
    refused: new Map([[lane as unknown as Lane, refused]]),
    offer: () => false,
    pageEvents: 1_000,
  });
  const began = performance.now();
  await again.wait();
  expect(performance.now() - began).toBeLessThan(10);
});

test('what is taken up follows from the quickest answer of two seconds; few answers say nothing', () => {
  const uptake = new Uptake();
  for (let at = 0; at < 31; at += 1) uptake.answered(1, 20, 5_000 + at);
  expect(uptake.perSecond(10, 5_100)).toBeNull();
  uptake.answered(1, 4, 5_100);
  expect(uptake.perSecond(10, 5_100)).toBe(2_500);
  for (let at = 0; at < 40; at += 1) uptake.answered(1, 80, 6_100);
  expect(uptake.perSecond(10, 6_200)).toBe(2_500);
  expect(uptake.perSecond(10, 7_100)).toBe(125);
  expect(uptake.perSecond(10, 9_500)).toBeNull();
  uptake.waitedInVain(9_500);
  expect([uptake.perSecond(10, 9_600), uptake.perSecond(10, 10_600)]).toEqual([0, null]);
});

test('a batch counts by its events, however few are in it', () => {
  const uptake = new Uptake();
  for (let at = 0; at < 40; at += 1) uptake.answered(1, 1, 1_000);
  expect(uptake.perSecond(10, 1_000)).toBe(10_000);
  uptake.answered(100, 10, 1_000);
  expect(uptake.perSecond(10, 1_000)).toBe(100_000);
});
