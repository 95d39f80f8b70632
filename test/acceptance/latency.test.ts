// How soon an event is in the file after its transaction has committed, also when ids commit out of order. Both times
// are of one machine's clock.

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  createWorld,
  expectOneLineEach,
  percentile,
  report,
  SLOW_MS,
  scaled,
  stopped,
  type World,
  waitUntilDrained,
} from './world.ts';

const PRODUCERS = 16;
const LATE_EVENTS = scaled(20_000, 3_000);
const SINGLE_EVENTS = scaled(200, 60);

/** Milliseconds from COMMIT to the line, per event. */
async function latencies(world: World, committedAtMs: ReadonlyMap<string, number>): Promise<number[]> {
  return (await world.lines()).map(({ id, timeUs }) => timeUs / 1_000 - (committedAtMs.get(id) ?? Number.NaN));
}

test(`no event of ${PRODUCERS} producers that commit late is missed`, { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using running = await world.run();
  const committedAtMs = new Map<string, number>();
  let begun = 0;
  const produce = async (): Promise<void> => {
    const client = await world.database.client();
    for (; begun < LATE_EVENTS; ) {
      const count = 1 + Math.floor(Math.random() * 5);
      begun += count;
      await client.query('BEGIN');
      const { rows } = await client.query<{ id: string }>(
        `INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, $1::int) RETURNING id`,
        [count],
      );
      await sleep(Math.random() * 20);
      const rollsBack = Math.random() < 0.05;
      await client.query(rollsBack ? 'ROLLBACK' : 'COMMIT');
      if (!rollsBack) for (const { id } of rows) committedAtMs.set(id, Date.now());
    }
  };
  await Promise.all(Array.from({ length: PRODUCERS }, produce));
  await waitUntilDrained(world);
  expect(await stopped(running)).toBe(0);

  expectOneLineEach(await world.lines(), [...committedAtMs.keys()]);
  const waits = await latencies(world, committedAtMs);
  report({
    events: waits.length,
    p50: percentile(waits, 0.5),
    p99: percentile(waits, 0.99),
    most: percentile(waits, 1),
  });
  expect(percentile(waits, 0.99)).toBeLessThan(scaled(300, 3_000));
});

test('with the trigger of `init --notify` an idle reader wakes up at once', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld({ notify: true });
  await world.configure({ logfile: { filename: world.log }, poll_interval_ms: scaled(2_000, 10_000) });
  await using running = await world.run();
  await sleep(1_000);
  const committedAtMs = new Map<string, number>();
  for (let event = 0; event < SINGLE_EVENTS; event += 1) {
    await sleep(Math.random() * scaled(600, 150));
    const [id] = await world.insert(1);
    committedAtMs.set(String(id), Date.now());
  }
  await waitUntilDrained(world);
  expect(await stopped(running)).toBe(0);
  const waits = await latencies(world, committedAtMs);
  expect(waits).toHaveLength(SINGLE_EVENTS);
  report({ p50: percentile(waits, 0.5), p99: percentile(waits, 0.99), most: percentile(waits, 1) });
  // Every day half of them: without the trigger they would take seconds.
  expect(percentile(waits, scaled(0.99, 0.5))).toBeLessThan(scaled(50, 1_000));
});
