import { expect, onTestFinished, test } from 'vitest';
import type { DueRoom } from '../../src/flow/due.ts';
import { Feeder } from '../../src/router/feeder.ts';
import type { Lane } from '../../src/router/lane.ts';
import type { Router } from '../../src/router/router.ts';
import { SILENT } from '../queue/world.ts';
import { regimeOf } from './batches.ts';

const NO_PLACES = { events: 0, bytes: 1_000_000, held: 100 };
const NO_BYTES = { events: 100, bytes: 0, held: 100 };
const ROOM = { events: 100, bytes: 1_000_000, held: 0 };

/** A lane as far as its feeder looks at it. */
function laneOf(destinationId: number, room: DueRoom) {
  const lane = { destinationId, room, looks: 0 };
  return Object.defineProperty(lane, 'roomForDue', {
    get: () => {
      lane.looks += 1;
      return lane.room;
    },
  });
}

/** Every promise that can be resolved by now is; no timer of the feeder has come. */
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Feeds lanes from a PostgreSQL in which nothing is due, and notes which of them it was asked for. */
async function startFeeder(...lanes: ReturnType<typeof laneOf>[]) {
  const asked: number[] = [];
  const stop = new AbortController();
  const router = { congested: false, lanes: { has: () => true }, offerDue: () => true } as unknown as Router;
  const feeder = new Feeder({
    due: {
      take: async (_, destinationId) => {
        asked.push(destinationId);
        return [];
      },
    },
    router,
    regime: () => regimeOf({ routes: [{ to: 'A' }] }),
    giveBack: () => {},
    logger: SILENT,
    signal: stop.signal,
  });
  for (const lane of lanes) feeder.start(lane as unknown as Lane);
  onTestFinished(async () => {
    stop.abort();
    await feeder.ended();
  });
  await turn();
  return { feeder, asked };
}

test('the answers of one destination do not wake the feeding of others that have no room', async () => {
  const busy = laneOf(1, NO_PLACES);
  const dead = [2, 3, 4].map((id) => laneOf(id, NO_PLACES));
  const { feeder, asked } = await startFeeder(busy, ...dead);
  for (let answer = 0; answer < 1_000; answer += 1) {
    feeder.onRoom(1);
    await turn();
  }
  // Each looks by itself once a second, however slow the machine.
  for (const { looks } of dead) expect(looks).toBeLessThan(500);
  expect(asked).toEqual([]);
});

test('a lane is fed as soon as it has places again', async () => {
  const lane = laneOf(1, NO_PLACES);
  const { feeder, asked } = await startFeeder(lane);
  lane.room = ROOM;
  feeder.onRoom(1);
  await turn();
  expect(asked).toEqual([1]);
});

test('a lane that lacks bytes, which all share, is fed as soon as another one gives some back', async () => {
  const [other, lane] = [laneOf(1, NO_PLACES), laneOf(2, NO_PLACES)];
  const { feeder, asked } = await startFeeder(other, lane);
  // It has places again, and not bytes.
  lane.room = NO_BYTES;
  feeder.onRoom(2);
  await turn();
  expect(asked).toEqual([]);
  lane.room = ROOM;
  feeder.onRoom(1);
  await turn();
  expect(asked).toEqual([2]);
});
