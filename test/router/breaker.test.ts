import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Breaker, FAILURES_TO_OPEN } from '../../src/router/breaker.ts';

const RETRY = { initialMs: 1_000, maxMs: 60_000 };
const FAILURE = { probe: false, untried: true, holdMs: 0 };

function openBreaker(random: () => number = () => 1): Breaker {
  const breaker = new Breaker(random);
  for (let at = 0; at < FAILURES_TO_OPEN; at += 1) breaker.failed(FAILURE, RETRY, 0);
  return breaker;
}

test('opens after that many failures in a row, and only in a row', () => {
  const breaker = new Breaker();
  const fail = (): boolean => {
    breaker.failed(FAILURE, RETRY, 0);
    return breaker.cause !== null;
  };
  for (let at = 1; at < FAILURES_TO_OPEN; at += 1) expect(fail()).toBe(false);
  expect(breaker.accepted()).toBeNull();
  for (let at = 1; at < FAILURES_TO_OPEN; at += 1) expect(fail()).toBe(false);
  expect([fail(), breaker.cause]).toEqual([true, 'failing']);
});

test('stays open twice as long with each probe that fails, up to the most', () => {
  const breaker = openBreaker();
  const waits: number[] = [];
  for (let at = 0; at < 8; at += 1) {
    waits.push(breaker.waitMs(0));
    expect(breaker.begin()).toBe(true);
    expect(breaker.waitMs(1e9)).toBe(Number.POSITIVE_INFINITY);
    breaker.failed({ ...FAILURE, probe: true }, RETRY, 0);
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
});

test('is open for at least half of the time, the rest is chance', () => {
  const longest = openBreaker(() => 0).waitMs(0);
  expect(longest).toBe(500);
  expect(openBreaker(() => 0.5).waitMs(0)).toBe(750);
});

test('closes with any acceptance and begins anew', () => {
  const breaker = openBreaker();
  breaker.begin();
  breaker.failed({ ...FAILURE, probe: true }, RETRY, 0);
  expect(breaker.accepted()).toBe('failing');
  expect([breaker.cause, breaker.failures, breaker.openings, breaker.waitMs(0)]).toEqual([null, 0, 0, 0]);
});

test('what was under way when it opened says nothing new', () => {
  const breaker = openBreaker();
  for (let at = 0; at < 100; at += 1) breaker.failed(FAILURE, RETRY, 500);
  expect([breaker.waitMs(0), breaker.openings]).toEqual([1_000, 1]);
  // Unless the receiver asks for more.
  breaker.failed({ ...FAILURE, holdMs: 9_000 }, RETRY, 500);
  expect(breaker.waitMs(0)).toBe(9_500);
});

test('a probe that was aborted may be made again', () => {
  const breaker = openBreaker();
  const probe = breaker.begin();
  breaker.ended(probe);
  expect(breaker.waitMs(1_000)).toBe(0);
});

test('one Retry-After is enough, whatever it says in the middle of successes', () => {
  const breaker = new Breaker();
  breaker.failed({ ...FAILURE, holdMs: 3_000 }, RETRY, 100);
  expect([breaker.cause, breaker.waitMs(100)]).toEqual(['asked', 3_000]);
  expect(breaker.accepted()).toBe('asked');
});

test('never lets two probes go at once, whatever happens', () => {
  const what = fc.constantFrom('begin', 'fail', 'fail probe', 'accept', 'abort', 'ask');
  fc.assert(
    fc.property(fc.array(what, { maxLength: 200 }), (steps) => {
      const breaker = new Breaker();
      let [nowMs, probes] = [0, 0];
      for (const step of steps) {
        nowMs += 700;
        if (step === 'begin' && breaker.waitMs(nowMs) <= 0 && breaker.begin()) probes += 1;
        if (step === 'fail') breaker.failed(FAILURE, RETRY, nowMs);
        if (step === 'ask') breaker.failed({ ...FAILURE, holdMs: 1_000 }, RETRY, nowMs);
        if (step === 'accept') {
          breaker.accepted();
          probes = 0;
        }
        if (probes > 0 && step === 'fail probe') {
          breaker.failed({ ...FAILURE, probe: true }, RETRY, nowMs);
          probes -= 1;
        }
        if (probes > 0 && step === 'abort') {
          breaker.ended(true);
          probes -= 1;
        }
        expect(probes).toBeLessThanOrEqual(1);
        expect(breaker.cause === null ? 0 : breaker.untilMs - nowMs).toBeLessThanOrEqual(RETRY.maxMs);
      }
    }),
  );
});
