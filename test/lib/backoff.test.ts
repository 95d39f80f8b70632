import fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs } from '../../src/lib/backoff.ts';

const OPTIONS = { initialMs: 1_000, maxMs: 300_000 };

test('the longest wait doubles with each attempt up to its most', () => {
  const longest = [1, 2, 3, 9, 10, 1_000_000].map((attempts) => backoffMs(attempts, OPTIONS, () => 1));
  expect(longest).toEqual([1_000, 2_000, 4_000, 256_000, 300_000, 300_000]);
  expect(backoffMs(5, OPTIONS, () => 0)).toBe(0);
});

test('a wait is a whole number between nothing and its most, for any settings', () => {
  const settings = fc.record({ initialMs: fc.nat(1e9), maxMs: fc.nat(1e9) });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      settings,
      fc.double({ min: 0, max: 1, noNaN: true }),
      (attempts, options, random) => {
        const waitMs = backoffMs(attempts, options, () => random);
        expect(Number.isSafeInteger(waitMs)).toBe(true);
        expect(waitMs).toBeGreaterThanOrEqual(0);
        expect(waitMs).toBeLessThanOrEqual(options.maxMs);
      },
    ),
  );
});

test('waits are spread over all of the time: full jitter', () => {
  let state = 4711;
  const random = (): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
    return state / 0x80000000;
  };
  const waits = Array.from({ length: 10_000 }, () => backoffMs(4, OPTIONS, random));
  const tenths = Array.from({ length: 10 }, (_, at) => waits.filter((wait) => Math.floor(wait / 800) === at).length);
  for (const count of tenths) expect(count / 1_000).toBeCloseTo(1, 0);
});
