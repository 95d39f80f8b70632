import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { onBeat, untilBeat } from '../../src/lib/beat.ts';
import { waitFor } from '../helpers/wait-for.ts';

test('waits of the same interval end together, whenever they began, and a longer one with every so many', () => {
  for (const now of [1_000.4, 1_003, 1_150, 1_194.9]) expect(Math.floor(now + untilBeat(200, now))).toBe(1_200);
  expect(1_003 + untilBeat(400, 1_003)).toBe(1_200);
  expect(1_003 + untilBeat(1_000, 1_003)).toBe(2_000);
});

test('a timer that fires a moment early does not fire again on the beat', () => {
  expect(untilBeat(200, 1_199.2)).toBe(201);
  expect(untilBeat(200, 1_200)).toBe(200);
  expect(untilBeat(5, 1_199)).toBe(1);
});

test('what is called with each beat is called until it is ended', async () => {
  let calls = 0;
  const end = onBeat(5, () => {
    calls += 1;
  });
  await waitFor(() => calls >= 3);
  end();
  end();
  const before = calls;
  await sleep(50);
  expect(calls).toBe(before);
});
