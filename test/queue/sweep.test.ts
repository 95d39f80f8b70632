import { expect, onTestFinished, test, vi } from 'vitest';
import { InFlight } from '../../src/queue/in-flight.ts';
import { admitNew, fetchRows } from '../../src/queue/rows.ts';
import type { Session } from '../../src/queue/session.ts';
import { SWEEP_BLOCKS } from '../../src/queue/sql/read.ts';
import { compareWindow, Sweep } from '../../src/queue/sweep.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { acquireRights, configOf, createQueue, insert, startTenure } from './world.ts';

const KINDS = ['L', 'X'];

test('a window returns no more than it may hold, and says where it ended', async () => {
  const queue = await createQueue();
  // One row in each of 300 blocks.
  await queue.database.query(
    `INSERT INTO events (id, event_type) SELECT 1024 * n + 5, 'scomp' FROM generate_series(0, 299) n`,
  );
  const { table } = await acquireRights(queue);
  const first = await compareWindow(queue.session, table, 0n, 2n ** 24n - 1n, KINDS);
  expect([first.fresh.length, first.end]).toEqual([SWEEP_BLOCKS, 1_024n * BigInt(SWEEP_BLOCKS)]);
  const second = await compareWindow(queue.session, table, first.end, 2n ** 24n - 1n, KINDS);
  expect([second.fresh.length, second.end]).toEqual([300 - SWEEP_BLOCKS, 2n ** 24n]);
});

test('a round over sparse ids takes as many windows as there are places, and the next one begins anew', async () => {
  const queue = await createQueue();
  const ids = ['-9000000000000000000', '-5', '7', '9000000000000000000'];
  await insert(queue, ids);
  const { table } = await acquireRights(queue);
  const sweep = new Sweep(0);
  for (let round = 0; round < 2; round += 1) {
    const found: string[] = [];
    let windows = 0;
    for (; windows < 20; windows += 1) {
      // Infinity: as if every rest were over.
      const window = await sweep.next(queue.session, table, KINDS, 2n ** 63n - 1n, Number.POSITIVE_INFINITY);
      if (window === null) break;
      found.push(...window.fresh);
    }
    expect(found).toEqual(ids);
    expect(windows).toBeLessThanOrEqual(ids.length);
  }
});

test('ids below the last one read that the gap list does not know are found', async () => {
  const queue = await createQueue();
  const lines: string[] = [];
  await startTenure(queue, { config: configOf({ routes: [{ to: 'left' }] }), lines });
  await insert(queue, [1_000_000]);
  await waitFor(() => lines.length === 1);
  await insert(queue, [5, 500_000, -7]);
  await waitFor(() => lines.length === 4);
  expect(new Set(lines)).toEqual(new Set(['1000000', '5', '500000', '-7']));
});

test('two rows far apart do not make the filter read the whole ledger between them', async () => {
  const queue = await createQueue();
  await insert(queue, [5, 9_000_000]);
  await queue.database.query(
    `INSERT INTO tailrace.ledger SELECT 'L', 0, 0, n, repeat('1', 1024)::bit(1024) FROM generate_series(1, 5000) n`,
  );
  const { table } = await acquireRights(queue);
  let blocks = 0;
  const counting = {
    query: async (...args: Parameters<Session['query']>) => {
      const rows = await queue.session.query(...args);
      blocks += rows.length;
      return rows;
    },
  } as unknown as Session;
  const events = await fetchRows(queue.session, table, ['5', '9000000']);
  const inFlight = new InFlight();
  const admitted = await admitNew(counting, events, inFlight.ask(), inFlight, true);
  expect(admitted).toHaveLength(2);
  expect(blocks).toBeLessThanOrEqual(2);
});

test('an empty table is left alone for a while when the ledger is empty too, and swept as soon as it is not', async () => {
  const queue = await createQueue();
  const { table } = await acquireRights(queue);
  const asked = vi.spyOn(queue.session, 'query');
  onTestFinished(() => asked.mockRestore());
  const sweep = new Sweep(0);
  /** So that the rest between two windows is over. */
  const sweepAfter = (ms: number, isTableEmpty: boolean) =>
    sweep.next(queue.session, table, KINDS, 2n ** 63n - 1n, performance.now() + ms, isTableEmpty);
  expect(await sweepAfter(2_000, true)).toBeNull();
  expect(asked).toHaveBeenCalledTimes(1);
  expect(await sweepAfter(2_000, true)).toBeNull();
  expect(asked).toHaveBeenCalledTimes(1);
  expect(await sweepAfter(11_000, true)).toBeNull();
  expect(asked).toHaveBeenCalledTimes(2);
  await insert(queue, [7]);
  expect((await sweepAfter(2_000, false))?.fresh).toEqual(['7']);
});
