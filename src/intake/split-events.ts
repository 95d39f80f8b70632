// From the text of a body to the JSON texts of its events. Nothing is parsed here: the field check does that, event by
// event, so that one that is not JSON is named by its place.

import { arrayElements } from '../event/json-text.ts';
import { Refused, tooManyEvents } from './answers.ts';

/** How the body's media type says that its events stand in it. */
export type BodyFormat = 'json' | 'lines';

export interface EventText {
  readonly text: string;
  /** From 1; only with JSON lines. */
  readonly line?: number;
}

const FORMATS: ReadonlyMap<string, BodyFormat> = new Map([
  ['application/json', 'json'],
  ['application/x-ndjson', 'lines'],
  ['application/ndjson', 'lines'],
  ['application/jsonl', 'lines'],
  ['application/x-jsonlines', 'lines'],
  ['application/jsonlines', 'lines'],
]);

/**
 * The format that a Content-Type names. One is required: without it, a page in a browser could send a body that its
 * user knows nothing of.
 *
 * @throws {Refused} 415.
 */
export function formatOf(contentType: string | undefined): BodyFormat {
  const [type = '', ...parameters] = (contentType ?? '').toLowerCase().split(';');
  const format = FORMATS.get(type.trim());
  const charset = parameters.map((each) => /^\s*charset="?([^"\s]*)"?\s*$/.exec(each)?.[1]).find(Boolean);
  if (format !== undefined && (charset === undefined || /^(?:utf-?8|us-ascii)$/.test(charset))) return format;
  throw new Refused(
    415,
    'unsupported_type',
    'Content-Type must be application/json or application/x-ndjson, in UTF-8.',
    { headers: { accept: 'application/json, application/x-ndjson' } },
  );
}

/**
 * Splits a body: one object or an array, or one event a line with blank lines left out.
 *
 * @throws {Refused} 400 or 413.
 */
export function splitEvents(body: string, format: BodyFormat, maxEvents: number): readonly EventText[] {
  const events = format === 'lines' ? splitLines(body, maxEvents) : splitJson(body, maxEvents);
  if (events.length > maxEvents) throw tooManyEvents(maxEvents);
  return events;
}

function splitJson(body: string, maxEvents: number): readonly EventText[] {
  if (!/^[ \t\n\r]*\[/.test(body)) {
    if (body.trim() === '')
      throw new Refused(400, 'empty', 'The body is empty; send one event, or an array of events.');
    return [{ text: body }];
  }
  const elements = arrayElements(body, maxEvents);
  if (elements !== null) return elements.map((text) => ({ text }));
  throw new Refused(400, 'invalid_json', 'The body is not a JSON array: it breaks off, or something stands behind it.');
}

function splitLines(body: string, maxEvents: number): readonly EventText[] {
  const events: EventText[] = [];
  let start = 0;
  for (let line = 1; start < body.length && events.length <= maxEvents; line += 1) {
    const feed = body.indexOf('\n', start);
    const end = feed < 0 ? body.length : feed;
    const text = body.slice(start, end);
    if (text.trim() !== '') events.push({ text, line });
    start = end + 1;
  }
  if (events.length === 0) throw new Refused(400, 'empty', 'The body is empty; send one event a line.');
  return events;
}
