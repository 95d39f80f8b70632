// JSON's grammar over bytes (RFC 8259): where a value ends, without making anything of it. One pass, one comparison a
// byte where it matters, so that a gigabyte of lines is looked at in seconds. Whether the bytes are UTF-8 is another
// question: what is above 0x7f passes here.
//
// Every function returns the offset behind what it was asked for, or, where the text is no JSON, the offset of the fault
// with all bits flipped: a negative number. A fault at the end of the bytes is a text that ends too early.

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const LOWER_U = 0x75;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
/** Deeper than anybody nests, and far from the end of the stack. */
const DEEPEST = 500;

const bytesOf = (text: string): number[] => [...text].map((char) => char.charCodeAt(0));
const table = (chars: string): Uint8Array =>
  Uint8Array.from({ length: 256 }, (_, byte) => Number(bytesOf(chars).includes(byte)));

/** 1: stands for itself in a string. */
const IS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  Number(byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH),
);
const IS_ESCAPE = table('"\\/bfnrt');
const IS_HEX = table('0123456789abcdefABCDEF');
const IS_DIGIT = table('0123456789');
const IS_BLANK = table(' \t\n\r');
const TRUE = Uint8Array.from(bytesOf('true'));
const FALSE = Uint8Array.from(bytesOf('false'));
const NULL = Uint8Array.from(bytesOf('null'));

/** The end of the value that begins at `at`, without blanks around it. */
export function endOfJsonValue(bytes: Uint8Array, at: number, depth = 0): number {
  switch (bytes[at]) {
    case QUOTE:
      return endOfJsonString(bytes, at + 1);
    case 0x6e:
      return endOfWord(bytes, at, NULL);
    case 0x74:
      return endOfWord(bytes, at, TRUE);
    case 0x66:
      return endOfWord(bytes, at, FALSE);
    case OPEN_BRACE:
      return depth >= DEEPEST ? ~at : endOfObject(bytes, at + 1, depth + 1);
    case OPEN_BRACKET:
      return depth >= DEEPEST ? ~at : endOfArray(bytes, at + 1, depth + 1);
    default:
      return endOfNumber(bytes, at);
  }
}

/** The end of the string whose opening quote stands before `at`. */
export function endOfJsonString(bytes: Uint8Array, at: number): number {
  for (;;) {
    while (IS_PLAIN[bytes[at] as number] === 1) at += 1;
    if (bytes[at] === QUOTE) return at + 1;
    if (bytes[at] !== BACKSLASH) return ~at;
    if (IS_ESCAPE[bytes[at + 1] as number] === 1) {
      at += 2;
      continue;
    }
    if (bytes[at + 1] !== LOWER_U) return ~(at + 1);
    for (let digit = at + 2; digit < at + 6; digit += 1) if (IS_HEX[bytes[digit] as number] !== 1) return ~digit;
    at += 6;
  }
}

/** The first byte from `at` on that is no blank. */
export function behindBlanks(bytes: Uint8Array, at: number): number {
  while (IS_BLANK[bytes[at] as number] === 1) at += 1;
  return at;
}

function endOfObject(bytes: Uint8Array, start: number, depth: number): number {
  let at = behindBlanks(bytes, start);
  if (bytes[at] === CLOSE_BRACE) return at + 1;
  for (;;) {
    if (bytes[at] !== QUOTE) return ~at;
    at = endOfJsonString(bytes, at + 1);
    if (at < 0) return at;
    at = behindBlanks(bytes, at);
    if (bytes[at] !== COLON) return ~at;
    at = endOfJsonValue(bytes, behindBlanks(bytes, at + 1), depth);
    if (at < 0) return at;
    at = behindBlanks(bytes, at);
    if (bytes[at] === CLOSE_BRACE) return at + 1;
    if (bytes[at] !== COMMA) return ~at;
    at = behindBlanks(bytes, at + 1);
  }
}

function endOfArray(bytes: Uint8Array, start: number, depth: number): number {
  let at = behindBlanks(bytes, start);
  if (bytes[at] === CLOSE_BRACKET) return at + 1;
  for (;;) {
    at = endOfJsonValue(bytes, at, depth);
    if (at < 0) return at;
    at = behindBlanks(bytes, at);
    if (bytes[at] === CLOSE_BRACKET) return at + 1;
    if (bytes[at] !== COMMA) return ~at;
    at = behindBlanks(bytes, at + 1);
  }
}

function endOfNumber(bytes: Uint8Array, start: number): number {
  let at = bytes[start] === MINUS ? start + 1 : start;
  if (bytes[at] === ZERO) at += 1;
  else {
    at = endOfDigits(bytes, at);
    if (at < 0) return at;
  }
  if (bytes[at] === 0x2e) {
    at = endOfDigits(bytes, at + 1);
    if (at < 0) return at;
  }
  if (bytes[at] === 0x65 || bytes[at] === 0x45) {
    const sign = bytes[at + 1];
    at = endOfDigits(bytes, sign === 0x2b || sign === MINUS ? at + 2 : at + 1);
  }
  return at;
}

/** At least one. */
function endOfDigits(bytes: Uint8Array, start: number): number {
  let at = start;
  while (IS_DIGIT[bytes[at] as number] === 1) at += 1;
  return at === start ? ~at : at;
}

function endOfWord(bytes: Uint8Array, start: number, word: Uint8Array): number {
  for (let at = 0; at < word.length; at += 1) if (bytes[start + at] !== word[at]) return ~(start + at);
  return start + word.length;
}
