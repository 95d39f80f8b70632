// Where a lane gets back what it could not take or deliver before: PostgreSQL, seen from the router.

import type { BatchEvent, Regime } from './batch.ts';

/** What a lane has room for. */
export interface DueRoom {
  readonly events: number;
  readonly bytes: number;
  /** Events that it holds already: PostgreSQL finds those of them that were due before again. */
  readonly held: number;
}

export interface DueSource {
  /**
   * Takes up to `room` events that are due at a destination, retries and waiting ones in turn. They are in flight from
   * here on. An empty list = nothing is due now.
   */
  take(regime: Regime, destinationId: number, room: DueRoom): Promise<readonly BatchEvent[]>;
}
