// Reads JSON lines for recording: one record a line with its number, blank lines skipped. Constant memory: a line of
// more than MAX_EVENT_BYTES is cut while it is read and handed on as a problem. Bytes that are not UTF-8 become U+FFFD.
// What is good UTF-8 stays bytes: decoding it all would cost more than checking its events. split2 has the rest.

import { isUtf8 } from 'node:buffer';
import split from 'split2';
import { EXCERPT_LENGTH, type InputRecord, LineRecord, MAX_EVENT_BYTES, TOO_LONG } from './input-record.ts';
import { SharedBytes } from './shared-bytes.ts';

const LINE_FEED = 0x0a;
const LINE_END = Buffer.from('\n');
const OPEN_BRACE = 0x7b;

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
  // Written to and read from in one go: all lines of a chunk are there at once, without a turn of the event loop for each.
  const lines = split('\n');
  let line = 0;
  for await (const { bytes, isCut, isLast } of wholeLines(source)) {
    const firstLine = line + 1;
    const records: InputRecord[] = [];
    if (!isCut && !isLast && isUtf8(bytes)) {
      const shared = new SharedBytes(bytes, giveBack);
      for (let start = 0; start < bytes.length; ) {
        const end = bytes.indexOf(LINE_FEED, start);
        line += 1;
        if (end - start > MAX_EVENT_BYTES) records.push(tooLong(line, bytes.toString('utf8', start, end)));
        else if (bytes[start] === OPEN_BRACE || !isBlank(bytes.toString('utf8', start, end))) {
          records.push(new LineRecord(line, shared, start, end));
        }
        start = end + 1;
      }
      shared.letGo();
    } else {
      lines.write(bytes);
      for (let text: string | null = lines.read(); text !== null; text = lines.read()) {
        line += 1;
        if ((isCut && line === firstLine) || text.length > MAX_EVENT_BYTES) records.push(tooLong(line, text));
        else if (!isBlank(text)) records.push(isLast ? { line, text, isLast } : { line, text });
      }
    }
    if (records.length > 0) yield records;
  }
}

const isBlank = (text: string): boolean => text.trim() === '';

const tooLong = (line: number, text: string): InputRecord => ({
  line,
  text: text.slice(0, EXCERPT_LENGTH),
  problem: TOO_LONG,
});

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
