// Reads a log file line by line from a place in it, in constant memory: the lines of a chunk at a time, since what costs
// is a turn of the event loop and not a line. split2 takes them apart.

import split from 'split2';

const LINE_FEED = 0x0a;
const LINE_END = Buffer.from('\n');
/** A longer line is said to be bad and not held in memory: a row of 16 MiB has at most a few times that. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

/** A place between two lines of a file. */
export interface Mark {
  /** Lines before it. */
  readonly line: number;
  /** Bytes before it, unpacked. */
  readonly offset: number;
}

/** Some lines, one behind the other. */
export interface Lines {
  /** Where the first of them begins. */
  readonly mark: Mark;
  /** Without their line feeds; null = longer than MAX_LINE_BYTES. */
  readonly texts: readonly (string | null)[];
  /** The last of them has no line feed: the file breaks off, or is being written. */
  readonly isCut: boolean;
}

export const BEGINNING: Mark = { line: 0, offset: 0 };

/**
 * Yields the lines of a file.
 *
 * @param chunks its bytes from the beginning.
 * @param from a place that was a `mark` before.
 * @param endBytes reads no further; null = to the end.
 * @throws whatever `chunks` throws.
 */
export async function* readLines(
  chunks: AsyncIterable<Buffer>,
  from: Mark,
  endBytes: number | null,
): AsyncGenerator<Lines> {
  // Written to and read from in one go, so that all lines of a chunk are there at once.
  const splitter = split('\n');
  let mark = from;
  for await (const { bytes, isLong, isCut } of wholeLines(within(chunks, from.offset, endBytes ?? Infinity))) {
    const texts: (string | null)[] = [];
    if (isLong) texts.push(null);
    else {
      splitter.write(isCut ? Buffer.concat([bytes, LINE_END]) : bytes);
      for (let text: string | null = splitter.read(); text !== null; text = splitter.read()) texts.push(text);
    }
    yield { mark, texts, isCut };
    mark = { line: mark.line + texts.length, offset: mark.offset + (isLong ? isLong.bytes : bytes.length) };
  }
}

interface Piece {
  readonly bytes: Buffer;
  /** One line that is too long, and of which nothing is kept. */
  readonly isLong: { readonly bytes: number } | null;
  readonly isCut: boolean;
}

/** Cuts chunks behind their last line feed. */
async function* wholeLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Piece> {
  let held: Buffer[] = [];
  let heldBytes = 0;
  const hold = (bytes: Buffer): void => {
    heldBytes += bytes.length;
    if (heldBytes > MAX_LINE_BYTES) held = [];
    else if (bytes.length > 0) held.push(bytes);
  };
  const release = (isCut: boolean): Piece => {
    const isLong = heldBytes > MAX_LINE_BYTES ? { bytes: heldBytes } : null;
    const piece = { bytes: Buffer.concat(held), isLong, isCut };
    held = [];
    heldBytes = 0;
    return piece;
  };
  for await (const chunk of chunks) {
    let start = 0;
    if (heldBytes > 0) {
      const end = chunk.indexOf(LINE_FEED) + 1;
      hold(end === 0 ? chunk : chunk.subarray(0, end));
      if (end === 0) continue;
      yield release(false);
      start = end;
    }
    const end = chunk.lastIndexOf(LINE_FEED) + 1;
    if (end > start) yield { bytes: chunk.subarray(start, end), isLong: null, isCut: false };
    hold(chunk.subarray(Math.max(start, end)));
  }
  if (heldBytes > 0) yield release(true);
}

/** The bytes from one offset to another. */
async function* within(chunks: AsyncIterable<Buffer>, from: number, end: number): AsyncGenerator<Buffer> {
  let at = 0;
  for await (const chunk of chunks) {
    const part = chunk.subarray(Math.max(0, from - at), Math.max(0, end - at));
    if (part.length > 0) yield part;
    at += chunk.length;
    if (at >= end) return;
  }
}
