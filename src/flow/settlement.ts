// What flows from the router into the settler: for each event where it stood and where it shall stand.

import type { Standing } from './standing.ts';

export interface Settled {
  readonly id: string;
  readonly from: Standing;
  /** null: done, the row is deleted or marked. */
  readonly to: Standing | null;
  /** What the event became, for counts. */
  readonly outcome: 'delivered' | 'dropped' | 'left' | 'waiting' | 'failed' | 'parked';
  /** Handed off: a lane still has it, so no reader may take it up again yet. */
  readonly inFlight: boolean;
}

export interface Settlement {
  readonly onDelivered: 'delete' | 'mark_processed';
  readonly items: readonly Settled[];
}
