import { expect, test } from 'vitest';
import type { Outcome, Settled } from '../../src/flow/settlement.ts';
import { FRESH, LOGGED } from '../../src/flow/standing.ts';
import { Tally } from '../../src/flow/tally.ts';

const settled = (id: number, outcome: Outcome, isNew = true): Settled => ({
  id: String(id),
  from: isNew ? FRESH : LOGGED,
  to: LOGGED,
  outcome,
  inFlight: false,
});

test('each event counts once, by its final state, and lines as they were written', () => {
  const tally = new Tally();
  tally.addLines(3);
  tally.addLines(2);
  tally.add([
    settled(1, 'waiting'),
    settled(2, 'failed'),
    settled(3, 'delivered'),
    settled(4, 'left'),
    settled(5, 'dropped'),
  ]);
  tally.add([settled(1, 'failed', false), settled(2, 'parked', false)]);
  tally.add([settled(1, 'delivered', false)]);
  expect(tally.summary).toEqual({
    read: 5,
    logged: 5,
    delivered: 2,
    dropped: 1,
    left: 1,
    waiting: 0,
    failed: 0,
    parked: 1,
  });
});

test('an orphan is nobody, and an event met again in a passing state is not read anew', () => {
  const tally = new Tally();
  tally.add([settled(1, 'orphan', false), settled(2, 'waiting', false), settled(2, 'waiting', false)]);
  expect(tally.summary).toMatchObject({ read: 1, waiting: 1, logged: 0 });
});
