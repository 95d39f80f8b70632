// One field of an event from JSON text to the text that PostgreSQL reads for its column. What JSON cannot say for a
// column is found here and not by the database, so that the message can name the field.

import { isIP } from 'node:net';
import { oneLineJson } from '../event/json-text.ts';
import { many } from '../lib/quantity.ts';
import { storableText } from './bounce-text.ts';

/** Gives PostgreSQL's text for the JSON text of a value that is not null. @throws {FieldError} */
export type FieldReader = (json: string) => string;

/** Why a value does not fit its column: `expected integer, got "x"`. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
}

const INTEGER_BITS: ReadonlyMap<string, bigint> = new Map([
  ['smallint', 16n],
  ['integer', 32n],
  ['bigint', 64n],
]);

/** Fits into 32 bits, as almost every integer does. */
const SMALL_INTEGER = /^-?\d{1,9}$/;

/** Longest excerpt of a value in a message, in characters. */
const QUOTED_LENGTH = 60;

/** What the values of a column are to recording. */
export type FieldKind = 'integer' | 'number' | 'boolean' | 'address' | 'json' | 'text';

/** What the values of a column are, by the type that PostgreSQL gives it. */
export function fieldKind(type: string): FieldKind {
  if (INTEGER_BITS.has(type)) return 'integer';
  if (type === 'double precision' || type === 'real' || type.startsWith('numeric')) return 'number';
  if (type === 'boolean') return 'boolean';
  if (type === 'inet') return 'address';
  return type === 'json' || type === 'jsonb' ? 'json' : 'text';
}

/** Most characters of a text in a column of that type. */
export function maxCharacters(type: string): number {
  return Number(/^character varying\((\d+)\)$/.exec(type)?.[1] ?? Number.POSITIVE_INFINITY);
}

/** Chooses how the values of a column are read, by the type that PostgreSQL gives it. */
export function createFieldReader(type: string): FieldReader {
  switch (fieldKind(type)) {
    case 'integer': {
      const bits = INTEGER_BITS.get(type) ?? 0n;
      return (json) => readInteger(json, type, bits);
    }
    case 'number':
      return readNumber;
    case 'boolean':
      return readBoolean;
    case 'address':
      return readAddress;
    case 'json':
      return (json) => json;
    case 'text': {
      const maxLength = maxCharacters(type);
      return (json) => readText(json, maxLength);
    }
  }
}

/** Digits as they stand, in a number or in a string: a bigint keeps them all. */
function readInteger(json: string, type: string, bits: bigint): string {
  if (bits >= 32n && SMALL_INTEGER.test(json)) return json;
  const text = plain(json);
  const digits = /^-?\d+$/.test(text) ? text : wholeNumber(json);
  if (digits === undefined) throw expected(type, json);
  const value = BigInt(digits);
  if (BigInt.asIntN(Number(bits), value) !== value) throw new FieldError(`${quoted(json)} is out of range for ${type}`);
  return digits;
}

/** `1.0` and `1e3` are integers too, as far as a JavaScript number is exact. */
function wholeNumber(json: string): string | undefined {
  return /^-?\d/.test(json) && Number.isSafeInteger(Number(json)) ? String(Number(json)) : undefined;
}

function readNumber(json: string): string {
  const text = plain(json);
  if (/^(?:NaN|-?Infinity)$/.test(text)) return text;
  if (!/^-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(text)) throw expected('number', json);
  if (!Number.isFinite(Number(text))) throw new FieldError(`${quoted(json)} is out of range`);
  return text;
}

function readBoolean(json: string): string {
  const text = plain(json);
  if (/^(?:true|t|1)$/.test(text)) return 'true';
  if (/^(?:false|f|0)$/.test(text)) return 'false';
  throw expected('boolean', json);
}

function readAddress(json: string): string {
  const text = plain(json);
  if (isIP(text.replace(/\/\d{1,3}$/, '')) === 0) throw expected('IP address', json);
  return text;
}

/** Numbers keep their digits; an object becomes JSON text (SPEC 7). */
function readText(json: string, maxLength: number): string {
  const text = textOf(json);
  // PostgreSQL counts characters, not UTF-16 units.
  if (text.length > maxLength && [...text].length > maxLength) {
    throw new FieldError(`expected at most ${many(maxLength, 'character')}, got ${[...text].length}`);
  }
  return text;
}

function textOf(json: string): string {
  if (json.startsWith('"')) {
    const text = plain(json);
    // Without a backslash no U+0000 can be in it.
    return text.length === json.length - 2 && text.isWellFormed() ? text : storableText(text);
  }
  if (json.startsWith('{')) return oneLineJson(json);
  if (/^[-\d]/.test(json)) return json;
  throw expected('text', json);
}

/** The content of a JSON string; any other value as it is written. */
function plain(json: string): string {
  if (!json.startsWith('"')) return json;
  return json.includes('\\') ? (JSON.parse(json) as string) : json.slice(1, -1);
}

function expected(what: string, json: string): FieldError {
  return new FieldError(`expected ${what}, got ${quoted(json)}`);
}

/** A value for a message. */
export function quoted(json: string): string {
  return json.length > QUOTED_LENGTH ? `${json.slice(0, QUOTED_LENGTH)}…` : json;
}
