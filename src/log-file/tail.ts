// Reads the end of a log file that was there before us: whether our first line would be glued to a torn one, and which
// stamp the last line bears. Constant memory, whatever the size of the file or of its last line.

import type { FileHandle } from 'node:fs/promises';
import { LINE_START, STAMP_BYTES, stampAt } from './stamp.ts';

const BLOCK_BYTES = 64 * 1024;
/** Farther back the stamp is not looked for: no line of ours is longer than this. */
const SEARCHED_BYTES = 128 * 1024 * 1024;
const NEWLINE = 0x0a;

/** Whether the `size` bytes of the file end with a whole line; an empty file does. */
export async function endsWithNewline(file: FileHandle, size: number): Promise<boolean> {
  if (size === 0) return true;
  const { bytesRead, buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  return bytesRead === 1 && buffer[0] === NEWLINE;
}

/** The last `time_written_to_logfile` in the file, in microseconds since the epoch; null when there is none near its end. */
export async function lastLineTimeUs(file: FileHandle, size: number): Promise<number | null> {
  // Blocks overlap by what a match may span, so that none is cut in two.
  const overlap = LINE_START.length + STAMP_BYTES;
  const block = Buffer.alloc(BLOCK_BYTES + overlap);
  const searchedFrom = Math.max(0, size - SEARCHED_BYTES);
  for (let end = size; end > searchedFrom; end -= BLOCK_BYTES) {
    const start = Math.max(0, end - BLOCK_BYTES);
    const { bytesRead } = await file.read(block, 0, Math.min(end + overlap, size) - start, start);
    const timeUs = lastStampIn(block.subarray(0, bytesRead), start === 0);
    if (timeUs !== null) return timeUs;
  }
  return null;
}

function lastStampIn(bytes: Buffer, fromFileStart: boolean): number | null {
  for (let at = bytes.lastIndexOf(LINE_START); at >= 0; at = at === 0 ? -1 : bytes.lastIndexOf(LINE_START, at - 1)) {
    const timeUs = stampAt(bytes, at + LINE_START.length);
    if (timeUs !== null) return timeUs;
  }
  const first = LINE_START.subarray(1);
  return fromFileStart && bytes.subarray(0, first.length).equals(first) ? stampAt(bytes, first.length) : null;
}
