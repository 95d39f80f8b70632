// What flows from the router into the settler: for each event where it stood and where it shall stand.

import type { Standing } from './standing.ts';

/** What an event became, for counts. `orphan`: its row is gone, only what the ledger said of it is cleared. */
export type Outcome = 'delivered' | 'dropped' | 'left' | 'waiting' | 'failed' | 'parked' | 'orphan';

export interface Settled {
  readonly id: string;
  readonly from: Standing;
  /** null: done, the row is deleted or marked. */
  readonly to: Standing | null;
  readonly outcome: Outcome;
  /** Handed off: a lane still has it, so no reader may take it up again yet. */
  readonly inFlight: boolean;
}

export interface Settlement {
  readonly onDelivered: 'delete' | 'mark_processed';
  readonly items: readonly Settled[];
}
