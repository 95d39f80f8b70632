// What the intake answers, as values: a status, one clear sentence, and for bad events the list of problems. Every
// answer is JSON and none repeats a secret.

import { many } from '../lib/quantity.ts';
import { EXCERPT_LENGTH } from '../recording/input-record.ts';

/** One thing that is wrong with one event. */
export interface EventProblem {
  /** Which event of the request, from 0. */
  readonly index: number;
  /** Line of the body on which it stands, from 1; only with JSON lines. */
  readonly line?: number;
  /** null: the event as a whole. */
  readonly field: string | null;
  /** `expected integer, got "x"`. */
  readonly message: string;
}

/** What became of the events of one request, all committed. */
export interface Receipt {
  /** The id of each event in order; null: it was not recorded. */
  readonly ids: readonly (string | null)[];
  /** Indexes of good events that were not recorded, since their type is switched off. */
  readonly suppressed: readonly number[];
  /** With `?partial=1`: what is wrong with the others. */
  readonly problems: readonly EventProblem[];
}

/** An answer that is no 202. Thrown by whoever finds the reason, sent by the server. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  /** Stable: `unauthorized`, `invalid_events`, … */
  readonly error: string;
  readonly more: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    error: string,
    message: string,
    { more = {}, headers = {} }: { more?: Record<string, unknown>; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.status = status;
    this.error = error;
    this.more = more;
    this.headers = headers;
  }
}

/** As many are listed; the ids say which others are not recorded. */
const MAX_PROBLEMS = 1_000;
const RETRY_AFTER_S = 1;
const retryAfter = { 'retry-after': String(RETRY_AFTER_S) };

/** 202. */
export function receiptBody({ ids, suppressed, problems }: Receipt): string {
  const recorded = ids.reduce((sum, id) => sum + Number(id !== null), 0);
  const list = ids.map((id) => (id === null ? 'null' : `"${id}"`)).join();
  const failed = problems.length > 0 ? `,${JSON.stringify(listed(problems)).slice(1, -1)}` : '';
  return `{"recorded":${recorded},"ids":[${list}],"suppressed":[${suppressed.join()}]${failed}}`;
}

/** 400: events that are not good, and none was recorded. */
export function invalidEvents(problems: readonly EventProblem[], total: number): Refused {
  const bad = new Set(problems.map(({ index }) => index)).size;
  const what = total === 1 ? 'The event is not good' : `${bad} of ${total} events ${bad === 1 ? 'is' : 'are'} not good`;
  return new Refused(400, 'invalid_events', `${what}; nothing was recorded.`, { more: listed(problems) });
}

/** 413: more events than a request may bear. */
export const tooManyEvents = (most: number): Refused =>
  new Refused(
    413,
    'too_many_events',
    `The body holds more than ${many(most, 'event')}; send them in several requests.`,
  );

/** 413: more bytes than a body may have, as it comes or when it is unpacked. */
export const tooLarge = (mostBytes: number, unpacked = false): Refused =>
  new Refused(
    413,
    'too_large',
    `The body has more than ${mostBytes} bytes${unpacked ? ' when it is unpacked' : ''}; send less in a request.`,
  );

/** 429: as much is under way as may be. */
export const busy = (): Refused =>
  new Refused(429, 'busy', 'Too much is being recorded at this moment; send the request again later.', {
    headers: retryAfter,
  });

/**
 * 503.
 *
 * @param recorded false: none of the request's events. `unknown`: the connection broke before PostgreSQL had answered.
 */
export const unavailable = (recorded: false | 'unknown', why = 'PostgreSQL is not available'): Refused => {
  const outcome = recorded === false ? 'nothing was recorded' : 'it is not known whether the events were recorded';
  return new Refused(503, 'unavailable', `${why}; ${outcome}.`, { more: { recorded }, headers: retryAfter });
};

/** Whatever was refused, as the body of the answer. */
export function refusalBody({ error, message, more }: Refused): string {
  return JSON.stringify({ error, message, ...more });
}

function listed(problems: readonly EventProblem[]): Record<string, unknown> {
  const shown = problems.slice(0, MAX_PROBLEMS).map((problem) => ({ ...problem, field: short(problem.field) }));
  const omitted = problems.length - shown.length;
  return { problems: shown, ...(omitted > 0 ? { problems_omitted: omitted } : {}) };
}

/** The name of a field is whatever the client wrote. */
const short = (field: string | null): string | null => field?.slice(0, EXCERPT_LENGTH) ?? null;
