// The destination that does nothing: its events stay in the queue, and the settler notes under which configuration.

import type { QueuedEvent } from '../event/event.ts';
import type { DeliveryResult, Destination } from './destination.ts';

const ACCEPTED: DeliveryResult = Object.freeze({ ok: true });

/** Creates the destination for `{"type": "leave_in_queue"}`; it accepts whatever it is given, always. */
export function createLeaveInQueue(): Destination {
  return { outcome: 'left', maxBatchEvents: Number.MAX_SAFE_INTEGER, deliver: acceptAll, close: async () => {} };
}

/** `deliver` of the destinations that cost no request. */
export async function acceptAll(events: readonly QueuedEvent[]): Promise<readonly DeliveryResult[]> {
  return events.map(() => ACCEPTED);
}
