// The destination that discards: its events are done without a request, and the settler takes their rows away.

import type { Destination } from './destination.ts';
import { acceptAll } from './leave-in-queue.ts';

/** Creates the destination for `{"type": "drop_from_queue"}`; it accepts whatever it is given, always. */
export function createDropFromQueue(): Destination {
  return { outcome: 'dropped', maxBatchEvents: Number.MAX_SAFE_INTEGER, deliver: acceptAll, close: async () => {} };
}
