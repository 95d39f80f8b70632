import { expect, test } from 'vitest';
import { parsePointInTime } from '../../src/lib/point-in-time.ts';

test.each([
  ['0', 0],
  ['1795302762', 1_795_302_762_000_000],
  ['1795302762.457113', 1_795_302_762_457_113],
  ['1795302762.5', 1_795_302_762_500_000],
  ['2026-11-22T14:30Z', Date.UTC(2026, 10, 22, 14, 30) * 1_000],
  ['2026-11-22 14:30:01.25z', Date.UTC(2026, 10, 22, 14, 30, 1) * 1_000 + 250_000],
  ['2026-11-22T14:30+02:00', Date.UTC(2026, 10, 22, 12, 30) * 1_000],
  ['2026-11-22 14:30:00 -0130', Date.UTC(2026, 10, 22, 16) * 1_000],
  ['2026-11-22T14:30', new Date(2026, 10, 22, 14, 30).getTime() * 1_000],
  ['2026-11-22', new Date(2026, 10, 22).getTime() * 1_000],
])('%s is a point in time', (text, us) => {
  expect(parsePointInTime(text)).toBe(us);
});

test.each(['', 'yesterday', '1795302762457', '2026-02-30', '2026-13-01', '2026-11-22T25:00', '-5', '2026-11-22T14'])(
  '"%s" is none',
  (text) => {
    expect(parsePointInTime(text)).toBeNull();
  },
);
