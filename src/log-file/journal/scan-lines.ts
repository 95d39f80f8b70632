// Reads files of lines from their beginning, compressed ones too, in constant memory however long they are: a search
// after a crash may have to read gigabytes.

import { openRegular, scanBytes, tellPacked } from '../../lib/packed-file.ts';

const NEWLINE = 0x0a;
/** A line that is longer than this is no line of ours. */
const MAX_LINE_BYTES = 512 * 1024 * 1024;

/** Takes a line, newline included, as a part of a buffer that is used again; false ends the reading. */
export type OnLine = (bytes: Buffer, start: number, end: number) => boolean;

/** Reads the whole lines of a file; what is damaged (a gzip file still being written) or gone just ends it. */
export async function scanLines(path: string, onLine: OnLine): Promise<void> {
  const cutter = new LineCutter(onLine);
  try {
    for await (const chunk of scanBytes(await tellPacked(path, await openRegular(path)))) {
      if (!cutter.take(chunk)) return;
    }
  } catch {
    // What was readable has been looked at.
  }
}

/** Cuts rendered lines apart, each with its newline. */
export function splitLines(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(NEWLINE, start) + 1 || bytes.length;
    lines.push(bytes.subarray(start, end));
    start = end;
  }
  return lines;
}

class LineCutter {
  readonly #onLine: OnLine;
  /** Of a line whose end has not been read yet. */
  #begun: Buffer[] = [];
  #begunBytes = 0;

  constructor(onLine: OnLine) {
    this.#onLine = onLine;
  }

  /** @returns false when no more is wanted. */
  take(chunk: Buffer): boolean {
    let start = 0;
    if (this.#begunBytes > 0) {
      start = chunk.indexOf(NEWLINE) + 1;
      if (start === 0) return this.#keep(chunk);
      const line = Buffer.concat([...this.#begun, chunk.subarray(0, start)]);
      this.#begun = [];
      this.#begunBytes = 0;
      if (!this.#onLine(line, 0, line.length)) return false;
    }
    for (let end = chunk.indexOf(NEWLINE, start) + 1; end > 0; end = chunk.indexOf(NEWLINE, start) + 1) {
      if (!this.#onLine(chunk, start, end)) return false;
      start = end;
    }
    return start === chunk.length || this.#keep(chunk.subarray(start));
  }

  #keep(part: Buffer): boolean {
    this.#begun.push(Buffer.from(part));
    this.#begunBytes += part.length;
    return this.#begunBytes <= MAX_LINE_BYTES;
  }
}
