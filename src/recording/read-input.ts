// The way into recording: looks at the first byte of an input to tell JSON lines from one JSON array, and hands it to
// the reader for that. A byte order mark is passed over.

import type { InputRecord } from './input-record.ts';
import { readJsonArray } from './read-json-array.ts';
import { readJsonLines } from './read-json-lines.ts';

/** `auto`: an input whose first character is `[` is an array, any other is JSON lines. */
export type InputFormat = 'auto' | 'jsonl' | 'array';

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const OPEN_BRACKET = 0x5b;
const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);

/**
 * Reads events from JSON lines or from one JSON array, in constant memory.
 *
 * @throws whatever `source` throws.
 */
export async function* readInput(source: AsyncIterable<Buffer>, format: InputFormat): AsyncGenerator<InputRecord> {
  const chunks = source[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  let first: number | undefined;
  while (first === undefined) {
    const { done, value } = await chunks.next();
    if (done) break;
    head = Buffer.concat([head, value]);
    // One or two bytes of a mark that is cut in the middle do not tell anything yet.
    if (head.length < BYTE_ORDER_MARK.length && BYTE_ORDER_MARK.subarray(0, head.length).equals(head)) continue;
    if (head.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK)) head = head.subarray(BYTE_ORDER_MARK.length);
    first = head.find((byte) => !SPACES.has(byte));
  }
  const whole = withHead(head, chunks);
  const isArray = format === 'array' || (format === 'auto' && first === OPEN_BRACKET);
  yield* isArray ? readJsonArray(whole) : readJsonLines(whole);
}

async function* withHead(head: Buffer, rest: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  yield head;
  yield* { [Symbol.asyncIterator]: () => rest };
}
