// That the bench can still be run: one tiny row from end to end, and the arithmetic of its tables. What it measures is no
// matter here, nor how fast anything is.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { chart, marks } from './chart.ts';
import { finding, isReached, median, percentile, ratios } from './finding.ts';
import { parseOptions } from './options.ts';
import { formatTable } from './table.ts';

const RUN = fileURLToPath(new URL('./run.mjs', import.meta.url));
const BENCH_MS = 180_000;

async function bench(...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [RUN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code, stdout, stderr };
}

test('a row is run in turn with its baseline, printed, and written as JSON', { timeout: BENCH_MS }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-bench-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'figures.json');
  const { code, stdout, stderr } = await bench(
    'drain',
    '--embedded',
    '--events',
    '200',
    '--pairs',
    '2',
    '--json',
    file,
  );
  expect(code, stdout + stderr).toBe(0);
  expect(stdout).toMatch(/^PostgreSQL [\d.]+.* \(embedded\)/m);
  expect(stdout).toMatch(/^drain \(row 1\): drain a backlog/m);
  expect(stdout).toMatch(/^200 events +[\d,.]+ events\/s .*>= 1\.5 ×/m);
  expect(stdout).toContain(`all figures: ${file}`);

  const figures = JSON.parse(await readFile(file, 'utf8'));
  expect(figures.machine.node).toBe(process.version);
  expect(figures.postgres.kind).toBe('embedded');
  const [row] = figures.rows;
  expect(row).toMatchObject({ name: 'drain', number: 1, error: null });
  const [found] = row.findings;
  for (const values of [found.ours.values, found.cpuSeconds, found.peakMiB]) {
    expect(values).toHaveLength(2);
    expect(Math.min(...values)).toBeGreaterThan(0);
  }
  expect(found.median).toBe(median(found.ours.values));
  // psql is not everywhere; what is lacking is said.
  if (found.against === null) expect(stdout).toContain('SKIPPED: baseline A: psql is not installed');
  else expect(found.ratio).toBeGreaterThan(0);
});

test('its rows are listed, and one that there is not is refused', { timeout: BENCH_MS }, async () => {
  const listed = await bench('--list');
  expect(listed.code).toBe(0);
  const names = listed.stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split(' ')[0]);
  expect(names).toEqual([
    ...['drain', 'http', 'http-batch', 'sql', 'memory', 'backlog'],
    ...['latency', 'delivery', 'dead', 'idle', 'peers', 'shards', 'soak'],
  ]);
  const refused = await bench('no-such-row');
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('there is no row no-such-row');
});

test('a goal is held against the median of the ratios of the rounds', () => {
  const found = finding({
    what: 'any',
    ours: { label: 'tailrace', unit: 'events/s', values: [100, 300, 50] },
    // The machine was slow in the last round, for both.
    against: { label: 'A', unit: 'events/s', values: [100, 100, 25] },
    goal: { of: 'ratio', sign: '>=', limit: 2 },
  });
  expect(ratios(found)).toEqual([1, 3, 2]);
  expect(isReached(found)).toBe(true);
  expect(isReached({ ...found, goal: { of: 'ratio', sign: '>=', limit: 2.1 } })).toBe(false);
  expect(isReached({ ...found, goal: { of: 'value', sign: '<=', limit: 100 } })).toBe(true);
  expect(isReached({ ...found, against: null })).toBeNull();
  expect(formatTable('any: row', [found])).toMatch(/^any +100 events\/s +100 +A +2\.00 +>= 2 × +reached$/m);
});

test('percentiles lie between the values beside them', () => {
  expect(percentile([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect(percentile([4, 1, 3, 2], 1)).toBe(4);
  expect(median([])).toBeNaN();
});

test('what was skipped is said below the table', () => {
  const table = formatTable('sql: row', [finding({ what: 'into MariaDB', skipped: 'MariaDB is not installed' })]);
  expect(table).toContain('· SKIPPED: MariaDB is not installed');
});

test('a chart has a column for each part of the time, with its highest value', () => {
  expect(chart('RSS', [1, 2, 4, 8])).toBe(`${'RSS'.padEnd(18)}▁▂▄█  1 to 8`);
  const long = chart('RSS', [...Array(299).fill(1), 100]);
  expect(long).toMatch(/▁{59}█ {2}1 to 100$/);
  expect(marks('faults', [null, 'P', null, 'R'])).toBe(`${'faults'.padEnd(18)} P R`);
});

test('options that make no sense are refused', () => {
  expect(parseOptions(['drain', '--events', '10_000', '--pairs', '7'])).toMatchObject({ events: 10_000, pairs: 7 });
  expect(() => parseOptions(['--pairs', '0'])).toThrow('--pairs wants a whole number from 1');
  expect(() => parseOptions(['--minutes', 'long'])).toThrow('--minutes wants a number above 0');
  expect(() => parseOptions(['--unknown'])).toThrow('--unknown');
});
