import { expect, test } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import { configOf, createQueue, startTenure } from './world.ts';

test('with the trigger no insert is slept through, whenever it comes', async () => {
  const queue = await createQueue({ notify: true });
  const lines: string[] = [];
  // A poll interval beyond the test's patience: only the wake-up helps.
  const config = configOf({ routes: [], pollIntervalMs: 60_000 });
  await startTenure(queue, { config, lines });
  const producer = await queue.database.client();
  const took: number[] = [];
  for (let round = 1; round <= 500; round += 1) {
    // From in the middle of falling asleep to fast asleep.
    if (round % 3 > 0) await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
    await producer.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
    const started = performance.now();
    await waitFor(() => lines.length === round, { intervalMs: 1, what: `line ${round}` });
    took.push(performance.now() - started);
  }
  took.sort((a, b) => a - b);
  // Slept through, it would be a minute. How quick it is otherwise hangs on how busy the disk is.
  expect(took[250]).toBeLessThan(2_000);
});

test('without the trigger polling finds what was inserted', async () => {
  const queue = await createQueue();
  const lines: string[] = [];
  await startTenure(queue, { config: configOf({ routes: [], pollIntervalMs: 50 }), lines });
  for (let round = 1; round <= 3; round += 1) {
    await queue.database.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
    await waitFor(() => lines.length === round);
  }
});

test('a reader whose connection was replaced while it slept sleeps and wakes on the new one', async () => {
  const queue = await createQueue({ notify: true });
  const lines: string[] = [];
  const tenure = await startTenure(queue, { config: configOf({ routes: [], pollIntervalMs: 300 }), lines });
  const sleepers = async (): Promise<number[]> => {
    const rows = await queue.database.query<{ pid: number }>(
      `SELECT pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE locktype = 'advisory' AND objid = 64 AND objsubid = 2 AND datname = current_database()`,
    );
    return rows.map(({ pid }) => pid);
  };
  await waitFor(async () => (await sleepers()).length === 1);
  const [first] = await sleepers();
  await queue.database.query('SELECT pg_terminate_backend($1)', [first]);
  await waitFor(async () => {
    const [pid] = await sleepers();
    return tenure.rights.held && pid !== undefined && pid !== first;
  });
  await queue.database.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
  await waitFor(() => lines.length === 1);
});
