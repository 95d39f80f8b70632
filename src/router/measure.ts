// Counts the answers of one request for whoever watches the process.

import type { DeliveryResult } from '../destinations/destination.ts';
import type { Answer, DestinationVitals } from '../flow/vitals.ts';
import { attemptsOf, type LaneEvent } from './lane-queue.ts';

/**
 * @param results one for each event of the batch.
 * @param maxAttempts after so many an event is parked; null = never.
 */
export function measure(
  vitals: DestinationVitals,
  batch: readonly LaneEvent[],
  results: readonly DeliveryResult[],
  maxAttempts: number | null,
  nowMs: number,
): void {
  vitals.requests.observe((nowMs - (batch[0]?.startedMs ?? nowMs)) / 1_000);
  for (const [at, result] of results.entries()) {
    const event = batch[at];
    if (event === undefined) continue;
    vitals.answers[result.ok ? 'accepted' : answerOf(result.status, vitals.type)] += 1;
    // What waited in PostgreSQL has no moment of its own here.
    if (result.ok && !event.due) vitals.latency.observe((nowMs - event.offeredMs) / 1_000);
    if (!result.ok && maxAttempts !== null && attemptsOf(event) + 1 >= maxAttempts) vitals.parked += 1;
  }
}

function answerOf(status: number | string | undefined, type: string): Answer {
  if (status === undefined) return 'none';
  if (type !== 'http_post') return 'sql';
  const hundreds = Math.floor(Number(status) / 100);
  return hundreds >= 1 && hundreds <= 5 ? (`${hundreds}xx` as Answer) : 'none';
}
