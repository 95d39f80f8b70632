// After a crash: finishes what the journal says was begun. Redoes, never undoes, since a tailer may have read the bytes.
// Idempotent: a crash in the middle of it leaves what the next start can finish in the same way.
//
//   the file is in its place    what is there is written once more, what is torn or absent is added, in place; unless
//                               it is empty and the lines stand in another one: it was copied and truncated
//   it was moved                never written to; whole lines count, missing ones go to the file in its place now
//   otherwise                   every file of the directory is searched for the lines, missing ones likewise
//   nothing is found            a duplicate rather than a loss: all lines are appended, with an alarm
//
// Lines of settled events were on disk before they were routed: whoever removed them since has them not written again.

import { constants } from 'node:fs';
import { type FileHandle, lstat, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../../lib/errors.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Lines } from '../appender.ts';
import { syncDirectory } from '../directory.ts';
import { fingerprintAt, isSameFingerprint } from './fingerprint.ts';
import type { LoadedIntent } from './load.ts';
import { findLines, regularFiles, splitLines } from './search.ts';

const COMPARED_BYTES = 256 * 1024;
const SAFELY = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
/** Nothing is there that could be our file; any other error ends by itself or with the operator's help. */
const NOT_OURS = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENXIO']);

export interface RecoveryOptions {
  /** Ids of events in the queue that are not settled. */
  readonly unsettled: ReadonlySet<string>;
  /** Appends lines durably to the file at their path, through a journal that notes which intent they replace. */
  readonly append: (lines: Lines) => Promise<void>;
  readonly log: Logger;
}

interface Line {
  readonly id: string;
  readonly bytes: Buffer;
}

/** What of an intent has to be looked for, or written again. */
interface Missing {
  readonly intent: LoadedIntent;
  readonly lines: readonly Line[];
}

/** Brings the lines of intents into the log files. @throws errors of the file system; to be called again. */
export async function recover(intents: readonly LoadedIntent[], options: RecoveryOptions): Promise<void> {
  if (intents.length === 0) return;
  const away: LoadedIntent[] = [];
  for (const [path, some] of groupBy(intents, ({ place }) => place.path))
    away.push(...(await redoInPlace(path, some, options)));
  const lost: Missing[] = [];
  const missing: Missing[] = [];
  for (const intent of away.filter(({ ids }) => ids.some((id) => options.unsettled.has(id)))) {
    const lines = (await linesOf(intent)).filter(({ id }) => options.unsettled.has(id));
    const rest = await notInMovedFile(intent, lines, options.log);
    if (rest === null) lost.push({ intent, lines });
    else missing.push({ intent, lines: rest });
  }
  missing.push(...(await search(lost, options.log)));
  missing.sort((a, b) => a.intent.seq - b.intent.seq);
  for (const each of missing) await append(each, options);
  options.log.info(
    { lines: count(intents, ({ ids }) => ids), written_again: count(missing, ({ lines }) => lines) },
    'journal recovered: every line of it is in the log file',
  );
}

/**
 * Finishes those intents whose file is the one at the path.
 *
 * @returns the others.
 */
async function redoInPlace(
  path: string,
  intents: readonly LoadedIntent[],
  options: RecoveryOptions,
): Promise<readonly LoadedIntent[]> {
  const file = await openUnlessForeign(path, constants.O_RDWR);
  if (file === null) return intents;
  try {
    const away: LoadedIntent[] = [];
    // In order: where one ends the next begins.
    for (const intent of intents) if (!(await redo(file, intent, options))) away.push(intent);
    await file.datasync();
    await syncDirectory(dirname(path));
    const { ino } = await file.stat({ bigint: true });
    const now = await lstat(path, { bigint: true }).catch(() => null);
    return now?.ino === ino ? away : intents; // moved or deleted meanwhile: looked for there
  } finally {
    await file.close();
  }
}

/**
 * Writes the bytes at their place, unless it holds anything else. Also bytes that are there: after a failed sync the
 * kernel shows what the disk may not have.
 */
async function redo(file: FileHandle, intent: LoadedIntent, { unsettled }: RecoveryOptions): Promise<boolean> {
  if (!(await isFileOf(file, intent))) return false;
  const { path, offset } = intent.place;
  const bytes = (await intent.read()).subarray(intent.from);
  const { equal, size } = await compare(file, bytes, offset);
  if (equal < bytes.length && offset + equal < size) return false;
  if (equal === 0 && !intent.ids.some((id) => unsettled.has(id))) return true;
  if (size === 0 && (await findLines(dirname(path), splitLines(bytes), intent.lastTimeUs / 1_000)).size > 0)
    return false;
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
  }
  return true;
}

/** The lines that do not stand whole in the file that left the path; null when there is no such file. */
async function notInMovedFile(
  intent: LoadedIntent,
  lines: readonly Line[],
  log: Logger,
): Promise<readonly Line[] | null> {
  for (const { path, inode } of await regularFiles(dirname(intent.place.path))) {
    if (inode !== intent.place.inode || path === intent.place.path) continue;
    const file = await openUnlessForeign(path, constants.O_RDONLY);
    if (file === null) continue;
    try {
      if (!(await isFileOf(file, intent))) continue;
      const bytes = (await intent.read()).subarray(intent.from);
      const { equal, size } = await compare(file, bytes, intent.place.offset);
      if (equal < bytes.length && intent.place.offset + equal < size) continue;
      if (size === 0) {
        // It tells nothing: its inode may be that of the file, which was compressed, used again.
        const texts = lines.map((line) => line.bytes);
        const found = await findLines(dirname(path), texts, intent.lastTimeUs / 1_000);
        return lines.filter((_, at) => !found.has(at));
      }
      await file.datasync();
      const whole = equal === 0 ? 0 : bytes.lastIndexOf('\n', equal - 1) + 1;
      if (whole < equal) {
        log.error(
          { path, bytes: equal - whole },
          'the last line of a moved log file is torn; it is written whole to the new file',
        );
      }
      const rest = new Set(splitLines(bytes.subarray(whole)).map(textOf));
      return lines.filter((line) => rest.has(textOf(line.bytes)));
    } finally {
      await file.close();
    }
  }
  return null;
}

/** Looks for lines in all files beside theirs. @returns what is found nowhere. */
async function search(lost: readonly Missing[], log: Logger): Promise<Missing[]> {
  const missing: Missing[] = [];
  for (const [directory, some] of groupBy(lost, ({ intent }) => dirname(intent.place.path))) {
    const all = some.flatMap(({ lines }) => lines.map(({ bytes }) => bytes));
    const earliestMs = Math.min(...some.map(({ intent }) => intent.lastTimeUs)) / 1_000;
    const found = await findLines(directory, all, earliestMs);
    let at = 0;
    for (const { intent, lines } of some) {
      const from = at;
      at += lines.length;
      missing.push({ intent, lines: lines.filter((_, index) => !found.has(from + index)) });
    }
    if (found.size === all.length) continue;
    const { path } = some[0]?.intent.place ?? { path: directory };
    if (found.size === 0) {
      log.error(
        { path, lines: all.length },
        'the log file that lines were going to is gone; they are written again, and may stand in it too',
      );
    } else {
      log.error(
        { path, found: found.size, missing: all.length - found.size },
        'lines are missing from a log file that was changed by others; they are written again',
      );
    }
  }
  return missing;
}

async function append({ intent, lines }: Missing, options: RecoveryOptions): Promise<void> {
  if (lines.length === 0) return;
  await options.append({
    path: intent.place.path,
    bytes: Buffer.concat(lines.map(({ bytes }) => bytes)),
    ids: lines.map(({ id }) => id),
    lastTimeUs: intent.lastTimeUs,
    replaces: intent.seq,
  });
}

async function openUnlessForeign(path: string, access: number): Promise<FileHandle | null> {
  try {
    return await open(path, access | SAFELY);
  } catch (error) {
    if (NOT_OURS.has(codeOf(error) ?? '')) return null;
    throw error;
  }
}

/** Whether it is the file that the intent was going to: the inode, and the bytes before its place. */
async function isFileOf(file: FileHandle, { place }: LoadedIntent): Promise<boolean> {
  const stats = await file.stat({ bigint: true });
  if (!stats.isFile() || stats.ino !== place.inode || Number(stats.size) < place.offset) return false;
  return isSameFingerprint(await fingerprintAt(file, place.offset), place.before);
}

/** How many of the bytes stand at the offset, and the file's size. */
async function compare(
  file: FileHandle,
  bytes: Buffer,
  offset: number,
): Promise<{ readonly equal: number; readonly size: number }> {
  const size = Number((await file.stat({ bigint: true })).size);
  const found = Buffer.alloc(Math.min(COMPARED_BYTES, bytes.length));
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

/** The lines of an intent that were to go to its last place. */
async function linesOf(intent: LoadedIntent): Promise<readonly Line[]> {
  let end = 0;
  return splitLines(await intent.read()).flatMap((bytes, at) => {
    end += bytes.length;
    return end <= intent.from ? [] : [{ id: intent.ids[at] ?? '', bytes }];
  });
}

const textOf = (line: Buffer): string => line.toString('latin1');

const count = <T>(items: readonly T[], of: (item: T) => { readonly length: number }): number =>
  items.reduce((sum, item) => sum + of(item).length, 0);

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
