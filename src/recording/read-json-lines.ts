// Reads JSON lines for recording: one record a line with its number, blank lines skipped. Constant memory: a line of
// more than MAX_EVENT_BYTES is cut while it is read and handed on as a problem. Bytes that are not UTF-8 become U+FFFD.

import { pipeline } from 'node:stream/promises';
import split from 'split2';
import { EXCERPT_LENGTH, type InputRecord, MAX_EVENT_BYTES, TOO_LONG } from './input-record.ts';

const LINE_FEED = 0x0a;

/**
 * Yields a record for each line that is not blank.
 *
 * @throws whatever `source` throws.
 */
export async function* readJsonLines(source: AsyncIterable<Buffer>): AsyncGenerator<InputRecord> {
  const cut = new Set<number>();
  const lines = split('\n');
  const feeding = pipeline(cutLongLines(source, cut), lines);
  feeding.catch(() => {}); // its error ends the loop below, which throws it
  let line = 0;
  for await (const text of lines as AsyncIterable<string>) {
    line += 1;
    if (cut.delete(line) || text.length > MAX_EVENT_BYTES) {
      yield { line, text: text.slice(0, EXCERPT_LENGTH), problem: TOO_LONG };
    } else if (text.trim() !== '') {
      yield { line, text };
    }
  }
  await feeding;
}

/**
 * Passes on what ends with a line feed; split2 alone would look through a long line again with every chunk of it.
 * Drops the bytes of a line beyond the limit, and notes the number of each line it cut in `cut`.
 */
async function* cutLongLines(chunks: AsyncIterable<Buffer>, cut: Set<number>): AsyncGenerator<Buffer> {
  let line = 1;
  let held: Buffer[] = [];
  let heldBytes = 0;
  for await (const chunk of chunks) {
    const firstFeed = chunk.indexOf(LINE_FEED);
    const lineEnd = firstFeed < 0 ? chunk.length : firstFeed;
    const kept = chunk.subarray(0, Math.min(lineEnd, MAX_EVENT_BYTES - heldBytes));
    if (kept.length < lineEnd) cut.add(line);
    held.push(kept);
    heldBytes += kept.length;
    if (firstFeed < 0) continue;

    const lastFeed = chunk.lastIndexOf(LINE_FEED);
    yield Buffer.concat([...held, chunk.subarray(firstFeed, lastFeed + 1)]);
    for (let at = firstFeed; at >= 0; at = chunk.indexOf(LINE_FEED, at + 1)) line += 1;
    held = [chunk.subarray(lastFeed + 1)];
    heldBytes = chunk.length - lastFeed - 1;
  }
  yield Buffer.concat(held);
}
