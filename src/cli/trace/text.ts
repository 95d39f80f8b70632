// An event's story for a person.

import { duration } from '../../lib/quantity.ts';
import type { TracedPair } from '../../queue/trace.ts';
import type { Story, StoryAttempt } from './story.ts';

/** What was looked at: said where something was not found. */
export interface Looked {
  readonly searched: readonly string[];
  readonly hasDeliveryLog: boolean;
}

/** Several lines of text, each with its newline. */
export function renderStory(story: Story, looked: Looked): string {
  const names = [story.event_type ?? 'type unknown', story.event_unique_id ? `unique id ${story.event_unique_id}` : ''];
  return [
    `event ${story.event_id} (${names.filter(Boolean).join(', ')})`,
    ...lines(story, looked),
    ...now(story, Date.now() / 1_000),
    ...attempts(story, looked),
    '',
  ].join('\n');
}

function lines({ lines: found }: Story, { searched }: Looked): string[] {
  if (found.length > 1) {
    const places = found.map(({ file, line, time }) => `             ${file}:${line}, written ${clock(time)}`);
    return [`  line       IN ${found.length} PLACES:`, ...places];
  }
  const [only] = found;
  if (only) return [`  line       ${only.file}:${only.line}, written ${clock(only.time)}`];
  const where = searched.length === 0 ? 'no log file was looked at' : `not found in ${searched.join(', ')}`;
  return [`  line       ${where}`];
}

function now(story: Story, nowSeconds: number): string[] {
  const text = {
    gone: `gone from the queue: ${ending(story)}`,
    marked: 'done: its row is kept and marked as processed',
    unsettled: 'in the queue, not settled: it has not been read yet, or is under way at this moment',
    foreign: "in the table, but its destination_id is not 1: it is not tailrace's, and stays untouched",
    too_large: 'parked as too large: neither logged nor delivered; raise max_event_bytes, then tailrace retry --parked',
    left: 'left in the queue, as the configuration says',
    failed: 'in the queue, to be tried again',
    waiting: 'in the queue, waits for a destination',
    parked: `given up; it waits for: tailrace retry --id ${story.event_id}`,
  }[story.state];
  return [`  now        ${text}`, ...story.destinations.map((pair) => `             ${describe(pair, nowSeconds)}`)];
}

function ending({ attempts }: Story): string {
  const to = attempts.filter(({ outcome }) => outcome === 'delivered').map(({ destination }) => destination);
  if (to.length > 0) return `delivered to ${[...new Set(to)].join(', ')}`;
  return 'delivered or dropped, or somebody deleted its row';
}

function describe(pair: TracedPair, nowSeconds: number): string {
  switch (pair.state) {
    case 'done':
      return `done at ${pair.destination}`;
    case 'waiting':
      return `waits for ${pair.destination}, not tried yet`;
    case 'parked':
      return `parked at ${pair.destination} after ${times(pair.attempts)}, failing since ${clock(pair.first_failure)}: ${pair.error}`;
    case 'failed': {
      const inSeconds = pair.next_attempt - nowSeconds;
      const next = inSeconds > 0 ? `in ${duration(inSeconds)} (${clock(pair.next_attempt)})` : 'now';
      return `failed ${times(pair.attempts)} at ${pair.destination}, next attempt ${next}: ${pair.error}`;
    }
    default:
      return pair satisfies never;
  }
}

function attempts(story: Story, { hasDeliveryLog }: Looked): string[] {
  if (story.attempts.length > 0) {
    const first = story.omitted > 0 ? [`             ${story.omitted} earlier ones are not shown`] : [];
    return ['  attempts', ...first, ...story.attempts.map((each) => `    ${attempt(each)}`)];
  }
  return [
    `  attempts   ${hasDeliveryLog ? 'none in the delivery log' : 'not known: "delivery_log" is not configured'}`,
  ];
}

function attempt({ time, destination, attempt: number, outcome, status, ms, error, answer }: StoryAttempt): string {
  const why = [error, answer === null ? null : `answer: ${answer}`].filter((part) => part !== null).join('; ');
  const known = status === null || error?.includes(String(status)) ? '' : `, ${status}`;
  return `${clock(time)}  ${destination}  attempt ${number} ${outcome} after ${ms} ms${known}${why ? `: ${why}` : ''}`;
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

/** Seconds since the epoch as a time in UTC. */
const clock = (seconds: number): string =>
  Number.isFinite(seconds) ? new Date(seconds * 1_000).toISOString() : 'at an unknown time';
