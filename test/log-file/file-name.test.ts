import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createFileName } from '../../src/log-file/file-name.ts';

let zone: string | undefined;
beforeEach(() => {
  zone = process.env.TZ;
});
afterEach(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

const us = (iso: string): number => Date.parse(iso) * 1_000;

test('a name without a date is the same for every stamp', () => {
  const name = createFileName({ filename: '/log/events.jsonl', appendDate: false });
  expect(name.at(us('2026-01-01T00:00:00Z'))).toBe('/log/events.jsonl');
  expect(name.countInSameFile(us('2026-01-01T23:59:59.999Z'), 5_000)).toBe(5_000);
});

test('the date is that of the time zone of the process', () => {
  const name = createFileName({ filename: '/log/e', appendDate: true });
  process.env.TZ = 'Pacific/Auckland';
  expect(name.at(us('2026-06-30T23:00:00Z'))).toBe('/log/e.2026-07-01');
  process.env.TZ = 'America/Los_Angeles';
  expect(name.at(us('2026-07-01T06:59:59.999Z'))).toBe('/log/e.2026-06-30');
});

test('stamps are cut at the first microsecond of the next day', () => {
  process.env.TZ = 'Europe/Berlin';
  const name = createFileName({ filename: '/log/e', appendDate: true });
  const midnight = us('2026-03-01T23:00:00Z');
  for (const before of [1, 2, 999, 1_000, 1_999]) {
    expect(name.countInSameFile(midnight - before, 2_000)).toBe(before);
  }
  expect(name.countInSameFile(midnight - 2_000, 2_000)).toBe(2_000);
  expect(name.countInSameFile(midnight, 2_000)).toBe(2_000);
});

describe.each([
  // Clocks go forward at midnight: 00:00 does not exist.
  ['Asia/Beirut', '2026-03-28T22:00:00Z', '2026-03-28', '2026-03-29'],
  ['America/Santiago', '2026-09-06T04:00:00Z', '2026-09-05', '2026-09-06'],
  // Clocks went back at 00:01: the 29th began, ended after a minute, and began again.
  ['America/St_Johns', '2006-10-29T02:30:00Z', '2006-10-28', '2006-10-29'],
  ['America/St_Johns', '2006-10-29T02:31:00Z', '2006-10-29', '2006-10-28'],
  ['America/St_Johns', '2006-10-29T03:30:00Z', '2006-10-28', '2006-10-29'],
  // Leap day, the end of 32-bit seconds, the epoch.
  ['UTC', '2028-02-29T00:00:00Z', '2028-02-28', '2028-02-29'],
  ['UTC', '2038-01-20T00:00:00Z', '2038-01-19', '2038-01-20'],
  ['UTC', '1970-01-01T00:00:00Z', '1969-12-31', '1970-01-01'],
])('in %s at %s', (timeZone, instant, before, after) => {
  test(`${before} is followed by ${after}`, () => {
    process.env.TZ = timeZone;
    const name = createFileName({ filename: '/log/e', appendDate: true });
    expect(name.at(us(instant) - 1)).toBe(`/log/e.${before}`);
    expect(name.at(us(instant))).toBe(`/log/e.${after}`);
    expect(name.countInSameFile(us(instant) - 7, 100)).toBe(7);
  });
});
