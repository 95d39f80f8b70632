// Looks for lines in the log file's directory when the journal's place no longer tells: files that were moved,
// compressed, truncated.

import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { LineSet } from './line-set.ts';
import { scanLines } from './scan-lines.ts';

/** Clocks step; a file that was last written so long before the batch cannot hold it. */
const SLACK_MS = 3_600_000;

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
 * Looks for lines in the directory's files, also compressed ones, until all are found; what they are found in is synced.
 *
 * @param writtenMs wall clock at which the first of them was rendered.
 */
export async function findInFiles(directory: string, wanted: LineSet, writtenMs: number): Promise<void> {
  for (const file of await regularFiles(directory)) {
    if (file.mtimeMs < writtenMs - SLACK_MS || wanted.missing === 0) continue;
    const before = wanted.missing;
    await scanLines(file.path, (bytes, start, end) => {
      wanted.find(bytes, start, end);
      return wanted.missing > 0;
    });
    if (wanted.missing < before) await syncFile(file.path);
  }
}

/**
 * Finds which of some lines stand in one of the directory's files.
 *
 * @param lines with their newlines.
 * @returns what tells of a line, by its index, whether it was found.
 */
export async function findLines(directory: string, lines: readonly Buffer[], writtenMs: number): Promise<LineSet> {
  const wanted = new LineSet(lines.length);
  for (const line of lines) wanted.add(line);
  await findInFiles(directory, wanted, writtenMs);
  return wanted;
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path);
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}
