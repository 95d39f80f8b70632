// What PostgreSQL holds about an event beyond its row: the value that the whole state of the program is made of.
// A settlement moves an event from one standing to another, or takes its row away.
//
//   fresh ──▶ left | waiting | failed ──▶ … ──▶ gone            (each with `logged` once its line is on disk)
//
// Under fan-out an event has a state at each of its destinations, and is gone when all of them are done:
//
//   waiting A, waiting B ──▶ waiting A, done B ──▶ failed A, done B ──▶ gone
//
// In PostgreSQL `failed` is a row of tailrace.pending; everything else is a bit of tailrace.ledger.

/** An event that was tried at a destination and not accepted. */
export interface Failure {
  readonly destinationId: number;
  readonly generation: number;
  readonly attempts: number;
  /** Milliseconds from the settling to the next attempt. */
  readonly waitMs: number;
  /** Waits for `tailrace retry` instead of the clock. */
  readonly parked: boolean;
  readonly error: string;
}

/** Not tried yet at a destination, as decided under a generation. */
export interface Waiting {
  readonly destinationId: number;
  readonly generation: number;
}

export interface Standing {
  /** Its line is in a log file: ledger kind `L`. */
  readonly logged: boolean;
  /** It was settled while no log file was configured: ledger kind `S`. A log file switched on later still logs it. */
  readonly unlogged: boolean;
  /** Parked before it was read, since its text exceeds `max_event_bytes`: ledger kind `X`. */
  readonly tooLarge: boolean;
  /** Generations under which the configuration said to leave it: kind `l`. At most one once settled. */
  readonly left: readonly number[];
  /** Kind `w`. */
  readonly waiting: readonly Waiting[];
  readonly failed: readonly Failure[];
  /** Destinations that already have it while others do not: kind `d`. */
  readonly done: readonly number[];
}

/** The standing of an event that tailrace has not settled yet. */
export const FRESH: Standing = Object.freeze({
  logged: false,
  unlogged: false,
  tooLarge: false,
  left: [],
  waiting: [],
  failed: [],
  done: [],
});

/** The standing of an event whose line is on disk and about which nothing else is decided yet. */
export const LOGGED: Standing = Object.freeze({ ...FRESH, logged: true });

/** The failure at a destination, if there is one. */
export const failureAt = (standing: Standing, destinationId: number): Failure | undefined =>
  standing.failed.find((failure) => failure.destinationId === destinationId);

/** Whether the event is to be delivered to a destination, as decided under a generation: waits or failed there, not parked. */
export function isPendingAt(standing: Standing, destinationId: number, generation: number): boolean {
  return (
    standing.waiting.some((pair) => pair.destinationId === destinationId && pair.generation === generation) ||
    standing.failed.some(
      (pair) => pair.destinationId === destinationId && pair.generation === generation && !pair.parked,
    )
  );
}
