// Where an event stands after something happened to it. Pure: from the standing it has, and what happened, to the item
// that the settler commits. The tables of QUEUE.md are made of nothing but these.

import type { BatchEvent } from '../flow/batch.ts';
import type { Outcome, Settled } from '../flow/settlement.ts';
import type { Failure, Standing } from '../flow/standing.ts';

/** Its row may go: accepted by its destination, dropped, or only the file was wanted. */
export function gone(event: BatchEvent, outcome: 'delivered' | 'dropped'): Settled {
  return settled(event, null, outcome, false);
}

/** Left in the queue until another configuration decides otherwise. */
export function left(event: BatchEvent, generation: number): Settled {
  return settled(event, { ...kept(event), left: [generation] }, 'left', false);
}

/**
 * Waits for its destination. One that failed there before keeps its attempts and is due at once.
 *
 * @param inFlight true = handed off: a lane still has it.
 */
export function waiting(event: BatchEvent, destinationId: number, generation: number, inFlight: boolean): Settled {
  const before = failureAt(event.stored, destinationId);
  if (before) return failed(event, { ...before, generation, waitMs: 0 }, inFlight);
  return settled(event, { ...kept(event), waiting: [{ destinationId, generation }] }, 'waiting', inFlight);
}

/** Tried and not accepted. */
export function failed(event: BatchEvent, failure: Failure, inFlight = false): Settled {
  const others = kept(event).failed.filter(({ destinationId }) => destinationId !== failure.destinationId);
  return settled(
    event,
    { ...kept(event), failed: [...others, failure] },
    failure.parked ? 'parked' : 'failed',
    inFlight,
  );
}

/** Stays as decided; only its line is new. */
export function lineOnly(event: BatchEvent): Settled {
  return settled(event, { ...event.stored, ...marks(event) }, outcomeOf(event.stored), false);
}

/** Sent where it was given up: it goes on waiting for `tailrace retry`, and for nothing else. */
export function stillParked(event: BatchEvent): Settled {
  return settled(event, kept(event), 'parked', false);
}

/** Nothing new: it only leaves the data path, in its turn behind what was decided about it before. */
export function unchanged(event: BatchEvent): Settled {
  return settled(event, event.stored, outcomeOf(event.stored), false);
}

/** The failure at a destination that has not been given up, if there is one. */
export const failureAt = (standing: Standing, destinationId: number): Failure | undefined =>
  standing.failed.find((failure) => failure.destinationId === destinationId);

/** What every new decision keeps: whether the line is written, and what waits for `tailrace retry`. */
const kept = (event: BatchEvent): Standing => ({
  ...event.stored,
  ...marks(event),
  left: [],
  waiting: [],
  failed: event.stored.failed.filter(({ parked }) => parked),
});

const marks = ({ standing }: BatchEvent): Pick<Standing, 'logged' | 'unlogged'> => ({
  logged: standing.logged,
  unlogged: !standing.logged,
});

function settled(event: BatchEvent, to: Standing | null, outcome: Outcome, inFlight: boolean): Settled {
  return { id: event.event.id, from: event.stored, to, outcome, inFlight };
}

function outcomeOf(standing: Standing): Outcome {
  if (standing.failed.some(({ parked }) => !parked)) return 'failed';
  if (standing.failed.length > 0) return 'parked';
  return standing.waiting.length > 0 ? 'waiting' : 'left';
}
