// Whether an answer accepts the event (SPEC 6), and if not, what came instead in one line that a person can act on.

import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import type { HttpPostConfig } from '../config/config.ts';
import type { DeliveryResult } from './destination.ts';
import type { HttpTarget } from './http-target.ts';

/** An answer as far as it was read. */
export interface HttpAnswer {
  readonly status: number;
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
  /** The body's first octets, as they came: never decompressed. */
  readonly body: Buffer;
  /** `ended`: this is all of it. `cut`: there is more than we read. */
  readonly bodyState: 'ended' | 'cut';
}

const ACCEPTED: DeliveryResult = Object.freeze({ ok: true });

/** Seed 002: the text `ok`, with white space permitted before and after it. */
const OK = /^[ \t\r\n\f\v]*ok[ \t\r\n\f\v]*$/;

/** Characters of a body that an error quotes. */
const MAX_QUOTE_CHARACTERS = 100;

/** Octets that are looked at for the quote; masking secrets may shorten it, so these are more. */
const MAX_QUOTE_BYTES = 4096;

/** Octets of a body that are kept for the delivery log. */
const MAX_ANSWER_BYTES = 200;

/**
 * The receiver works and refuses what it was sent: a batch is sent again in halves, until the event that is to blame
 * stands alone (SPEC 6).
 */
const BLAMES_EVENT: ReadonlySet<number> = new Set([400, 413, 422]);

const MAX_STATUS_TEXT_CHARACTERS = 60;
const MAX_LOCATION_CHARACTERS = 200;

/** Whether a status is a success; JSON needs no more than that. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

/** Whether a status says that the address is gone for good. */
export function isGone(result: DeliveryResult): boolean {
  return !result.ok && result.status === 410;
}

/** Judges the answer to one event, or to one batch as a whole. */
export function judgeAnswer(answer: HttpAnswer, format: HttpPostConfig['format'], target: HttpTarget): DeliveryResult {
  if (isSuccess(answer.status)) {
    if (format === 'json') return ACCEPTED;
    if (answer.bodyState === 'ended' && OK.test(answer.body.toString('latin1'))) return ACCEPTED;
    return refusal(
      answer,
      target,
      `${statusLine(answer, target)}, but the body is not "ok": ${quoteBody(answer, target)}`,
    );
  }
  const retryAfterMs = answer.status === 429 || answer.status === 503 ? parseRetryAfter(answer.headers) : undefined;
  const error = `${statusLine(answer, target)}: ${explain(answer, target)}`;
  return {
    ...refusal(answer, target, error),
    ...(BLAMES_EVENT.has(answer.status) && { blame: 'event' }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

function refusal(answer: HttpAnswer, target: HttpTarget, error: string): DeliveryResult & { readonly ok: false } {
  const start = startOfBody(answer, target);
  return { ok: false, error, status: answer.status, ...(start !== '' && { answer: start }) };
}

/** The body's first octets as one line, nothing for one that is empty or compressed. */
function startOfBody({ headers, body }: HttpAnswer, target: HttpTarget): string {
  if (encodingOf(headers)) return '';
  const line = visible(target.scrub(body.subarray(0, MAX_QUOTE_BYTES).toString()), MAX_ANSWER_BYTES);
  const octets = Buffer.from(line);
  if (octets.length <= MAX_ANSWER_BYTES) return line;
  // A character that is cut in two goes as a whole.
  return octets
    .subarray(0, MAX_ANSWER_BYTES)
    .toString()
    .replace(/\ufffd+$/, '');
}

/** What a body is compressed with; undefined when it can be read as it is. */
function encodingOf(headers: IncomingHttpHeaders): string | undefined {
  const encoding = single(headers['content-encoding'])?.trim().toLowerCase();
  return encoding === '' || encoding === 'identity' ? undefined : encoding;
}

function explain(answer: HttpAnswer, target: HttpTarget): string {
  const location = single(answer.headers.location);
  if (answer.status >= 300 && answer.status < 400 && location !== undefined) {
    return `redirect to ${describeLocation(location, target)} not followed; name the final url in the configuration`;
  }
  const quote = quoteBody(answer, target);
  if (answer.status === 407 && target.proxy) return `the proxy asks for a user name and a password; ${quote}`;
  return answer.status === 410 ? `this address is gone for good, change or remove the destination; ${quote}` : quote;
}

function statusLine({ status, statusText }: HttpAnswer, target: HttpTarget): string {
  const text = visible(target.scrub(statusText), MAX_STATUS_TEXT_CHARACTERS) || STATUS_CODES[status];
  return text ? `HTTP ${status} ${text}` : `HTTP ${status}`;
}

function quoteBody({ headers, body, bodyState }: HttpAnswer, target: HttpTarget): string {
  const encoding = encodingOf(headers);
  if (body.length === 0) return bodyState === 'ended' ? 'empty body' : 'no body in time';
  if (encoding) return `body compressed with ${visible(encoding, 20)}, which was not asked for`;
  const text = target.scrub(body.subarray(0, MAX_QUOTE_BYTES).toString());
  return visible(text, MAX_QUOTE_CHARACTERS) || 'blank body';
}

/** The address a redirect points to, without what may be secret in it. */
function describeLocation(location: string, target: HttpTarget): string {
  if (!URL.canParse(location, target.publicUrl)) return 'an invalid address';
  const url = new URL(location, target.publicUrl);
  return visible(target.scrub(`${url.protocol}//${url.host}${url.pathname}`), MAX_LOCATION_CHARACTERS);
}

/** Milliseconds that `Retry-After` asks for, as seconds or as a date (RFC 9110, 10.2.3); undefined when it says nothing. */
function parseRetryAfter(headers: IncomingHttpHeaders): number | undefined {
  const value = single(headers['retry-after'])?.trim() ?? '';
  if (/^\d+$/.test(value)) return Math.min(Number(value) * 1000, Number.MAX_SAFE_INTEGER);
  const at = /GMT$/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

/** One line: white space runs as one space, what a terminal would obey or hide as an escape. */
function visible(text: string, maxCharacters: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  const characters = Array.from(line);
  const start = characters.length > maxCharacters ? `${characters.slice(0, maxCharacters).join('')}…` : line;
  return start.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, (hidden) => {
    const code = (hidden.codePointAt(0) ?? 0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, '0')}` : `\\u{${code}}`;
  });
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
