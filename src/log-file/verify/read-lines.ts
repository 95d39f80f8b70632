// Reads a log file as blocks of whole lines, in constant memory: a line that is longer than any of ours is told, not
// kept. The last line of a file that is written right now may be halfway there; then the rest of it is waited for.

import { setTimeout as sleep } from 'node:timers/promises';
import { readBehind, scanWritten, type WrittenFile } from '../written-files.ts';

const NEWLINE = 0x0a;
/** No line of ours is longer: the same bound as of the search for a file's last stamp (tail.ts). */
const MOST_LINE_BYTES = 128 * 1024 * 1024;
/** A writer that has begun a line ends it in milliseconds, unless it was killed or the disk is full. */
const UNFINISHED_MS = 2_000;
const LOOK_MS = 50;

export interface LineVisitor {
  /** Whole lines, each with its line feed. */
  lines(block: Buffer): void;
  /** A line of more than 128 MiB. */
  tooLong(bytes: number): void;
  /** What stands at the end of the file without a line feed. */
  rest(bytes: Buffer): void;
}

/**
 * Reads a log file to its end.
 *
 * @throws {TailraceError} those of `scanWritten`, when what can be read has been told; but not the rest then.
 */
export async function readLines(
  file: WrittenFile,
  visitor: LineVisitor,
  mostLineBytes = MOST_LINE_BYTES,
): Promise<void> {
  const cutter = new BlockCutter(visitor, mostLineBytes);
  let position = 0;
  for await (const chunk of scanWritten(file)) {
    position += chunk.length;
    cutter.take(chunk);
  }
  for (const deadline = Date.now() + UNFINISHED_MS; cutter.begunBytes > 0 && Date.now() < deadline; ) {
    const more = await readBehind(file, position);
    if (more === null) break;
    // What comes behind that line is none of ours: the file may grow as fast as we read.
    const end = more.indexOf(NEWLINE) + 1 || more.length;
    position += end;
    cutter.take(more.subarray(0, end));
    if (cutter.begunBytes > 0) await sleep(LOOK_MS);
  }
  cutter.end();
}

class BlockCutter {
  readonly #visitor: LineVisitor;
  readonly #mostLineBytes: number;
  /** Of a line whose end has not been read yet; empty when it is too long to be kept. */
  #begun: Buffer[] = [];
  #begunBytes = 0;

  constructor(visitor: LineVisitor, mostLineBytes: number) {
    this.#visitor = visitor;
    this.#mostLineBytes = mostLineBytes;
  }

  get begunBytes(): number {
    return this.#begunBytes;
  }

  take(chunk: Buffer): void {
    let start = 0;
    if (this.#begunBytes > 0) {
      start = chunk.indexOf(NEWLINE) + 1;
      this.#keep(start === 0 ? chunk : chunk.subarray(0, start));
      if (start === 0) return;
      this.#finish((line) => this.#visitor.lines(line));
    }
    const end = chunk.lastIndexOf(NEWLINE) + 1;
    if (end > start) this.#visitor.lines(chunk.subarray(start, end));
    if (end < chunk.length) this.#keep(chunk.subarray(Math.max(start, end)));
  }

  end(): void {
    if (this.#begunBytes > 0) this.#finish((rest) => this.#visitor.rest(rest));
  }

  #keep(part: Buffer): void {
    this.#begunBytes += part.length;
    if (this.#begunBytes > this.#mostLineBytes) this.#begun = [];
    else this.#begun.push(Buffer.from(part)); // the memory of a chunk is used again
  }

  #finish(tell: (bytes: Buffer) => void): void {
    const bytes = this.#begunBytes;
    const begun = this.#begun;
    this.#begun = [];
    this.#begunBytes = 0;
    if (bytes > this.#mostLineBytes) this.#visitor.tooLong(bytes);
    else tell(Buffer.concat(begun));
  }
}
