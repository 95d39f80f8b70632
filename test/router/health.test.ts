import { expect, test, vi } from 'vitest';
import type { DeliveryResult } from '../../src/destinations/destination.ts';
import type { Logger } from '../../src/lib/logger.ts';
import { FAILURES_TO_OPEN } from '../../src/router/breaker.ts';
import { Health } from '../../src/router/health.ts';

const RETRY = { initialMs: 60_000, maxMs: 60_000, maxAttempts: null, maxRetryAfterMs: 60_000 };
const NO: DeliveryResult = { ok: false, error: 'HTTP 500' };

function createHealth() {
  const said: string[] = [];
  const say = (fields: object, message: string): number => said.push(`${message} ${JSON.stringify(fields)}`);
  const logger = { warn: say, info: say } as unknown as Logger; // only these two are used
  const health = new Health({ key: 'crm', logger, onProbe: () => {} });
  const judge = (results: readonly DeliveryResult[], probe = false): void =>
    health.judge(results, { probe, untried: true }, RETRY);
  const fail = (): void => {
    for (let at = 0; at < FAILURES_TO_OPEN; at += 1) judge([NO]);
  };
  return { health, said, judge, fail };
}

test('an opening and its end are said, with what the receiver answered', () => {
  const { said, judge, fail, health } = createHealth();
  fail();
  judge([NO], health.breaker.begin());
  judge([{ ok: true }]);
  expect(said).toHaveLength(2);
  expect(said[0]).toMatch(
    /^a destination keeps failing; .*"destination":"crm","error":"HTTP 500","failures":10,"wait_ms":/,
  );
  expect(said[1]).toBe('a destination accepts events again {"destination":"crm"}');
});

test('one that flaps is said once a minute, and an outage that begins within that minute is said after it', () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
  try {
    const { said, judge, fail, health } = createHealth();
    vi.advanceTimersByTime(1_000);
    for (let at = 0; at < 5; at += 1) {
      fail();
      judge([{ ok: true }]);
    }
    expect(said).toHaveLength(2);
    fail();
    expect(said).toHaveLength(2);
    vi.advanceTimersByTime(60_000);
    judge([NO], health.breaker.begin());
    expect(said).toHaveLength(3);
  } finally {
    vi.useRealTimers();
  }
});

test('a batch of which anything was accepted, or refused for what it is, speaks for the destination', () => {
  const { judge, health } = createHealth();
  for (let at = 0; at < 50; at += 1) {
    judge([NO, { ok: true }]);
    judge([{ ...NO, blame: 'event' }, NO]);
  }
  expect(health.breaker.failures).toBe(0);
  judge([NO, { ...NO, retryAfterMs: 500_000 }]);
  expect(health.breaker.cause).toBe('asked');
  expect(health.breaker.untilMs - performance.now()).toBeLessThanOrEqual(60_000);
});
