import { describe, expect, test } from 'vitest';
import type { Settled } from '../../src/flow/settlement.ts';
import { type Failure, FRESH, LOGGED, type Standing } from '../../src/flow/standing.ts';
import { failed, gone, left, lineOnly, stillParked, unchanged, waiting } from '../../src/router/transitions.ts';
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
const UNLOGGED: Standing = { ...FRESH, unlogged: true };
const WAITING: Standing = { ...LOGGED, waiting: [{ destinationId: 1, generation: 1 }] };
const FAILED: Standing = { ...LOGGED, failed: [failure(1)] };
const PARKED: Standing = { ...LOGGED, failed: [failure(1, { parked: true })] };

type Move = (event: ReturnType<typeof batchEventOf>) => Settled;

describe('from a standing, by what happened, to a standing', () => {
  const table: [string, Standing, Standing, Move, Partial<Settled>][] = [
    ['new, delivered', FRESH, LOGGED, (e) => gone(e, 'delivered'), { to: null, outcome: 'delivered' }],
    ['waiting, dropped', WAITING, WAITING, (e) => gone(e, 'dropped'), { to: null, outcome: 'dropped' }],
    ['new, left', FRESH, LOGGED, (e) => left(e, 2), { to: { ...LOGGED, left: [2] }, outcome: 'left' }],
    ['new without a log file, left', FRESH, FRESH, (e) => left(e, 2), { to: { ...UNLOGGED, left: [2] } }],
    [
      'left before, left again',
      { ...LOGGED, left: [1] },
      { ...LOGGED, left: [1] },
      (e) => left(e, 2),
      { to: { ...LOGGED, left: [2] } },
    ],
    ['failed, left under another configuration', FAILED, FAILED, (e) => left(e, 2), { to: { ...LOGGED, left: [2] } }],
    ['parked, left under another configuration', PARKED, PARKED, (e) => left(e, 2), { to: { ...PARKED, left: [2] } }],
    [
      'new, refused',
      FRESH,
      LOGGED,
      (e) => waiting(e, 1, 2, false),
      { to: { ...LOGGED, waiting: [{ destinationId: 1, generation: 2 }] }, outcome: 'waiting', inFlight: false },
    ],
    ['new, handed off', FRESH, LOGGED, (e) => waiting(e, 1, 2, true), { outcome: 'waiting', inFlight: true }],
    [
      'waiting elsewhere, refused',
      WAITING,
      WAITING,
      (e) => waiting(e, 2, 2, false),
      { to: { ...LOGGED, waiting: [{ destinationId: 2, generation: 2 }] } },
    ],
    [
      'failed there, refused: keeps its attempts, due at once',
      FAILED,
      FAILED,
      (e) => waiting(e, 1, 2, false),
      { to: { ...LOGGED, failed: [failure(1, { generation: 2, waitMs: 0 })] }, outcome: 'failed' },
    ],
    [
      'failed elsewhere, refused',
      FAILED,
      FAILED,
      (e) => waiting(e, 2, 2, false),
      { to: { ...LOGGED, waiting: [{ destinationId: 2, generation: 2 }] }, outcome: 'waiting' },
    ],
    [
      'waiting, failed',
      WAITING,
      WAITING,
      (e) => failed(e, failure(1, { attempts: 1 })),
      { to: { ...LOGGED, failed: [failure(1, { attempts: 1 })] }, outcome: 'failed' },
    ],
    [
      'failed, failed for good',
      FAILED,
      FAILED,
      (e) => failed(e, failure(1, { parked: true })),
      { to: PARKED, outcome: 'parked' },
    ],
    [
      'parked elsewhere, failed',
      PARKED,
      PARKED,
      (e) => failed(e, failure(2)),
      { to: { ...LOGGED, failed: [failure(1, { parked: true }), failure(2)] } },
    ],
    [
      'parked there, waited elsewhere, sent there again',
      { ...PARKED, waiting: [{ destinationId: 2, generation: 1 }] },
      PARKED,
      stillParked,
      { to: PARKED, outcome: 'parked' },
    ],
    [
      'left without a log file, then logged',
      { ...UNLOGGED, left: [1] },
      { ...LOGGED, left: [1] },
      lineOnly,
      { to: { ...LOGGED, left: [1] }, outcome: 'left' },
    ],
    ['given back', WAITING, WAITING, unchanged, { to: WAITING, outcome: 'waiting', inFlight: false }],
  ];
  test.each(table)('%s', (_, stored, standing, move, expected) => {
    expect(move(batchEventOf(eventOf(1), stored, standing))).toMatchObject({ id: '1', from: stored, ...expected });
  });
});
