// What the router says of each attempt to deliver an event, and the line that the delivery log has for it. Built from
// raw text by hand: a line costs about as much as a log line does, and no more.

import type { QueuedEvent } from '../event/event.ts';
import { jsonString } from '../event/json-string.ts';

/** One try to deliver one event to one destination. */
export interface Attempt {
  readonly event: QueuedEvent;
  /** The destination's key: its name, else type and target. */
  readonly destination: string;
  /** From 1; counts on over restarts. */
  readonly attempt: number;
  /** `aborted`: we stopped before an answer came; it does not count as an attempt. */
  readonly outcome: 'delivered' | 'failed' | 'parked' | 'aborted';
  /** The HTTP status, or the server's own number. */
  readonly status?: number | string | undefined;
  readonly durationMs: number;
  /** First characters of a refused answer. */
  readonly answer?: string | undefined;
  /** One line for a person. */
  readonly error?: string | undefined;
  /** Milliseconds until the next attempt; null = none is planned. */
  readonly waitMs: number | null;
}

/** A line of the delivery log, without its newline. */
export function attemptLine(attempt: Attempt, nowMs: number): string {
  const { event, destination, status, durationMs, answer, error, waitMs } = attempt;
  const { shape } = event;
  const text = (at: number): string => textOrNull(event.value(at));
  return (
    `{"time":${seconds(nowMs)},"event_id":${event.id},"event_unique_id":${text(shape.eventUniqueIdAt)}` +
    `,"event_type":${text(shape.eventTypeAt)},"destination":${jsonString(destination)},"attempt":${attempt.attempt}` +
    `,"outcome":"${attempt.outcome}","status":${typeof status === 'number' ? status : textOrNull(status)}` +
    `,"ms":${Math.round(durationMs)},"answer":${textOrNull(answer)},"error":${textOrNull(error)}` +
    `,"next_attempt":${waitMs === null ? 'null' : seconds(nowMs + waitMs)}}`
  );
}

const textOrNull = (text: string | null | undefined): string => (text == null ? 'null' : jsonString(text));

/** Seconds since the epoch with milliseconds. */
const seconds = (ms: number): string => (ms / 1_000).toFixed(3);
