import { expect, test } from 'vitest';
import { delay } from '../../src/lib/delay.ts';
import { createNudge } from '../../src/lib/nudge.ts';

const NEVER = new AbortController().signal;
const LONG_MS = 600_000;

test('a nudge ends the wait under way', async () => {
  const nudge = createNudge();
  const waiting = nudge.wait(LONG_MS, NEVER);
  nudge.nudge();
  expect(await waiting).toBe(true);
});

test('a nudge before the wait is not lost, and ends one wait only', async () => {
  const nudge = createNudge();
  nudge.nudge();
  nudge.nudge();
  expect(await nudge.wait(LONG_MS, NEVER)).toBe(true);
  expect(await nudge.wait(1, NEVER)).toBe(false);
});

test('a wait ends with its signal, and at once when that is aborted already', async () => {
  const nudge = createNudge();
  const stop = new AbortController();
  const waiting = nudge.wait(LONG_MS, stop.signal);
  stop.abort();
  expect(await waiting).toBe(false);
  expect(await nudge.wait(LONG_MS, stop.signal)).toBe(false);
  nudge.nudge();
  expect(await nudge.wait(LONG_MS, stop.signal)).toBe(true);
});

test('a delay ends with its signal and never rejects', async () => {
  const stop = new AbortController();
  const waiting = delay(LONG_MS, stop.signal);
  stop.abort(new Error('stopped'));
  await waiting;
  await delay(LONG_MS, stop.signal);
  await delay(1, NEVER);
});
