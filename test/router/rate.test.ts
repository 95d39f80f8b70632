import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rate } from '../../src/router/rate.ts';

test('one event every two seconds goes at a rate of 0.5', () => {
  const rate = new Rate(0.5, 0);
  const sent: number[] = [];
  for (let nowMs = 0; nowMs <= 10_000; nowMs += 100) {
    if (rate.waitMs(nowMs) > 0) continue;
    rate.take(1, nowMs);
    sent.push(nowMs);
  }
  expect(sent).toEqual([0, 2_000, 4_000, 6_000, 8_000, 10_000]);
});

test('however long a lane rested, a tenth of a second may go at once', () => {
  const rate = new Rate(200, 0);
  let sent = 0;
  for (; rate.waitMs(3_600_000) === 0; sent += 1) rate.take(1, 3_600_000);
  expect(sent).toBe(20);
  expect(rate.waitMs(3_600_000)).toBeCloseTo(5);
});

test('a batch counts with all its events: the next one waits until they are paid', () => {
  const rate = new Rate(100, 0);
  rate.take(500, 0);
  expect(rate.waitMs(0)).toBeCloseTo(4_910);
  expect(rate.waitMs(4_911)).toBe(0);
});

test('without a rate nothing waits, and another rate applies at once', () => {
  const rate = new Rate(null, 0);
  rate.take(1_000_000, 0);
  expect(rate.waitMs(0)).toBe(0);
  rate.change(2, 0);
  rate.take(1, 0);
  expect(rate.waitMs(0)).toBeCloseTo(500);
  rate.change(null, 0);
  expect(rate.waitMs(0)).toBe(0);
});

test('over any time no more goes than rate × time + bucket + one batch', () => {
  const step = fc.record({ restMs: fc.nat(3_000), batch: fc.integer({ min: 1, max: 50 }) });
  fc.assert(
    fc.property(fc.double({ min: 0.01, max: 10_000, noNaN: true }), fc.array(step), (perSecond, steps) => {
      const rate = new Rate(perSecond, 0);
      let [nowMs, sent] = [0, 0];
      for (const { restMs, batch } of steps) {
        nowMs += restMs;
        if (rate.waitMs(nowMs) > 0) continue;
        rate.take(batch, nowMs);
        sent += batch;
        expect(sent).toBeLessThanOrEqual((perSecond * nowMs) / 1_000 + Math.max(1, perSecond / 10) + 50 + 1e-6);
      }
    }),
  );
});
