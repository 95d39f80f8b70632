import { expect, test } from 'vitest';
import { DueTimes } from '../../src/router/due-times.ts';
import { Pace } from '../../src/router/pace.ts';

test('a pace is what was delivered over the last minute', () => {
  const pace = new Pace(0);
  for (let second = 0; second < 600; second += 1) pace.add(50, second * 1_000);
  expect(pace.perSecond(600_000)).toBeCloseTo(50, 0);
  expect(pace.perSecond(630_000)).toBeLessThan(30);
  expect(pace.perSecond(660_000)).toBe(0);
  pace.add(600, 10_000_000);
  expect(pace.perSecond(10_000_000)).toBeCloseTo(600 / 55, 1);
});

test('a pace that has just begun is that of the time since', () => {
  const pace = new Pace(7_000);
  pace.add(100, 8_000);
  expect(pace.perSecond(11_000)).toBeCloseTo(25);
});

test('the nearest moments are remembered in order, however many there are', () => {
  const times = new DueTimes();
  expect(times.nextMs).toBe(Number.POSITIVE_INFINITY);
  expect(times.add(500)).toBe(true);
  expect(times.add(900)).toBe(false);
  expect(times.add(100)).toBe(true);
  expect(times.add(101)).toBe(false);
  for (let at = 0; at < 10_000; at += 1) times.add(1_000 + at * 7);
  times.pass(100);
  expect(times.nextMs).toBe(110);
  times.pass(500);
  expect(times.nextMs).toBe(900);
  times.pass(1e9);
  expect(times.nextMs).toBe(Number.POSITIVE_INFINITY);
});
