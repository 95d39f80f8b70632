// After a crash: finishes what the journal says was begun. Redoes, never undoes, since a tailer may have read the bytes.
// Idempotent: a crash in the middle of it leaves what the next start can finish in the same way.
//
//   the file is in its place    all there: done │ torn or absent: the rest is appended
//   it was moved                whole lines count, missing ones go to the file that is in its place now
//   otherwise                   every file of the directory is searched for the lines, missing ones likewise
//   nothing is found            a duplicate rather than a loss: all lines are appended, with an alarm

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../../lib/logger.ts';
import type { Lines } from '../appender.ts';
import { syncDirectory } from '../directory.ts';
import { fingerprintAt, isSameFingerprint } from './fingerprint.ts';
import type { LoadedIntent } from './load.ts';
import { findLines, regularFiles, splitLines } from './search.ts';

const NEWLINE = 0x0a;
const COMPARED_BYTES = 256 * 1024;
const FLAGS = constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;

export interface RecoveryOptions {
  /** Appends lines durably to the file at their path, through a journal that notes which intent they replace. */
  readonly append: (lines: Lines) => Promise<void>;
  readonly log: Logger;
}

/** Brings all unclosed intents into the log files. @throws errors of the file system; to be called again. */
export async function recover(intents: readonly LoadedIntent[], options: RecoveryOptions): Promise<void> {
  let lines = 0;
  let redone = 0;
  for (const intent of intents.filter(({ closed }) => !closed)) {
    redone += await recoverOne(intent, options);
    lines += intent.ids.length;
  }
  if (lines > 0) options.log.info({ lines, redone }, 'journal recovered: every line of it is in the log file');
}

/** @returns how many lines had to be written, whole or in part. */
async function recoverOne(intent: LoadedIntent, options: RecoveryOptions): Promise<number> {
  const bytes = (await intent.read()).subarray(intent.from);
  const { place } = intent;
  const directory = dirname(place.path);
  const inPlace = await openSame(place.path, intent);
  if (inPlace) {
    try {
      const { equal, size } = await compare(inPlace, bytes, place.offset);
      if (equal === bytes.length) return sync(inPlace, directory);
      if (place.offset + equal === size) return await finish(inPlace, bytes.subarray(equal), directory);
    } finally {
      await inPlace.close();
    }
    return search(intent, bytes, options);
  }
  for (const { path, inode } of await regularFiles(directory)) {
    if (inode !== place.inode) continue;
    const moved = await openSame(path, intent);
    if (!moved) continue;
    try {
      const { equal, size } = await compare(moved, bytes, place.offset);
      if (equal === bytes.length) return sync(moved, directory);
      if (place.offset + equal !== size) break;
      await moved.datasync();
      const whole = equal === 0 ? 0 : bytes.lastIndexOf(NEWLINE, equal - 1) + 1;
      if (whole < equal) {
        options.log.error(
          { path, bytes: equal - whole },
          'the last line of a moved log file is torn; it is written whole to the new file',
        );
      }
      return await appendMissing(intent, splitLines(bytes.subarray(whole)), options);
    } finally {
      await moved.close();
    }
  }
  return search(intent, bytes, options);
}

/** Opens the file at the path if it is the one of the intent. */
async function openSame(path: string, { place }: LoadedIntent): Promise<FileHandle | null> {
  const file = await open(path, FLAGS).catch(() => null);
  if (!file) return null;
  const stats = await file.stat({ bigint: true });
  const same =
    stats.isFile() &&
    stats.ino === place.inode &&
    Number(stats.size) >= place.offset &&
    isSameFingerprint(await fingerprintAt(file, place.offset), place.before);
  if (same) return file;
  await file.close();
  return null;
}

/** How many of the bytes stand at the offset, and the file's size. */
async function compare(
  file: FileHandle,
  bytes: Buffer,
  offset: number,
): Promise<{ readonly equal: number; readonly size: number }> {
  const size = Number((await file.stat({ bigint: true })).size);
  const found = Buffer.alloc(COMPARED_BYTES);
  let equal = 0;
  while (equal < bytes.length) {
    const { bytesRead } = await file.read(found, 0, Math.min(found.length, bytes.length - equal), offset + equal);
    if (bytesRead === 0) break;
    const same = commonPrefix(found.subarray(0, bytesRead), bytes.subarray(equal, equal + bytesRead));
    equal += same;
    if (same < bytesRead) break;
  }
  return { equal, size };
}

function commonPrefix(a: Buffer, b: Buffer): number {
  if (a.equals(b)) return a.length;
  let at = 0;
  while (a[at] === b[at]) at += 1;
  return at;
}

async function sync(file: FileHandle, directory: string): Promise<number> {
  await file.datasync();
  await syncDirectory(directory);
  return 0;
}

/** Appends what is missing at the end of the file in place. */
async function finish(file: FileHandle, rest: Buffer, directory: string): Promise<number> {
  for (let done = 0; done < rest.length; ) done += (await file.write(rest, done)).bytesWritten;
  await sync(file, directory);
  return splitLines(rest).length;
}

async function search(intent: LoadedIntent, bytes: Buffer, options: RecoveryOptions): Promise<number> {
  const lines = splitLines(bytes);
  const { path } = intent.place;
  const found = await findLines(dirname(path), lines, intent.lastTimeUs / 1_000);
  const missing = lines.filter((_, at) => !found.has(at));
  if (found.size === 0) {
    options.log.error(
      { path, lines: missing.length },
      'the log file that lines were going to is gone; they are written again, and may stand in it too',
    );
  } else if (missing.length > 0) {
    options.log.error(
      { path, found: found.size, missing: missing.length },
      'lines are missing from a log file that was changed by others; they are written again',
    );
  }
  return appendMissing(intent, missing, options);
}

async function appendMissing(
  intent: LoadedIntent,
  missing: readonly Buffer[],
  { append }: RecoveryOptions,
): Promise<number> {
  if (missing.length === 0) return 0;
  const ids = new Map(
    splitLines(await intent.read()).map((line, at) => [line.toString('latin1'), intent.ids[at] ?? '']),
  );
  await append({
    path: intent.place.path,
    bytes: Buffer.concat(missing),
    ids: missing.map((line) => ids.get(line.toString('latin1')) ?? ''),
    lastTimeUs: intent.lastTimeUs,
    replaces: intent.seq,
  });
  return missing.length;
}
