// The way into recording: looks at the beginning of an input to tell what it is, and hands it to the reader for that.
// gzip is unpacked, a byte order mark passed over.

import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { GZIP_MAGIC_BYTES, isGzip } from '../lib/packed-file.ts';
import { isEventsObject } from './events-object.ts';
import type { InputRecords } from './input-record.ts';
import { readJsonArray } from './read-json-array.ts';
import { readJsonLines } from './read-json-lines.ts';

/**
 * `array`: one JSON array, or an object whose member `events` is one. `auto`: that, when the input begins with `[` or, in
 * its first 64 KiB, with such an object; JSON lines otherwise.
 */
export type InputFormat = 'auto' | 'jsonl' | 'array';

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const OPEN_BRACKET = 0x5b;
const OPEN_BRACE = 0x7b;
const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);
/** How much is unpacked at a time: fewer and larger steps than zlib takes by itself. */
const UNPACKED_BYTES = 128 * 1024;
/** How far into an object its member `events` is looked for. */
const PEEK_BYTES = 64 * 1024;

/**
 * Reads events from JSON lines, one JSON array or an object around one, gzipped or not, in constant memory.
 *
 * @param giveBack called with chunks that nobody looks at any more, of the source or other ones.
 * @throws whatever `source` throws; zlib's error when gzip is damaged or breaks off.
 */
export async function* readInput(
  source: AsyncIterable<Buffer>,
  format: InputFormat,
  giveBack: (chunk: Buffer) => void = () => {},
): InputRecords {
  const input = await unpack(peekable(source));
  const mark = await input.peek((head) => head.length >= BYTE_ORDER_MARK.length);
  if (mark.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK)) input.skip(BYTE_ORDER_MARK.length);
  yield* (await isOneDocument(input, format)) ? readJsonArray(input) : readJsonLines(input, giveBack);
}

async function isOneDocument(input: Peekable, format: InputFormat): Promise<boolean> {
  if (format !== 'auto') return format === 'array';
  const firstOf = (head: Buffer) => head.find((byte) => !SPACES.has(byte));
  const first = firstOf(await input.peek((head) => firstOf(head) !== undefined));
  if (first !== OPEN_BRACE) return first === OPEN_BRACKET;
  // A producer that writes lines into a pipe is not waited for: the first whole line tells.
  let told: boolean | undefined;
  await input.peek((head) => {
    told = isEventsObject(head.toString('utf8', 0, PEEK_BYTES));
    return told !== undefined || head.length >= PEEK_BYTES;
  });
  return told === true;
}

/** Takes gzip off. Several members one behind the other are one input, as for gzip itself. */
async function unpack(input: Peekable): Promise<Peekable> {
  const head = await input.peek((bytes) => bytes.length >= GZIP_MAGIC_BYTES);
  if (!isGzip(head)) return input;
  const unpacked = createGunzip({ chunkSize: UNPACKED_BYTES });
  pipeline(input, unpacked).catch(() => {}); // whoever reads gets the error
  return peekable(unpacked);
}

interface Peekable extends AsyncIterable<Buffer> {
  /** What comes next, as much as it takes until `enough` says so or the input ends. It stays to be read. */
  peek(enough: (head: Buffer) => boolean): Promise<Buffer>;
  /** Drops bytes that were peeked at. */
  skip(bytes: number): void;
}

function peekable(source: AsyncIterable<Buffer>): Peekable {
  const chunks = source[Symbol.asyncIterator]();
  let head: Buffer = Buffer.alloc(0);
  return {
    async peek(enough) {
      while (!enough(head)) {
        const { done, value } = await chunks.next();
        if (done) break;
        head = Buffer.concat([head, value]);
      }
      return head;
    },
    skip(bytes) {
      head = head.subarray(bytes);
    },
    async *[Symbol.asyncIterator]() {
      if (head.length > 0) yield head;
      yield* { [Symbol.asyncIterator]: () => chunks };
    },
  };
}
