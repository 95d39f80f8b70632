// JSON read byte by byte, for the events that are written as almost all are. Says where a token ends and what is in it,
// or that it is not plain: bad JSON is not plain, nor is some good JSON, and both are for JSON.parse to judge. Text behind
// the end of the bytes reads as a line feed, which ends every token.

export const LINE_FEED = 0x0a;
export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const BACKSLASH = 0x5c;
export const OPEN_BRACKET = 0x5b;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
const CLOSE_BRACKET = 0x5d;
const SPACE = 0x20;
const TAB = 0x09;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;

/** What a token has in it, bits: `readString` and `readNumber` give them together with its end. */
export const ESCAPED = 1;
/** An escape `\uXXXX`. */
export const UNICODE_ESCAPED = 2;
/** A byte that is not ASCII. */
export const WIDE = 4;
/** A number with a fraction. */
export const FRACTION = 1;
/** A number with an exponent. */
export const EXPONENT = 2;
const FLAG_BITS = 3;
const FLAGS = (1 << FLAG_BITS) - 1;
/** Longest bytes whose tokens fit into the integers that are quick. */
export const MAX_BYTES = 2 ** (30 - FLAG_BITS);

export const NOT_PLAIN = -1;
/** Objects in objects beyond that are not plain. */
const MAX_DEPTH = 32;

/** What a byte is in a string. */
const ORDINARY = 0;
const ENDS_STRING = 1;
const FORBIDDEN = 2;
const BEGINS_ESCAPE = 3;
const IS_WIDE = 4;
const IN_STRING = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === QUOTE) return ENDS_STRING;
  if (byte < SPACE) return FORBIDDEN;
  if (byte === BACKSLASH) return BEGINS_ESCAPE;
  return byte >= 0x80 ? IS_WIDE : ORDINARY;
});
const SIMPLE_ESCAPES = new Set(Buffer.from('"\\/bfnrt'));
const UNICODE_ESCAPE = 0x75; // u
const HEX_DIGITS = new Set(Buffer.from('0123456789abcdefABCDEF'));

const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');

/** Where a token ends. */
export function endOf(token: number): number {
  return token >> FLAG_BITS;
}

/** What a token has in it. */
export function flagsOf(token: number): number {
  return token & FLAGS;
}

/** Index of the first byte that is no space nor tab. */
export function behindBlanks(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at] === SPACE || bytes[at] === TAB) at += 1;
  return at;
}

/**
 * Reads a string.
 *
 * @param start behind its first quote.
 * @returns where its last quote is, and its flags; or `NOT_PLAIN`.
 */
export function readString(bytes: Uint8Array, start: number): number {
  let flags = 0;
  for (let at = start; ; at += 1) {
    switch (IN_STRING[bytes[at] ?? LINE_FEED]) {
      case ORDINARY:
        continue;
      case ENDS_STRING:
        return (at << FLAG_BITS) | flags;
      case IS_WIDE:
        flags |= WIDE;
        continue;
      case BEGINS_ESCAPE: {
        at += 1;
        const letter = bytes[at] ?? LINE_FEED;
        flags |= ESCAPED;
        if (SIMPLE_ESCAPES.has(letter)) continue;
        if (letter !== UNICODE_ESCAPE) return NOT_PLAIN;
        flags |= UNICODE_ESCAPED;
        for (const end = at + 4; at < end; at += 1) {
          if (!HEX_DIGITS.has(bytes[at + 1] ?? LINE_FEED)) return NOT_PLAIN;
        }
        continue;
      }
      default:
        return NOT_PLAIN;
    }
  }
}

/**
 * Reads a number.
 *
 * @returns where the byte behind it is, and its flags; or `NOT_PLAIN`.
 */
export function readNumber(bytes: Uint8Array, start: number): number {
  let flags = 0;
  const first = bytes[start] === MINUS ? start + 1 : start;
  let at = behindDigits(bytes, first);
  if (at === first || (bytes[first] === ZERO && at > first + 1)) return NOT_PLAIN;
  if (bytes[at] === POINT) {
    const fraction = at + 1;
    at = behindDigits(bytes, fraction);
    if (at === fraction) return NOT_PLAIN;
    flags |= FRACTION;
  }
  if (((bytes[at] ?? 0) | 0x20) === 0x65) {
    const sign = bytes[at + 1];
    const exponent = sign === MINUS || sign === 0x2b ? at + 2 : at + 1;
    at = behindDigits(bytes, exponent);
    if (at === exponent) return NOT_PLAIN;
    flags |= EXPONENT;
  }
  return (at << FLAG_BITS) | flags;
}

function behindDigits(bytes: Uint8Array, start: number): number {
  let at = start;
  for (let byte = bytes[at] ?? 0; byte >= ZERO && byte <= 0x39; byte = bytes[at] ?? 0) at += 1;
  return at;
}

/** Index behind the word `true`, `false` or `null`, or `NOT_PLAIN`. */
export function behindWord(bytes: Uint8Array, start: number): number {
  const first = bytes[start];
  const word = first === TRUE[0] ? TRUE : first === FALSE[0] ? FALSE : NULL;
  for (let at = 0; at < word.length; at += 1) {
    if (bytes[start + at] !== word[at]) return NOT_PLAIN;
  }
  return start + word.length;
}

/** Index behind an object or an array, or `NOT_PLAIN`. */
export function behindContainer(bytes: Uint8Array, start: number, depth = 0): number {
  if (depth > MAX_DEPTH) return NOT_PLAIN;
  const isObject = bytes[start] === OPEN_BRACE;
  const close = isObject ? CLOSE_BRACE : CLOSE_BRACKET;
  let at = behindBlanks(bytes, start + 1);
  if (bytes[at] === close) return at + 1;
  for (;;) {
    if (isObject) {
      if (bytes[at] !== QUOTE) return NOT_PLAIN;
      const key = readString(bytes, at + 1);
      if (key < 0) return NOT_PLAIN;
      at = behindBlanks(bytes, endOf(key) + 1);
      if (bytes[at] !== COLON) return NOT_PLAIN;
      at = behindBlanks(bytes, at + 1);
    }
    at = behindValue(bytes, at, depth + 1);
    if (at < 0) return NOT_PLAIN;
    at = behindBlanks(bytes, at);
    if (bytes[at] === close) return at + 1;
    if (bytes[at] !== COMMA) return NOT_PLAIN;
    at = behindBlanks(bytes, at + 1);
  }
}

function behindValue(bytes: Uint8Array, start: number, depth: number): number {
  const first = bytes[start] ?? LINE_FEED;
  if (first === QUOTE) {
    const string = readString(bytes, start + 1);
    return string < 0 ? NOT_PLAIN : endOf(string) + 1;
  }
  if (first === OPEN_BRACE || first === OPEN_BRACKET) return behindContainer(bytes, start, depth);
  if (first !== MINUS && (first < ZERO || first > 0x39)) return behindWord(bytes, start);
  const number = readNumber(bytes, start);
  return number < 0 ? NOT_PLAIN : endOf(number);
}
