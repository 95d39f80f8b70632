import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { BatchEvent } from '../../src/flow/batch.ts';
import type { Settled } from '../../src/flow/settlement.ts';
import { type Failure, FRESH, LOGGED, type Standing } from '../../src/flow/standing.ts';
import { decide, deliver, fail, lineOnly, settle, type Wanted } from '../../src/router/transitions.ts';
import { batchEventOf, eventOf } from './batches.ts';

const failure = (destinationId: number, more: Partial<Failure> = {}): Failure => ({
  destinationId,
  generation: 1,
  attempts: 3,
  waitMs: 500,
  parked: false,
  error: 'no',
  ...more,
});
const at = (destinationId: number, generation = 1) => ({ destinationId, generation });
const parkedAt = (destinationId: number): Failure => failure(destinationId, { parked: true });
const UNLOGGED: Standing = { ...FRESH, unlogged: true };
const WAITING: Standing = { ...LOGGED, waiting: [at(1)] };
const FAILED: Standing = { ...LOGGED, failed: [failure(1)] };
const PARKED: Standing = { ...LOGGED, failed: [parkedAt(1)] };

/** One for all events that the same is wanted of, as the router has it: what is decided of one must not show in another. */
const WANTED = new Map<string, Wanted>();

/** Decides under generation 2: `left`, and destinations by number. */
const under2 =
  (...words: readonly (number | 'left')[]) =>
  (event: BatchEvent): void => {
    const destinations = words.filter((each) => each !== 'left');
    const wanted = WANTED.get(words.join()) ?? { left: words.includes('left'), destinations };
    WANTED.set(words.join(), wanted);
    decide(event, wanted, 2);
  };

type Step = (event: BatchEvent) => void;

describe('from a standing, by what happened, to a standing', () => {
  const delivered =
    (destinationId: number): Step =>
    (event) =>
      deliver(event, destinationId);
  const failed =
    (...args: Parameters<typeof failure>): Step =>
    (event) =>
      fail(event, failure(...args));
  const table: [string, Standing, Standing, Step[], Partial<Settled>][] = [
    ['new, delivered', FRESH, LOGGED, [under2(1), delivered(1)], { to: null, outcome: 'delivered' }],
    ['waiting, dropped', WAITING, WAITING, [under2()], { to: null, outcome: 'dropped' }],
    ['new, left', FRESH, LOGGED, [under2('left')], { to: { ...LOGGED, left: [2] }, outcome: 'left' }],
    ['new without a log file, left', FRESH, FRESH, [under2('left')], { to: { ...UNLOGGED, left: [2] } }],
    [
      'left before, left again',
      { ...LOGGED, left: [1] },
      { ...LOGGED, left: [1] },
      [under2('left')],
      { to: { ...LOGGED, left: [2] } },
    ],
    ['failed, left under another configuration', FAILED, FAILED, [under2('left')], { to: { ...LOGGED, left: [2] } }],
    ['parked, left under another configuration', PARKED, PARKED, [under2('left')], { to: { ...PARKED, left: [2] } }],
    ['new, not taken', FRESH, LOGGED, [under2(1)], { to: { ...LOGGED, waiting: [at(1, 2)] }, outcome: 'waiting' }],
    ['waiting elsewhere, not taken', WAITING, WAITING, [under2(2)], { to: { ...LOGGED, waiting: [at(2, 2)] } }],
    [
      'failed there, not taken: keeps its attempts, due at once',
      FAILED,
      FAILED,
      [under2(1)],
      { to: { ...LOGGED, failed: [failure(1, { generation: 2, waitMs: 0 })] }, outcome: 'failed' },
    ],
    ['failed elsewhere, not taken', FAILED, FAILED, [under2(2)], { to: { ...LOGGED, waiting: [at(2, 2)] } }],
    ['waiting, failed', WAITING, WAITING, [failed(1, { attempts: 1 })], { outcome: 'failed' }],
    ['failed, failed for good', FAILED, FAILED, [failed(1, { parked: true })], { to: PARKED, outcome: 'parked' }],
    [
      'parked elsewhere, failed',
      PARKED,
      PARKED,
      [failed(2)],
      { to: { ...LOGGED, failed: [parkedAt(1), failure(2)] }, outcome: 'failed' },
    ],
    [
      'parked there, waited elsewhere, sent there again',
      { ...PARKED, waiting: [at(2)] },
      { ...PARKED, waiting: [at(2)] },
      [under2(1)],
      { to: PARKED, outcome: 'parked' },
    ],
    ['given back', WAITING, WAITING, [], { to: WAITING, outcome: 'waiting', inFlight: false }],
    // Fan-out.
    [
      'two destinations, both delivered in time',
      FRESH,
      LOGGED,
      [under2(1, 2), delivered(2), delivered(1)],
      { to: null, outcome: 'delivered' },
    ],
    [
      'delivered to one of two',
      FRESH,
      LOGGED,
      [under2(1, 2), delivered(2)],
      { to: { ...LOGGED, waiting: [at(1, 2)], done: [2] }, outcome: 'waiting' },
    ],
    [
      'delivered to one, failed at the other',
      FRESH,
      LOGGED,
      [under2(1, 2), failed(1), delivered(2)],
      { to: { ...LOGGED, failed: [failure(1)], done: [2] }, outcome: 'failed' },
    ],
    [
      'one waits, one is parked: counted as waiting, which goes by itself',
      { ...PARKED, waiting: [at(2)] },
      { ...PARKED, waiting: [at(2)] },
      [],
      { outcome: 'waiting' },
    ],
    [
      'delivered where nothing was parked: the parked one keeps the row',
      { ...PARKED, waiting: [at(2)] },
      { ...PARKED, waiting: [at(2)] },
      [delivered(2)],
      { to: { ...PARKED, done: [2] }, outcome: 'parked' },
    ],
    [
      'delivered and left',
      FRESH,
      LOGGED,
      [under2(1, 'left'), delivered(1)],
      { to: { ...LOGGED, left: [2], done: [1] }, outcome: 'left' },
    ],
    [
      'delivered under an older configuration, left again',
      { ...LOGGED, left: [1], done: [1] },
      { ...LOGGED, left: [1], done: [1] },
      [under2(1, 'left')],
      { to: { ...LOGGED, left: [2], done: [1] }, outcome: 'left' },
    ],
    [
      'delivered under an older configuration, and no more is wanted',
      { ...LOGGED, left: [1], done: [1] },
      { ...LOGGED, left: [1], done: [1] },
      [under2(1)],
      { to: null, outcome: 'delivered' },
    ],
    ['the same destination twice', FRESH, LOGGED, [under2(1, 1)], { to: { ...LOGGED, waiting: [at(1, 2)] } }],
  ];
  test.each(table)('%s', (_, stored, standing, steps, expected) => {
    const event = batchEventOf(eventOf(1), stored, standing);
    for (const step of steps) step(event);
    expect(settle(event)).toMatchObject({ id: '1', from: stored, ...expected });
  });
});

test('events that go the same way go it each for itself, in whatever order their answers come', () => {
  const standing = fc.constantFrom(FRESH, LOGGED, FAILED, PARKED, { ...LOGGED, done: [2] }, WAITING);
  const answers = fc
    .shuffledSubarray([1, 2, 3])
    .chain((order) => fc.tuple(...order.map((id) => fc.tuple(fc.constant(id), fc.boolean()))));
  const answered = (event: BatchEvent, [destinationId, ok]: readonly [number, boolean]): void =>
    ok ? deliver(event, destinationId) : fail(event, failure(destinationId));
  fc.assert(
    fc.property(fc.array(fc.tuple(standing, answers, fc.nat({ max: 5 })), { maxLength: 8 }), (histories) => {
      const wanted = { left: false, destinations: [1, 2, 3] };
      const alone = histories.map(([before, steps]) => {
        const event = batchEventOf(eventOf(1), before);
        const offered = decide(event, { ...wanted }, 2);
        for (const step of steps) answered(event, step);
        return [offered, settle(event)];
      });
      const events = histories.map(([before]) => batchEventOf(eventOf(1), before));
      const offered = events.map((event) => decide(event, wanted, 2));
      // One answer of each in turn, some begin later.
      for (let turn = 0; turn < 8; turn += 1) {
        for (const [at, [, steps, late]] of histories.entries()) {
          const [event, step] = [events[at], steps[turn - late]];
          if (event && step) answered(event, step);
        }
      }
      expect(events.map((event, at) => [offered[at], settle(event)])).toEqual(alone);
    }),
  );
});

test('a new configuration offers an event where it neither is nor is parked', () => {
  const standing: Standing = { ...LOGGED, failed: [parkedAt(1), failure(2)], done: [3] };
  const event = batchEventOf(eventOf(1), standing);
  expect(decide(event, { left: false, destinations: [1, 2, 3, 4] }, 2)).toEqual([2, 4]);
});

test('what was left without a log file only gets its line', () => {
  const event = batchEventOf(eventOf(1), { ...UNLOGGED, left: [1] }, { ...LOGGED, left: [1] });
  expect(lineOnly(event)).toMatchObject({ to: { ...LOGGED, left: [1] }, outcome: 'left' });
});

test('each settlement begins where the one before it ended', () => {
  const event = batchEventOf(eventOf(1), FRESH, LOGGED);
  event.lanes = decide(event, { left: false, destinations: [1, 2] }, 1);
  const first = settle(event);
  event.lanes = [2];
  deliver(event, 1);
  const second = settle(event);
  event.lanes = [];
  deliver(event, 2);
  const third = settle(event);
  expect([first.from, second.from, third.from]).toEqual([FRESH, first.to, second.to]);
  expect([first.inFlight, second.inFlight, third.inFlight, third.to]).toEqual([true, true, false, null]);
});
