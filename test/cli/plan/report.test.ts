import { expect, test } from 'vitest';
import { createPlanProgress } from '../../../src/cli/plan/progress.ts';
import { type ReportInput, reportOf } from '../../../src/cli/plan/report.ts';
import type { Config } from '../../../src/config/config.ts';
import type { PlannedDestination } from '../../../src/dry-run/plan.ts';
import type { Status } from '../../../src/queue/status.ts';

function reckoned(rate: number | null, measured: number | null, most: number | null) {
  const destination = { destination: 'd', events: 1_000, oldest: 500, max_per_second: most } as PlannedDestination;
  const pile = { events: 0, released: 0, were_left: 0, oldest: null, by_type: [] };
  const input: ReportInput = {
    plan: {
      events: 1_000,
      oldest: 500,
      lines: null,
      released: 0,
      destinations: [destination],
      dropped: pile,
      left: pile,
      file_only: 0,
      finished: 0,
      parked: 0,
    },
    complete: true,
    seen: 1_000,
    fraction: null,
    file: 'x.json',
    config: { fingerprint: 'f' } as Config,
    inForce: { fingerprint: 'f', generation: 1, destinations: new Map(), paused: new Set() },
    status: { writer: null, destinations: [{ destination: 'd', per_second: measured }] } as unknown as Status,
    rate,
    nowSeconds: 1_500,
  };
  const [first] = reportOf(input).destinations;
  return [first?.rate?.from ?? null, first?.takes_seconds, first?.oldest_seconds];
}

test.each([
  ['nothing is known', null, null, null, null, null],
  ['a process has delivered nothing for a minute', null, 0, null, null, null],
  ['a process delivers', null, 40, null, 'measured', 25],
  ['--rate is given', 100, 40, null, 'given', 10],
  ['there is a limit', null, null, 2, 'configured', 500],
  ['the limit is below what was measured', null, 40, 2, 'configured', 500],
  ['the limit is above what was measured', null, 40, 50, 'measured', 25],
  ['the limit is below --rate', 100, null, 2, 'configured', 500],
] as const)('reckons with the right rate where %s', (_, rate, measured, most, from, seconds) => {
  expect(reckoned(rate, measured, most)).toEqual([from, seconds, 1_000]);
});

test('progress is drawn on a terminal, and taken off at the end', () => {
  const texts: string[] = [];
  const stderr = { isTTY: true, write: (text: string) => texts.push(text) };
  const progress = createPlanProgress(stderr as unknown as Parameters<typeof createPlanProgress>[0]);
  progress.show(5_000, 0.25);
  progress.end();
  expect(texts).toEqual(['\r\u001b[Kcounted 5,000 events (25 %)', '\r\u001b[K']);
});

test('there is no progress where nobody looks', () => {
  const texts: string[] = [];
  const stderr = { write: (text: string) => texts.push(text) };
  const progress = createPlanProgress(stderr as unknown as Parameters<typeof createPlanProgress>[0]);
  progress.show(5_000, 0.25);
  progress.end();
  expect(texts).toEqual([]);
});
