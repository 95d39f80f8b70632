import { describe, expect, test } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { MAX_BATCH_BYTES, MAX_BATCH_EVENTS } from '../../src/flow/batch.ts';
import { Gaps } from '../../src/queue/gaps.ts';
import { nextPage, type PagePosition } from '../../src/queue/pages.ts';
import { pageSql } from '../../src/queue/sql/read.ts';
import { readQueueTable } from '../../src/queue/table.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { configOf, createQueue, insert, type Queue, startTenure } from './world.ts';

const range = (from: number, count: number): number[] => Array.from({ length: count }, (_, at) => from + at);

interface Read {
  readonly ids: string[];
  readonly tooLarge: string[];
  readonly pages: { readonly ids: number; readonly bytes: number }[];
  readonly gaps: string[];
  readonly looks: number;
}

/** Reads all pages of a queue, as the reader does. */
async function readAll(queue: Queue, config: Config = configOf({ routes: [{ to: 'A' }] }), most = 200): Promise<Read> {
  const table = await readQueueTable(queue.session, 'events', config.onDelivered === 'mark_processed');
  const position: PagePosition = { after: null, gapsFrom: null, isTableEmpty: false };
  const gaps = new Gaps();
  const ids: string[] = [];
  const tooLarge: string[] = [];
  const pages: { ids: number; bytes: number }[] = [];
  let looks = 0;
  for (; looks < most; looks += 1) {
    const page = await nextPage(queue.session, table, position, config, gaps, false);
    if (page === null) break;
    position.after = page.after;
    ids.push(...page.events.map(({ id }) => id));
    tooLarge.push(...page.tooLarge.map(([id]) => id));
    if (page.events.length > 0)
      pages.push({ ids: page.events.length, bytes: page.events.reduce((sum, { bytes }) => sum + bytes, 0) });
  }
  expect(looks).toBeLessThan(most);
  return { ids, tooLarge, pages, gaps: gaps.due(performance.now()), looks };
}

const makeLarge = ({ database }: Queue, where: string): Promise<unknown> =>
  database.query(`UPDATE events SET bounce_text = repeat('x', 5000) WHERE ${where}`);

const SMALL_ONLY = configOf({ routes: [{ to: 'A' }], maxEventBytes: 4_000 });

describe('bounds', () => {
  test('a page has at most as many events as a batch', async () => {
    const queue = await createQueue();
    const count = 2 * MAX_BATCH_EVENTS + 500;
    await insert(queue, range(1, count));
    const { ids, pages } = await readAll(queue);
    expect(ids).toEqual(range(1, count).map(String));
    expect(pages.map((page) => page.ids)).toEqual([MAX_BATCH_EVENTS, MAX_BATCH_EVENTS, 500]);
  });

  test('a page has at most 4 MiB of text beyond its last event', async () => {
    const queue = await createQueue();
    await insert(queue, range(1, 20));
    await queue.database.query(`UPDATE events SET bounce_text = repeat('x', 1000000)`);
    const { ids, pages } = await readAll(queue);
    expect(ids).toEqual(range(1, 20).map(String));
    expect(Math.max(...pages.map(({ bytes }) => bytes))).toBeLessThanOrEqual(MAX_BATCH_BYTES + 1_000_020);
  });
});

describe('rows that are too large are told apart, wherever they stand', () => {
  test.each([
    ['first', 'id = 1', [1]],
    ['last', 'id = 9', [9]],
    ['in the middle', 'id = 5', [5]],
    ['every other one', 'id % 2 = 0', [2, 4, 6, 8]],
    ['all', 'true', range(1, 9)],
  ])('%s', async (_, where, large) => {
    const queue = await createQueue();
    await insert(queue, range(1, 9));
    await makeLarge(queue, where);
    const { ids, tooLarge } = await readAll(queue, SMALL_ONLY);
    expect(tooLarge).toEqual(large.map(String));
    expect(ids).toEqual(
      range(1, 9)
        .filter((id) => !large.includes(id))
        .map(String),
    );
  });

  test('2,500 in a row, and what stands behind them', async () => {
    const queue = await createQueue();
    await insert(queue, range(1, 2_510));
    await makeLarge(queue, 'id > 5 AND id <= 2505');
    const { ids, tooLarge } = await readAll(queue, SMALL_ONLY);
    expect(tooLarge).toHaveLength(2_500);
    expect(ids).toEqual([...range(1, 5), ...range(2_506, 5)].map(String));
  });

  test('run --once parks one that stands in the middle of a backlog', async () => {
    const queue = await createQueue();
    await insert(queue, [...range(1, 9), 1_000_000]);
    await makeLarge(queue, 'id = 5');
    const lines: string[] = [];
    const tenure = await startTenure(queue, { config: SMALL_ONLY, lines, once: true });
    expect(await tenure.ended).toBeNull();
    expect(lines.map(Number).sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 6, 7, 8, 9, 1_000_000]);
    const parked = await queue.database.query('SELECT event_id, parked, last_error FROM tailrace.pending');
    expect(parked).toEqual([{ event_id: '5', parked: true, last_error: expect.stringContaining('too_large') }]);
  });
});

describe('foreign rows', () => {
  test('200,000 in front of ours are stepped over', async () => {
    const queue = await createQueue();
    await queue.database.query(
      `INSERT INTO events (id, event_type, destination_id) SELECT id, 'x', 2 FROM generate_series(1, 200000) id`,
    );
    await insert(queue, [200_001, 200_002]);
    expect((await readAll(queue)).ids).toEqual(['200001', '200002']);
  });

  test('rows of ours are found behind and among foreign ones that came later', async () => {
    const queue = await createQueue();
    const lines: string[] = [];
    await startTenure(queue, { config: configOf({ routes: [] }), lines });
    await queue.database.query(
      `INSERT INTO events (id, event_type, destination_id) SELECT id, 'x', 2 FROM generate_series(1, 10000) id`,
    );
    await insert(queue, [10_500]);
    await waitFor(() => lines.length === 1);
    await insert(queue, [10_400]);
    await waitFor(() => lines.length === 2);
  });
});

describe('ids', () => {
  test('sparse ones, below zero and beyond 2^53 are read with all their digits', async () => {
    const queue = await createQueue();
    const ids = ['-4611686018427387904', '-1025', '-1', '0', '1023', '9007199254740993', '4611686018427387904'];
    await insert(queue, ids);
    expect((await readAll(queue)).ids).toEqual(ids);
  });

  test.each([
    ['the largest', '9223372036854775807'],
    ['the second largest', '9223372036854775806'],
    ['the smallest but one', '-9223372036854775807'],
  ])('%s bigint goes all the way, alone and beside another one', async (_, extreme) => {
    const queue = await createQueue();
    await insert(queue, [extreme, 5]);
    const lines: string[] = [];
    await startTenure(queue, { config: configOf({ routes: [{ to: 'A' }] }), lines });
    await waitFor(async () => (await queue.database.query('SELECT FROM events')).length === 0);
    expect(lines.sort()).toEqual([extreme, '5'].sort());
  });

  test('the sweep of a table with ids at both ends goes round', async () => {
    const queue = await createQueue();
    const ids = ['-9223372036854775808', '5', '9223372036854775807'];
    await insert(queue, ids);
    const lines: string[] = [];
    await startTenure(queue, { config: configOf({ routes: [{ to: 'left' }] }), lines });
    await waitFor(() => lines.length >= 3);
    // A row whose id was passed long ago: only a sweep that goes round finds it.
    await insert(queue, ['-77']);
    await waitFor(() => lines.length >= 4);
    expect(new Set(lines)).toEqual(new Set([...ids, '-77']));
    expect(lines).toHaveLength(4);
  });
});

test('missing ids near the end of the table are gaps, those of long ago are history', async () => {
  const queue = await createQueue();
  await insert(queue, [1, 5, 100_000, 100_003]);
  expect((await readAll(queue)).gaps).toEqual(['100001', '100002']);
});

test('a page follows the index also in a table that has no statistics, whatever stands in its window', async () => {
  const queue = await createQueue();
  const { database, session } = queue;
  await database.query('ALTER TABLE events SET (autovacuum_enabled = off)');
  await database.query(`INSERT INTO events (event_type, event_time, email, message)
    SELECT 'scomp', 1, 'a@example.com', repeat('x', 500) FROM generate_series(1, 40000)`);
  const table = await readQueueTable(session, 'events', false);
  const plan = await session.query(
    `EXPLAIN ${pageSql(table).replaceAll('$1', '0').replaceAll('$2', '30000').replaceAll('$3', '200')}`,
  );
  expect(plan.join('\n')).toMatch(/Index Scan/);
  expect(plan.join('\n')).not.toMatch(/Bitmap|Seq Scan/);
});
