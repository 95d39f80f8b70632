// Reads one JSON array of any size for recording, or the array `events` of one object: a record for each element, with
// the line it begins on. Constant memory: stream-json gives tokens, of which only those of the current element are kept,
// up to MAX_EVENT_BYTES. A syntax error ends the reading with one problem; what came before it stands.
//
//   start ──▶ elements ──▶ closed
//         └─▶ members ──▶ elements (of "events") ──▶ members ──▶ closed
//                     └─▶ skipped  (of any other) ──▶ members

import { StringDecoder } from 'node:string_decoder';
import { parser } from 'stream-json';
import { messageOf } from '../lib/errors.ts';
import { EXCERPT_LENGTH, type InputRecord, MAX_EVENT_BYTES, TOO_LONG } from './input-record.ts';

interface Token {
  readonly name: string;
  readonly value?: unknown;
}

/** The member of an object that holds the events. */
const MEMBER = 'events';
const BROKEN = 'not a JSON array from here on, the rest is not read';

/**
 * Yields records for the elements of the array, those of a chunk at a time; the last one has a problem when the text is
 * no array or breaks off.
 *
 * @throws whatever `source` throws.
 */
export async function* readJsonArray(source: AsyncIterable<Buffer>): AsyncGenerator<InputRecord[]> {
  // The declared type hides that `parser` gives an async generator function of one piece of text: stream-chain's gen().
  // Strings come in short chunks, so that one of a gigabyte is not gathered before its length is known.
  const tokensOf = parser({ packStrings: false, streamKeys: false, streamNumbers: false }) as unknown as (
    piece: string,
  ) => AsyncGenerator<Token>;
  const decoder = new StringDecoder('utf8');
  const place = createPlace();
  let line = 1;

  /** @returns the records that end in the text, and whether it is good so far. */
  const read = async (text: string): Promise<[records: InputRecord[], good: boolean]> => {
    const records: InputRecord[] = [];
    // Pieces end with each line feed, so that tokens can be told their line, and with each brace: of a piece that is
    // broken the parser gives nothing, and what stands before it on the same line is to be recorded.
    for (const piece of text.match(/[^\n}]*[\n}]|[^\n}]+/g) ?? []) {
      try {
        for await (const token of tokensOf(piece)) {
          const record = place.take(token, line);
          if (record) records.push(record);
        }
      } catch (error) {
        const problem = `${BROKEN}: ${messageOf(error)}`;
        records.push({ line, text: piece.slice(0, EXCERPT_LENGTH), problem, isLast: true });
        return [records, false];
      }
      if (piece.endsWith('\n')) line += 1;
    }
    return [records, true];
  };

  for await (const chunk of source) {
    const [records, good] = await read(decoder.write(chunk));
    if (records.length > 0) yield records;
    if (!good) return;
  }
  const [records, good] = await read(decoder.end());
  const problem = `${BROKEN}: ${place.missing()}`;
  if (good && place.missing() !== null) records.push({ line, text: '', problem, isLast: true });
  if (records.length > 0) yield records;
}

/** Where in the text the tokens are; puts those of one element together. */
function createPlace() {
  const element = createElement();
  let state: 'start' | 'members' | 'skipped' | 'elements' | 'closed' = 'start';
  let inObject = false;
  let hasEvents = false;
  let isEvents = false;
  let depth = 0;

  /** @returns whether the token ends the value of a member that does not matter. */
  const skips = (name: string): boolean => {
    if (name === 'startObject' || name === 'startArray') depth += 1;
    if (name === 'endObject' || name === 'endArray') depth -= 1;
    return depth === 0 && ENDS.has(name);
  };

  return {
    /** What the text lacks at its end; null: nothing. */
    missing(): string | null {
      if (state !== 'closed') return 'the input breaks off';
      return inObject && !hasEvents ? `the object has no array "${MEMBER}"` : null;
    },

    /** Takes the next token; gives the record when the token ends an element. */
    take({ name, value }: Token, line: number): InputRecord | undefined {
      switch (state) {
        case 'start':
          if (name !== 'startArray' && name !== 'startObject') throw new Error('the input is not an array');
          inObject = name === 'startObject';
          state = inObject ? 'members' : 'elements';
          return undefined;
        case 'members':
          if (name === 'endObject') state = 'closed';
          else if (name === 'keyValue') isEvents = value === MEMBER;
          else if (isEvents) {
            if (name !== 'startArray') throw new Error(`"${MEMBER}" is not an array`);
            hasEvents = true;
            state = 'elements';
          } else if (!skips(name)) state = 'skipped';
          return undefined;
        case 'skipped':
          if (skips(name)) state = 'members';
          return undefined;
        case 'elements':
          if (name !== 'endArray' || element.isOpen()) return element.take({ name, value }, line);
          state = inObject ? 'members' : 'closed';
          return undefined;
        case 'closed':
          return undefined;
      }
    },
  };
}

/** Puts the tokens of one element together again as compact JSON text. */
function createElement() {
  let depth = 0;
  let text = '';
  let startLine = 0;
  let followsValue = false;

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
    isOpen: () => text !== '',

    /** Takes the next token; gives the record when the token ends the element. */
    take(token: Token, line: number): InputRecord | undefined {
      const { name } = token;
      if (text === '') startLine = line;
      append(token);
      if (name === 'startObject' || name === 'startArray') depth += 1;
      if (name === 'endObject' || name === 'endArray') depth -= 1;
      return depth === 0 && ENDS.has(name) ? finish() : undefined;
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
