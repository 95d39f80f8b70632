// Reading JSON text without turning it into values, so that numbers keep their digits: for columns written as objects
// (log line) and for the fields of recorded events. Nothing here recurses or backtracks over a string of megabytes.

const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const ONLY_BLANKS = /^[ \t\n\r]*$/;

/** Whether a text is a JSON object (not an array, not a scalar). */
export function isJsonObject(text: string): boolean {
  if (!/^[ \t\n\r]*\{/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * The same JSON on one line: line breaks and the indentation behind them go, all else stays as it stands, digits too.
 * Lone surrogates become `\udXXX` escapes.
 *
 * @param json text that JSON.parse accepts: line breaks then stand between tokens only, surrogates in strings only.
 */
export function oneLineJson(json: string): string {
  if (!/[\n\r\ud800-\udfff]/.test(json)) return json;
  return json
    .replace(/[\n\r][ \t\n\r]*/g, '')
    .replace(/\p{Surrogate}/gu, (unit) => `\\u${unit.charCodeAt(0).toString(16)}`);
}

/**
 * The members of a JSON object in order, [key, JSON text of its value]; a repeated key appears as often as it stands.
 *
 * @param json an object that JSON.parse accepts.
 */
export function objectMembers(json: string): [key: string, value: string][] {
  const members: [string, string][] = [];
  let at = json.indexOf('"');
  while (at >= 0) {
    const keyEnd = endOfString(json, at);
    const valueStart = json.indexOf(':', keyEnd) + 1;
    const valueEnd = endOfValue(json, valueStart);
    const key = json.slice(at + 1, keyEnd - 1);
    members.push([
      key.includes('\\') ? (JSON.parse(`"${key}"`) as string) : key,
      json.slice(valueStart, valueEnd).trim(),
    ]);
    at = json.indexOf('"', valueEnd);
  }
  return members;
}

/**
 * The elements of a JSON array in order, each as it is written. The text need not be valid
 * JSON: it is when it is an array by this function and every element is valid on its own.
 *
 * @param most looks no further than one element beyond that.
 * @returns null: no array.
 */
export function arrayElements(json: string, most: number): string[] | null {
  if (!/^[ \t\n\r]*\[/.test(json)) return null;
  const elements: string[] = [];
  let start = json.indexOf('[') + 1;
  for (;;) {
    const end = endOfValue(json, start);
    const element = json.slice(start, end);
    const closes = json.charCodeAt(end) === CLOSE_BRACKET;
    if (!closes && json.charCodeAt(end) !== COMMA) return null;
    const isEmpty = closes && elements.length === 0 && ONLY_BLANKS.test(element);
    if (!isEmpty) elements.push(element);
    if (elements.length > most) return elements;
    if (closes) return ONLY_BLANKS.test(json.slice(end + 1)) ? elements : null;
    start = end + 1;
  }
}

/** Index behind the string that opens at `open`; the end of the text when it never closes. */
function endOfString(json: string, open: number): number {
  for (let at = open + 1; ; at += 1) {
    at = json.indexOf('"', at);
    if (at < 0) return json.length;
    let backslashes = 0;
    while (json.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at + 1;
  }
}

/** Index of the `,`, `}` or `]` that ends the value beginning at `start`. */
function endOfValue(json: string, start: number): number {
  let depth = 0;
  let at = start;
  while (at < json.length) {
    const char = json.charCodeAt(at);
    if (char === QUOTE) {
      at = endOfString(json, at);
      continue;
    }
    if (char === OPEN_BRACE || char === OPEN_BRACKET) depth += 1;
    const closes = char === CLOSE_BRACE || char === CLOSE_BRACKET;
    if (depth === 0 && (closes || char === COMMA)) return at;
    if (closes) depth -= 1;
    at += 1;
  }
  return at;
}
