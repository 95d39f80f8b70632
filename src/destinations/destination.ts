// What the router knows of a destination: a driver is one factory function that returns this interface. A refused
// event is a value, never an exception; an exception from `deliver` is a bug and counts as a failure of the batch.

import type { QueuedEvent } from '../event/event.ts';

export type DeliveryResult =
  | { readonly ok: true }
  | {
      readonly ok: false;
      /** One line for a person: what came instead of an acceptance. Never a secret. */
      readonly error: string;
      /** What the receiver asked for (`Retry-After`), before any cap. */
      readonly retryAfterMs?: number;
      /**
       * `event`: the receiver works and refused this very event (400, 413, 422, a value that a column does not take), so
       * it says nothing against the destination. Without it the destination is to blame, and its breaker counts it.
       */
      readonly blame?: 'event';
      /** The HTTP status, or the server's SQLSTATE or error number. */
      readonly status?: number | string;
      /** First characters of what the receiver answered, for the delivery log. Never a secret. */
      readonly answer?: string;
    };

export interface Destination {
  /** What an accepted event becomes. Only `delivered` goes through a lane; the others cost no request and never fail. */
  readonly outcome: 'delivered' | 'dropped' | 'left';
  /** Most events that one call of `deliver` takes. */
  readonly maxBatchEvents: number;
  /**
   * Hands events over and says of each, in the same order, whether it was accepted.
   * Settles within the destination's own deadline; `signal` aborts it early, and the events count as failed.
   */
  deliver(
    events: readonly QueuedEvent[],
    options: { readonly signal: AbortSignal },
  ): Promise<readonly DeliveryResult[]>;
  /** Closes connections; what is under way has been aborted or has ended. Safe to call twice. */
  close(): Promise<void>;
}
