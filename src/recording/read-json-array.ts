// Reads one JSON array of any size for recording: one record an element, with the line it begins on. Constant memory:
// stream-json gives tokens, of which only those of the current element are kept, up to MAX_EVENT_BYTES. A syntax error
// ends the reading with one problem; what came before it stands.

import { StringDecoder } from 'node:string_decoder';
import { parser } from 'stream-json';
import { messageOf } from '../lib/errors.ts';
import { EXCERPT_LENGTH, type InputRecord, MAX_EVENT_BYTES, TOO_LONG } from './input-record.ts';

interface Token {
  readonly name: string;
  readonly value?: unknown;
}

const BROKEN = 'not a JSON array from here on, the rest is not read';

/**
 * Yields a record for each element of the array, or one with a problem when the text is no array or breaks off.
 *
 * @throws whatever `source` throws.
 */
export async function* readJsonArray(source: AsyncIterable<Buffer>): AsyncGenerator<InputRecord> {
  // The declared type hides that `parser` gives an async generator function of one piece of text: stream-chain's gen().
  // Strings come in short chunks, so that one of a gigabyte is not gathered before its length is known.
  const tokensOf = parser({ packStrings: false, streamKeys: false, streamNumbers: false }) as unknown as (
    piece: string,
  ) => AsyncGenerator<Token>;
  const element = createElement();
  let line = 1;
  for await (const piece of piecesOfLines(source)) {
    try {
      for await (const token of tokensOf(piece)) {
        const record = element.take(token, line);
        if (record) yield record;
      }
    } catch (error) {
      const problem = `${BROKEN}: ${messageOf(error)}`;
      yield { line, text: piece.slice(0, EXCERPT_LENGTH), problem };
      return;
    }
    if (piece.endsWith('\n')) line += 1;
  }
  if (!element.isClosed()) yield { line, text: '', problem: `${BROKEN}: the input breaks off` };
}

/** The text in pieces that end with each line feed, at the latest, so that tokens can be told their line. */
async function* piecesOfLines(source: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  for await (const chunk of source) yield* decoder.write(chunk).match(/[^\n]*\n|[^\n]+/g) ?? [];
  const rest = decoder.end();
  if (rest !== '') yield rest;
}

/** Puts the tokens of one element of the top-level array together again as compact JSON text. */
function createElement() {
  let depth = 0;
  let text = '';
  let startLine = 0;
  let followsValue = false;
  let closed = false;

  const append = ({ name, value }: Token): void => {
    const comma = followsValue && STARTS.has(name) ? ',' : '';
    // A little more than the limit shows that it was passed.
    if (text.length <= MAX_EVENT_BYTES) text += comma + jsonOfToken(name, value);
    followsValue = !OPENS.has(name);
  };

  const finish = (): InputRecord => {
    const record = { line: startLine, text };
    const tooLong = text.length > MAX_EVENT_BYTES;
    text = '';
    followsValue = false;
    return tooLong ? { ...record, text: record.text.slice(0, EXCERPT_LENGTH), problem: TOO_LONG } : record;
  };

  return {
    isClosed: () => closed,

    /** Takes the next token; gives the record when the token ends an element. */
    take(token: Token, line: number): InputRecord | undefined {
      const { name } = token;
      if (depth === 0) {
        if (name !== 'startArray') throw new Error('the input is not an array');
        depth = 1;
        return undefined;
      }
      if (name === 'endArray' && depth === 1) {
        closed = true;
        return undefined;
      }
      if (text === '') startLine = line;
      append(token);
      if (name === 'startObject' || name === 'startArray') depth += 1;
      if (name === 'endObject' || name === 'endArray') depth -= 1;
      return depth === 1 && ENDS.has(name) ? finish() : undefined;
    },
  };
}

const LITERALS = ['trueValue', 'falseValue', 'nullValue', 'numberValue'];
/** Tokens that need a comma in front when something stands before them in their container. */
const STARTS = new Set(['startObject', 'startArray', 'startString', 'keyValue', ...LITERALS]);
/** Tokens behind which no comma stands. */
const OPENS = new Set(['startObject', 'startArray', 'keyValue']);
/** Tokens that end a value. */
const ENDS = new Set(['endObject', 'endArray', 'endString', ...LITERALS]);

function jsonOfToken(name: string, value: unknown): string {
  switch (name) {
    case 'startObject':
      return '{';
    case 'startArray':
      return '[';
    case 'endObject':
      return '}';
    case 'endArray':
      return ']';
    case 'startString':
    case 'endString':
      return '"';
    case 'keyValue':
      return `${JSON.stringify(value)}:`;
    case 'stringChunk':
      return JSON.stringify(value).slice(1, -1);
    default: // the literals
      return String(value);
  }
}
