// PostgreSQL's text of one column as JSON text, for the log line and the JSON bodies: digits pass through untouched, so
// that a bigint or a double keeps them all; nothing becomes a JavaScript number on the way.

import type { RawValue, ValueKind } from './event.ts';
import { isJsonObject, oneLineJson } from './json-text.ts';

/** Whatever JSON escapes: controls, `"`, `\`; and surrogates, of which JSON.stringify escapes the lone ones. */
const NEEDS_ESCAPING = /[^ !#-[\]-\ud7ff\ue000-\uffff]/;

/** What a JSON number looks like; PostgreSQL also prints NaN and the infinities. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/;

/**
 * A JSON string; lone surrogates become `\udXXX` escapes, so that the line is valid UTF-8 (FAULTS E4).
 * Most values need no escaping: testing first takes half the time of JSON.stringify on the strings of a
 * `delivery_attempt` (Node 20: 43 ns against 82 ns; a loop over the characters takes 61 ns).
 */
export function jsonString(text: string): string {
  return NEEDS_ESCAPING.test(text) ? JSON.stringify(text) : `"${text}"`;
}

/**
 * JSON text of a raw value: integers and doubles with their digits as they stand, NaN and the infinities as strings,
 * booleans as booleans, everything else as a string.
 *
 * @param expand a text that is a JSON object is written as that object, on one line (`expand_json_columns`).
 */
export function jsonValue(raw: RawValue, kind: ValueKind, expand: boolean): string {
  if (raw === null) return 'null';
  switch (kind) {
    case 'integer':
      return raw;
    case 'double':
      return NUMBER.test(raw) ? raw : jsonString(raw);
    case 'boolean':
      return raw === 't' ? 'true' : 'false';
    case 'text':
      return expand && isJsonObject(raw) ? oneLineJson(raw) : jsonString(raw);
  }
}
