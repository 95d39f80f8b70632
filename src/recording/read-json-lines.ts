// Reads JSON lines for recording: one record a line with its number, blank lines skipped. Constant memory: a line of
// more than MAX_EVENT_BYTES is cut while it is read and handed on as a problem. Bytes that are not UTF-8 become U+FFFD.
// Lines are found among bytes and stay bytes: decoding them all would cost more than checking their events.

import { isUtf8 } from 'node:buffer';
import { EXCERPT_LENGTH, type InputRecord, LineRecord, MAX_EVENT_BYTES, TOO_LONG } from './input-record.ts';
import { SharedBytes } from './shared-bytes.ts';

const LINE_FEED = 0x0a;
const LINE_END = Buffer.from('\n');
const OPEN_BRACE = 0x7b;
/** UTF-8 takes at most that many for one or two UTF-16 units. */
const MAX_BYTES_PER_CHARACTER = 4;

/** Whole lines, each with its line feed. */
interface Lines {
  readonly bytes: Buffer;
  /** The first line was longer than the limit and is cut. */
  readonly isCut: boolean;
  /** The last line of the input, which has no line feed of its own. */
  readonly isLast: boolean;
}

/**
 * Yields records for the lines that are not blank, those of a chunk at a time.
 *
 * @param giveBack called with a chunk when all who were handed lines of it have let go of them.
 * @throws whatever `source` throws.
 */
export async function* readJsonLines(
  source: AsyncIterable<Buffer>,
  giveBack: (chunk: Buffer) => void,
): AsyncGenerator<InputRecord[]> {
  let line = 0;
  for await (const { bytes, isCut, isLast } of wholeLines(source)) {
    const records: InputRecord[] = [];
    const shared = new SharedBytes(bytes, giveBack);
    const isAllUtf8 = isUtf8(bytes);
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end >= 0; end = bytes.indexOf(LINE_FEED, start)) {
      line += 1;
      if ((isCut && start === 0) || end - start > MAX_EVENT_BYTES) {
        const excerpt = bytes.toString('utf8', start, start + EXCERPT_LENGTH * MAX_BYTES_PER_CHARACTER);
        records.push({ line, text: excerpt.slice(0, EXCERPT_LENGTH), problem: TOO_LONG });
      } else if (isLast || !(isAllUtf8 || isUtf8(bytes.subarray(start, end)))) {
        const text = bytes.toString('utf8', start, end);
        if (text.trim() !== '') records.push(isLast ? { line, text, isLast } : { line, text });
      } else {
        const record = new LineRecord(line, shared, start, end);
        if (bytes[start] === OPEN_BRACE || record.text.trim() !== '') records.push(record);
        else record.letGo();
      }
      start = end + 1;
    }
    shared.letGo();
    if (records.length > 0) yield records;
  }
}

/** Passes on what ends with a line feed; drops the bytes of a line beyond the limit. */
async function* wholeLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Lines> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let isCut = false;
  for await (const chunk of chunks) {
    const firstFeed = chunk.indexOf(LINE_FEED);
    const lineEnd = firstFeed < 0 ? chunk.length : firstFeed;
    const kept = chunk.subarray(0, Math.min(lineEnd, MAX_EVENT_BYTES - heldBytes));
    isCut ||= kept.length < lineEnd;
    held.push(kept);
    heldBytes += kept.length;
    if (firstFeed < 0) continue;

    const lastFeed = chunk.lastIndexOf(LINE_FEED);
    const first = { bytes: Buffer.concat([...held, LINE_END]), isCut, isLast: false };
    held = [Buffer.from(chunk.subarray(lastFeed + 1))]; // copied: the chunk is used again
    heldBytes = chunk.length - lastFeed - 1;
    isCut = false;
    yield first;
    if (lastFeed > firstFeed) yield { bytes: chunk.subarray(firstFeed + 1, lastFeed + 1), isCut, isLast: false };
  }
  if (heldBytes > 0) yield { bytes: Buffer.concat([...held, LINE_END]), isCut, isLast: true };
}
