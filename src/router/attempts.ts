// What the delivery log says of an attempt, from what the router and the lane know of it.

import type { DeliveryResult } from '../destinations/destination.ts';
import type { Attempt } from '../flow/attempt.ts';
import type { LaneEvent } from './lane-queue.ts';

/**
 * An attempt that has ended.
 *
 * @param attempt from 1.
 * @param waitMs until the next one; null = none is planned.
 */
export function attemptOf(
  { batchEvent, regime, destinationId, startedMs }: LaneEvent,
  result: DeliveryResult,
  attempt: number,
  outcome: Attempt['outcome'],
  waitMs: number | null,
): Attempt {
  return {
    event: batchEvent.event,
    destination: regime.routes.find((route) => route.destinationId === destinationId)?.key ?? '',
    attempt,
    outcome,
    durationMs: performance.now() - startedMs,
    waitMs,
    ...(result.ok ? {} : { status: result.status, answer: result.answer, error: result.error }),
  };
}
