import { expect, test } from 'vitest';
import { Gaps } from '../../src/queue/gaps.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { configOf, createQueue, startTenure } from './world.ts';

test('young gaps are asked for with each poll, older ones once a second', () => {
  const gaps = new Gaps();
  gaps.addBetween('10', '13', 1_000);
  expect([gaps.due(1_000), gaps.due(1_005)]).toEqual([
    ['11', '12'],
    ['11', '12'],
  ]);
  expect([gaps.due(3_500), gaps.due(3_600), gaps.due(4_400), gaps.due(4_500)]).toEqual([
    ['11', '12'],
    [],
    [],
    ['11', '12'],
  ]);
  gaps.delete('11');
  expect(gaps.due(6_000)).toEqual(['12']);
});

test('a gap is forgotten after a minute and the end of every transaction of its time, asked for once more before', () => {
  const gaps = new Gaps();
  gaps.addBetween('10', '12', 0);
  gaps.due(0);
  gaps.forget(500, { xmin: 90n, xmax: 100n });
  gaps.forget(70_000, { xmin: 99n, xmax: 300n });
  expect(gaps.due(70_000)).toEqual(['11']);
  expect(gaps.size).toBe(1);
  // All over now; its row may have been committed since it was asked for.
  gaps.forget(71_000, { xmin: 100n, xmax: 300n });
  expect(gaps.size).toBe(1);
  expect(gaps.due(71_500)).toEqual(['11']);
  expect([gaps.size, gaps.due(73_000)]).toEqual([0, []]);
});

test('a gap as wide as the list is left to the sweep', () => {
  const gaps = new Gaps();
  gaps.addBetween('0', '9223372036854775807', 0);
  expect(gaps.size).toBe(0);
  gaps.addBetween('-3', '1', 0);
  expect(gaps.due(0)).toEqual(['-2', '-1', '0']);
});

test('a late commit is found within milliseconds', async () => {
  const queue = await createQueue();
  const lines: string[] = [];
  await startTenure(queue, { config: configOf({ routes: [], pollIntervalMs: 20 }), lines });
  await queue.database.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
  await waitFor(() => lines.length === 1);
  const late = await queue.database.client();
  const took: number[] = [];
  for (let round = 0; round < 20; round += 1) {
    const before = lines.length;
    await late.query('BEGIN');
    await late.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
    await queue.database.query(`INSERT INTO events (event_type) VALUES ('scomp')`);
    await waitFor(() => lines.length === before + 1, { intervalMs: 1 });
    const started = performance.now();
    await late.query('COMMIT');
    await waitFor(() => lines.length === before + 2, { intervalMs: 1 });
    took.push(performance.now() - started);
  }
  took.sort((a, b) => a - b);
  // The sweep alone would need half a second, each time. A busy machine may take that as well, but not always.
  expect(took[2]).toBeLessThan(150);
  expect(new Set(lines).size).toBe(lines.length);
});
