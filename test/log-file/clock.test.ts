import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createLineClock } from '../../src/log-file/clock.ts';

function clockAt(startUs: number) {
  const steps: number[] = [];
  const state = { nowUs: startUs };
  return { state, steps, clock: createLineClock({ now: () => state.nowUs, onStepBack: (us) => steps.push(us) }) };
}

test('stamps grow strictly while the clock stands still', () => {
  const { clock } = clockAt(1_000_000);
  expect([clock.reserve(3), clock.reserve(1), clock.reserve(1)]).toEqual([1_000_000, 1_000_003, 1_000_004]);
});

test('a step back of five seconds is bridged, a larger one is followed and told', () => {
  const { clock, state, steps } = clockAt(100_000_000);
  clock.reserve(1);
  state.nowUs = 95_000_000;
  expect(clock.reserve(1)).toBe(100_000_001);
  expect(steps).toEqual([]);
  state.nowUs = 94_000_000;
  expect(clock.reserve(1)).toBe(94_000_000);
  expect(steps).toEqual([6_000_001]);
});

test('stamps continue after the last line of a file that lies a little ahead', () => {
  const { clock, steps } = clockAt(100_000_000);
  clock.startAfter(103_000_000);
  expect(clock.peek()).toBe(103_000_001);
  expect(clock.reserve(1)).toBe(103_000_001);
  expect(steps).toEqual([]);
});

test('a file from the far future does not carry the stamps away', () => {
  const { clock, steps } = clockAt(100_000_000);
  clock.reserve(1);
  clock.startAfter(200_000_000);
  expect(clock.reserve(1)).toBe(100_000_001);
  expect(steps).toEqual([100_000_000]);
});

test('stamps decrease only when the clock stepped back by more than five seconds', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          stepUs: fc.integer({ min: -8_000_000, max: 8_000_000 }),
          count: fc.integer({ min: 1, max: 5_000 }),
        }),
      ),
      (moves) => {
        const { clock, state, steps } = clockAt(1_700_000_000_000_000);
        let last = 0;
        for (const { stepUs, count } of moves) {
          state.nowUs += stepUs;
          const peeked = clock.peek();
          const told = steps.length;
          const first = clock.reserve(count);
          expect(first).toBe(peeked);
          if (steps.length === told) expect(first).toBeGreaterThan(last);
          else expect(last - state.nowUs).toBeGreaterThan(5_000_000);
          last = first + count - 1;
        }
      },
    ),
  );
});
