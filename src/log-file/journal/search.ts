// Looks for the lines of a batch in the log file's directory when the journal's place no longer tells: files that were
// moved, compressed, truncated. A line is known by its stamp and then compared byte for byte.

import { createReadStream } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';

const NEWLINE = 0x0a;
const STAMP_PREFIX = '{"time_written_to_logfile":';
/** Longest stamp: 11 digits, a point, six digits. */
const STAMP_END = STAMP_PREFIX.length + 18;
/** Clocks step; a file that was last written so long before the batch cannot hold it. */
const SLACK_MS = 3_600_000;
/** A line that is longer than this is no line of ours. */
const MAX_LINE_BYTES = 512 * 1024 * 1024;

export interface Candidate {
  readonly path: string;
  readonly inode: bigint;
  readonly size: number;
  readonly mtimeMs: number;
}

/** The regular files of a directory, the newest first; hidden ones, ours among them, left out. */
export async function regularFiles(directory: string): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const name of await readdir(directory)) {
    if (name.startsWith('.')) continue;
    const path = join(directory, name);
    const stats = await lstat(path, { bigint: true }).catch(() => null);
    if (stats?.isFile())
      found.push({ path, inode: stats.ino, size: Number(stats.size), mtimeMs: Number(stats.mtimeMs) });
  }
  return found.sort((a, b) => b.mtimeMs - a.mtimeMs);
}

/**
 * Finds which of the lines stand in one of the directory's files, also compressed ones; what they are found in is synced.
 *
 * @param lines with their newlines.
 * @param writtenMs wall clock at which the first of them was rendered.
 * @returns indexes into `lines`.
 */
export async function findLines(directory: string, lines: readonly Buffer[], writtenMs: number): Promise<Set<number>> {
  const wanted = new Map<string, number>();
  for (const [at, line] of lines.entries()) wanted.set(stampOf(line), at);
  const found = new Set<number>();
  for (const file of await regularFiles(directory)) {
    if (file.mtimeMs < writtenMs - SLACK_MS || found.size === lines.length) continue;
    const before = found.size;
    for await (const line of linesIn(file.path)) {
      const at = wanted.get(stampOf(line));
      if (at !== undefined && lines[at]?.equals(line)) found.add(at);
    }
    if (found.size > before) await syncFile(file.path);
  }
  return found;
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path);
  try {
    await file.datasync();
  } finally {
    await file.close();
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

function stampOf(line: Buffer): string {
  const head = line.toString('latin1', 0, STAMP_END);
  return head.startsWith(STAMP_PREFIX) ? head.slice(STAMP_PREFIX.length).replace(/[^\d.].*$/s, '') : '';
}

/** The whole lines of a file, in constant memory; what is damaged (a gzip file still being written) just ends it. */
export async function* linesIn(path: string): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: 1024 * 1024 });
  const source = path.endsWith('.gz') ? file.pipe(createGunzip()) : file;
  file.on('error', (error) => source.destroy(error));
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      yield* splitLines(bytes.subarray(0, end));
      rest = bytes.subarray(end);
      if (rest.length > MAX_LINE_BYTES) return;
    }
  } catch {
    // Gone or damaged meanwhile: what was readable has been looked at.
  } finally {
    file.destroy();
  }
}
