// An event's story as `tailrace trace --json` prints it: where its line stands, every attempt that a delivery log tells
// of, and what it is now.

import type { FoundLine } from '../../log-file/find-event.ts';
import type { Traced, TracedPair } from '../../queue/trace.ts';

/** Lines and attempts of one event that are kept; what fails for a month has more, and the last ones matter. */
const MAX_KEPT = 1_000;

export interface StoryLine {
  readonly file: string;
  readonly line: number;
  /** Seconds since the epoch. */
  readonly time: number;
}

export interface StoryAttempt extends StoryLine {
  readonly destination: string;
  readonly attempt: number;
  readonly outcome: string;
  readonly status: number | string | null;
  readonly ms: number;
  readonly answer: string | null;
  readonly error: string | null;
  readonly next_attempt: number | null;
}

/**
 * `unsettled`: a row about which nothing is decided yet, new or under way. `gone`: no row any more. `marked`: the row is
 * kept and done. `foreign`: not tailrace's. The others are words of the glossary.
 */
export type StoryState =
  | 'unsettled'
  | 'foreign'
  | 'too_large'
  | 'failed'
  | 'waiting'
  | 'parked'
  | 'left'
  | 'marked'
  | 'gone';

export interface Story {
  readonly event_id: string;
  event_unique_id: string | null;
  event_type: string | null;
  state: StoryState;
  /** Where its line stands; more than one is a fault. */
  readonly lines: StoryLine[];
  destinations: readonly TracedPair[];
  /** In order of time. */
  readonly attempts: StoryAttempt[];
  /** Earlier attempts that are not listed. */
  omitted: number;
}

export const newStory = (eventId: string): Story => ({
  event_id: eventId,
  event_unique_id: null,
  event_type: null,
  state: 'gone',
  lines: [],
  destinations: [],
  attempts: [],
  omitted: 0,
});

/** Takes in a line of one of the files. */
export function addLine(story: Story, { kind, file, line, value }: FoundLine): void {
  story.event_unique_id ??= text(value.event_unique_id);
  story.event_type ??= text(value.event_type);
  if (kind === 'line') {
    if (story.lines.length < MAX_KEPT) story.lines.push({ file, line, time: Number(value.time_written_to_logfile) });
    return;
  }
  story.attempts.push({
    file,
    line,
    time: Number(value.time),
    destination: text(value.destination) ?? '',
    attempt: Number(value.attempt),
    outcome: text(value.outcome) ?? '',
    status: typeof value.status === 'number' ? value.status : text(value.status),
    ms: Number(value.ms),
    answer: text(value.answer),
    error: text(value.error),
    next_attempt: typeof value.next_attempt === 'number' ? value.next_attempt : null,
  });
  if (story.attempts.length <= MAX_KEPT) return;
  story.attempts.shift();
  story.omitted += 1;
}

/**
 * Completes a story with what PostgreSQL says.
 *
 * @returns false when nobody knows of the event.
 */
export function stateOf(story: Story, traced: Traced | undefined): boolean {
  const row = traced?.row ?? null;
  story.event_type ??= row?.event_type ?? null;
  story.event_unique_id ??= row?.event_unique_id ?? null;
  story.destinations = row && traced ? traced.destinations : [];
  story.attempts.sort((a, b) => a.time - b.time);
  if (traced) story.state = currentState(traced);
  return row !== null || story.lines.length > 0 || story.attempts.length > 0;
}

function currentState({ row, tooLarge, left, destinations }: Traced): StoryState {
  const has = (state: TracedPair['state']): boolean => destinations.some((pair) => pair.state === state);
  if (row === null) return 'gone';
  if (!row.ours) return 'foreign';
  if (row.processed) return 'marked';
  if (tooLarge) return 'too_large';
  if (has('failed')) return 'failed';
  if (has('waiting')) return 'waiting';
  if (has('parked')) return 'parked';
  return left ? 'left' : 'unsettled';
}

const text = (value: unknown): string | null => (typeof value === 'string' ? value : null);
