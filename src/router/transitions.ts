// Where an event stands after something happened to it. Pure but for the event's own standing: the router moves it on as
// answers come, and settles from what PostgreSQL has to what is known by then. The tables of QUEUE.md are made of
// nothing but these.
//
// An event has a state at each of its destinations: waiting (in memory also: under way) ──▶ done | failed | parked. Its
// row may go when none of them is left, and no entry says to leave it.

import type { BatchEvent } from '../flow/batch.ts';
import type { Outcome, Settled } from '../flow/settlement.ts';
import { type Failure, FRESH, failureAt, LOGGED, type Standing } from '../flow/standing.ts';

/** What the entries that match an event want of it, all together. */
export interface Wanted {
  /** An entry says to leave it in the queue. */
  readonly left: boolean;
  /** Where it shall go; a destination named twice gets it once. */
  readonly destinations: readonly number[];
}

/**
 * Decides about an event, new or under another configuration than before: what was decided is forgotten, but for where
 * it has been delivered and where it waits for `tailrace retry`. One that failed at a destination keeps its attempts
 * there and is due at once.
 *
 * @returns the destinations that it has to be offered to now.
 */
export function decide(event: Pick<BatchEvent, 'standing'>, wanted: Wanted, generation: number): readonly number[] {
  const { standing } = event;
  const known = DECISIONS.get(wanted);
  if (known && known.from === standing && known.generation === generation) {
    event.standing = known.to;
    return known.destinations;
  }
  const failed = standing.failed.filter(({ parked }) => parked);
  const open = new Set(wanted.destinations);
  for (const destinationId of standing.done) open.delete(destinationId);
  for (const { destinationId } of failed) open.delete(destinationId);
  const destinations = [...open];
  const before = destinations.flatMap((destinationId) => failureAt(standing, destinationId) ?? []);
  event.standing = {
    ...standing,
    unlogged: !standing.logged,
    left: wanted.left ? [generation] : [],
    waiting: destinations
      .filter((destinationId) => !before.some((failure) => failure.destinationId === destinationId))
      .map((destinationId) => ({ destinationId, generation })),
    failed: [...failed, ...before.map((failure) => ({ ...failure, generation, waitMs: 0 }))],
  };
  if (standing === LOGGED || standing === FRESH) {
    DECISIONS.set(wanted, { from: standing, generation, to: event.standing, destinations });
    DELIVERED.set(event.standing, new Map());
  }
  return destinations;
}

interface Decision {
  readonly from: Standing;
  readonly generation: number;
  readonly to: Standing;
  readonly destinations: readonly number[];
}

/** Events of which nothing was known take the same way by the thousand: they share what is decided of them, and what becomes of it. */
const DECISIONS = new WeakMap<Wanted, Decision>();
const DELIVERED = new WeakMap<Standing, Map<number, Standing>>();

/** A destination has accepted it. */
export function deliver(event: BatchEvent, destinationId: number): void {
  const { standing } = event;
  const shared = DELIVERED.get(standing);
  const delivered = shared?.get(destinationId) ?? {
    ...without(standing, destinationId),
    done: [...standing.done, destinationId],
  };
  shared?.set(destinationId, delivered);
  event.standing = delivered;
}

/** Tried and not accepted. */
export function fail(event: BatchEvent, failure: Failure): void {
  const rest = without(event.standing, failure.destinationId);
  event.standing = { ...rest, failed: [...rest.failed, failure] };
}

/** Its row may go at once: dropped, or only the file was wanted. */
export function gone(event: BatchEvent, outcome: 'delivered' | 'dropped'): Settled {
  return { id: event.event.id, from: event.stored, to: null, outcome, inFlight: false };
}

/** Settled before, without its line: stays as decided, only its line is new. */
export function lineOnly(event: BatchEvent): Settled {
  event.standing = { ...event.standing, unlogged: !event.standing.logged };
  return settle(event);
}

/**
 * What PostgreSQL shall know of an event by now. Settlements of one event have to be committed in the order in which
 * they were made here: each begins where the one before it ends.
 */
export function settle(event: BatchEvent): Settled {
  const { standing, stored } = event;
  const to = isDone(standing) ? null : standing;
  if (to !== null) event.stored = to;
  const inFlight = event.lanes.length > 0;
  return { id: event.event.id, from: stored, to, outcome: outcomeOf(standing), inFlight };
}

const without = (standing: Standing, destinationId: number): Standing => ({
  ...standing,
  waiting: standing.waiting.filter((pair) => pair.destinationId !== destinationId),
  failed: standing.failed.filter((pair) => pair.destinationId !== destinationId),
});

const isDone = ({ left, waiting, failed }: Standing): boolean =>
  left.length === 0 && waiting.length === 0 && failed.length === 0;

/** Counted once, by what most needs attention; a row that goes was delivered when any destination has it. */
function outcomeOf(standing: Standing): Outcome {
  if (standing.failed.some(({ parked }) => !parked)) return 'failed';
  if (standing.waiting.length > 0) return 'waiting';
  if (standing.failed.length > 0) return 'parked';
  if (standing.left.length > 0) return 'left';
  return standing.done.length > 0 ? 'delivered' : 'dropped';
}
