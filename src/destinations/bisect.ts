// Finds the bad events of a refused batch: it is cut in halves until each one stands alone, and everything else is
// delivered on the way (SPEC 6). Knows nothing of how a part is sent.
//
//   part ──▶ accepted        part of many ──refused for an event──▶ two halves        part ──destination fails──▶ all that is left fails

import type { DeliveryResult } from './destination.ts';

/** What became of a part as a whole. `blame: 'event'` on a part of more than one asks for its halves. */
export type PartResult = DeliveryResult;

/**
 * Delivers `items`, whole if possible. The parts are attempted one after the other and in order, so the answers are
 * those of `items`, one each. When the destination itself fails, what has not been accepted yet fails with its answer,
 * and nothing more is attempted.
 *
 * @param attempt delivers a part as one, all of it or nothing; never called with an empty part.
 * @throws whatever `attempt` throws.
 */
export async function bisect<T>(
  items: readonly T[],
  attempt: (part: readonly T[]) => Promise<PartResult>,
): Promise<readonly DeliveryResult[]> {
  const results: DeliveryResult[] = [];
  const parts: (readonly T[])[] = items.length === 0 ? [] : [items];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const result = await attempt(part);
    if (result.ok || (result.blame === 'event' && part.length === 1)) {
      append(results, result, part.length);
    } else if (result.blame === 'event') {
      const middle = Math.ceil(part.length / 2);
      parts.push(part.slice(middle), part.slice(0, middle));
    } else {
      append(results, result, items.length - results.length);
      break;
    }
  }
  return results;
}

function append(results: DeliveryResult[], result: DeliveryResult, count: number): void {
  for (let at = 0; at < count; at += 1) results.push(result);
}
