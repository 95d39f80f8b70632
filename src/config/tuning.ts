// The settings that every destination with a lane has, as the lane uses them.

import type { LaneConfig } from './config.ts';
import type { TuningInput } from './destination-shape.ts';

/** `concurrency`, `max_per_second`, `batch` and `retry` of a destination in the file. */
export function tuningOf({ concurrency, max_per_second, batch, retry }: TuningInput): LaneConfig {
  return {
    concurrency,
    maxPerSecond: max_per_second ?? null,
    batch: batch ? { maxEvents: batch.max_events, maxWaitMs: batch.max_wait_ms } : null,
    retry: {
      initialMs: retry.initial_ms,
      maxMs: retry.max_ms,
      maxAttempts: retry.max_attempts,
      maxRetryAfterMs: retry.max_retry_after_ms,
    },
  };
}
