// Lines on their way into a file: how far they have come, and what of them is safe when the file is given up.

import { dirname } from 'node:path';
import type { LogFileHandle } from './handle.ts';
import type { LogPlace } from './journal/intent.ts';
import { splitLines } from './journal/scan-lines.ts';
import { findLines } from './journal/search.ts';
import { LateLines } from './late-lines.ts';

const NEWLINE = 0x0a;

/** Whole lines for one file. */
export interface Lines {
  readonly path: string;
  readonly bytes: Buffer;
  readonly ids: readonly string[];
  readonly lastTimeUs: number;
  /** Recovery: the intent whose missing lines these are. */
  readonly replaces?: number;
}

/** How far the lines in hand have come. */
export interface Progress {
  readonly lines: Lines;
  /** The file that has bytes of them, null before the first and after a file was given up. */
  handle: LogFileHandle | null;
  /** Index in `bytes` of the first byte that belongs into `handle`; what is before is safe in an earlier file. */
  start: number;
  /** Index in `bytes` of the next byte to write. */
  written: number;
  /** Offset in the file of the byte at `start`. */
  offset: number;
  /** What the journal knows of them last. */
  intent: JournalledIntent | null;
  /** A sync failed: the kernel may have dropped what it still shows. */
  unproven: boolean;
  /** Bytes went to `handle` long after the look at its path, and it had left that by then. */
  late: boolean;
  /** Of earlier files too: whole lines that were written late. */
  readonly lates: LateLines[];
}

export interface JournalledIntent {
  readonly seq: number;
  readonly place: LogPlace;
  /** Index in `bytes` of the first byte that goes to `place`. */
  readonly from: number;
}

/** Nothing of the lines is written. */
export function begin(lines: Lines): Progress {
  return {
    lines,
    handle: null,
    start: 0,
    written: 0,
    offset: 0,
    intent: null,
    unproven: false,
    late: false,
    lates: [],
  };
}

/** What is before `start` is safe; all else is written from there on. */
export function restartAt(progress: Progress, start: number): void {
  progress.start = start;
  progress.written = start;
  progress.unproven = false;
  progress.late = false;
}

/** Whether a place is a file's end, as far as we know. */
export const isEndOf = ({ path, inode, size }: LogFileHandle, place: LogPlace): boolean =>
  place.path === path && place.inode === inode && place.offset === size;

/** Index in `bytes` at which the line begins that the next byte belongs to. */
export function lineStart({ lines, start, written }: Progress): number {
  return written === 0 ? 0 : Math.max(start, lines.bytes.lastIndexOf(NEWLINE, written - 1) + 1);
}

/**
 * Index in `bytes` behind the lines that stand in a file beside ours. One that was moved, compressed and deleted while we
 * synced has a copy of all that was written before: the link count alone does not say that they are gone.
 */
export async function endOfTaken({ lines, start, written }: Progress): Promise<number> {
  const ours = splitLines(lines.bytes.subarray(start, written));
  const found = await findLines(dirname(lines.path), ours, lines.lastTimeUs / 1_000);
  let end = start;
  for (let at = 0; found.has(at); at += 1) end += ours[at]?.length ?? 0;
  return end;
}

/** Takes note of the whole lines from `start` up to an index, which were written late: they own the file from here on. */
export function keepLate(progress: Progress, handle: LogFileHandle, end: number): void {
  const { lines, start, intent } = progress;
  const before = countLines(lines.bytes, 0, start);
  const count = countLines(lines.bytes, start, end);
  const ids = lines.ids.slice(before, before + count);
  const bytes = Buffer.from(lines.bytes.subarray(start, end));
  progress.lates.push(new LateLines({ handle, bytes, ids, lastTimeUs: lines.lastTimeUs, seq: intent?.seq ?? null }));
  progress.late = false;
}

function countLines(bytes: Buffer, start: number, end: number): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE, start); at >= 0 && at < end; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}
