// Lines that went to a file long after its path was looked at, when it had been moved: we were stopped in between. A
// compressing that was under way may have missed them, and then the file is deleted with them. Only when it has stood for
// a while, or is gone, can be said whether they are safe (QUEUE A7.12).

import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LogFileHandle } from './handle.ts';
import { splitLines } from './journal/scan-lines.ts';
import { findLines } from './journal/search.ts';

/** A moved file may be compressed after a second (SPEC 4): what is written this long after a look is late. */
export const LATE_MS = 500;
/** A compressing that had read past a line has deleted the file by then. */
const STANDS_MS = 10_000;
const LOOK_INTERVAL_MS = 250;

export class LateLines {
  readonly path: string;
  /** With their newlines. */
  readonly lines: readonly Buffer[];
  readonly ids: readonly string[];
  readonly lastTimeUs: number;
  /** The intent that they belong to; null without a journal. */
  readonly seq: number | null;
  readonly #handle: LogFileHandle;
  readonly #sinceMs = performance.now();

  constructor(options: {
    readonly handle: LogFileHandle;
    readonly bytes: Buffer;
    readonly ids: readonly string[];
    readonly lastTimeUs: number;
    readonly seq: number | null;
  }) {
    this.path = options.handle.path;
    this.lines = splitLines(options.bytes);
    this.ids = options.ids;
    this.lastTimeUs = options.lastTimeUs;
    this.seq = options.seq;
    this.#handle = options.handle;
  }

  /**
   * Waits until it can be said, ten seconds at most.
   *
   * @returns indexes of those that stand in no file any more.
   * @throws the signal's reason, and errors of the file system.
   */
  async missing(signal?: AbortSignal): Promise<readonly number[]> {
    if (await stands(() => this.#handle.links(), this.#sinceMs, signal)) return [];
    const found = await findLines(dirname(this.path), this.lines, this.lastTimeUs / 1_000);
    return this.lines.flatMap((_line, at) => (found.has(at) ? [] : [at]));
  }

  /** Closes the file; safe to call twice. */
  close(): Promise<void> {
    return this.#handle.close();
  }
}

/**
 * Waits until a moved file has stood for ten seconds since something was written to it, or is gone.
 *
 * @param links how many names it has.
 * @returns false when it is gone.
 */
export async function stands(links: () => Promise<number>, sinceMs: number, signal?: AbortSignal): Promise<boolean> {
  while ((await links()) > 0) {
    if (performance.now() - sinceMs > STANDS_MS) return true;
    await sleep(LOOK_INTERVAL_MS, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
  }
  return false;
}
