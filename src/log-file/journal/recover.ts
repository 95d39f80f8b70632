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
// But where a file that is as we left it ends just before them, its disk has lost what it had confirmed (a write cache
// without power, a volume that went away during a sync), and they are written like the others.

import { constants } from 'node:fs';
import { type FileHandle, lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Logger } from '../../lib/logger.ts';
import { syncDirectory } from '../directory.ts';
import { stands } from '../late-lines.ts';
import type { Lines } from '../progress.ts';
import type { Ids } from './known-lines.ts';
import { createScratch, type LoadedIntent, type Scratch } from './load.ts';
import { findMissing, groupBy, type Missing, sayLostByDisk } from './missing.ts';
import { compare, isFileOf, openUnlessForeign } from './place.ts';
import { splitLines } from './scan-lines.ts';
import { findLines } from './search.ts';

export interface RecoveryOptions {
  /** Ids of events in the queue that are not settled. */
  readonly unsettled: Ids;
  /** Settled means that this journal's process had the lines in its file: nobody else has written to the queue since. */
  readonly settledHere: boolean;
  /** Appends lines durably to the file at their path, through a journal that notes which intent they replace. */
  readonly append: (lines: Lines) => Promise<void>;
  readonly log: Logger;
}

/** Brings the lines of unsettled intents into the log files. @throws errors of the file system; to be called again. */
export async function recover(unfinished: readonly LoadedIntent[], options: RecoveryOptions): Promise<void> {
  const replaced = unfinished.filter((each) => each.replaced);
  const intents = unfinished.filter((each) => !each.replaced);
  if (intents.length === 0) return;
  const away: LoadedIntent[] = [];
  for (const [path, some] of groupBy(intents, ({ place }) => place.path))
    away.push(...(await redoInPlace(path, some, options)));
  const missing = await findMissing(away, { ...options, replaced });
  const scratch = createScratch();
  for (const each of missing) await append(each, scratch, options);
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
    const scratch = createScratch();
    // In order: where one ends the next begins.
    for (const intent of intents) if (!(await redo(file, intent, scratch, options))) away.push(intent);
    await file.datasync();
    await syncDirectory(dirname(path));
    const { ino } = await file.stat({ bigint: true });
    const now = await lstat(path, { bigint: true }).catch(() => null);
    if (now?.ino === ino) return away;
    // Moved or deleted meanwhile: looked for there, once a compressing has had its time.
    const links = async (): Promise<number> => Number((await file.stat({ bigint: true })).nlink);
    await stands(links, performance.now());
    return intents;
  } finally {
    await file.close();
  }
}

/**
 * Writes the bytes at their place, unless it holds anything else. Also bytes that are there: after a failed sync the
 * kernel shows what the disk may not have.
 */
async function redo(
  file: FileHandle,
  intent: LoadedIntent,
  scratch: Scratch,
  { unsettled, settledHere, log }: RecoveryOptions,
): Promise<boolean> {
  if (!(await isFileOf(file, intent))) return false;
  const { path, offset } = intent.place;
  const bytes = (await intent.read(scratch)).subarray(intent.from);
  const { equal, size } = await compare(file, bytes, offset);
  if (equal < bytes.length && offset + equal < size) return false;
  if (equal === 0 && !intent.ids.some((id) => unsettled.has(id))) {
    if (!settledHere || !(intent.replaces || wasCutOff(size, offset))) return true;
    if (!intent.replaces) sayLostByDisk(log, path, intent.ids.length);
  }
  if (size === 0) {
    const lines = splitLines(bytes);
    if ((await findLines(dirname(path), lines, intent.lastTimeUs / 1_000)).missing < lines.length) return false;
  }
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
  }
  return true;
}

/** Whether a file ends where bytes of ours should begin. One without any bytes was emptied, which others may do on purpose. */
const wasCutOff = (size: number, offset: number): boolean => size === offset && offset > 0;

async function append({ intent, lines }: Missing, scratch: Scratch, options: RecoveryOptions): Promise<void> {
  if (lines.length === 0) return;
  const bytes = await intent.read(scratch);
  // All of it, most likely: a copy for each intent would be garbage by the hundred megabytes.
  const isWhole = lines.length === intent.ids.length;
  await options.append({
    path: intent.place.path,
    bytes: isWhole ? bytes : pick(splitLines(bytes), lines),
    ids: isWhole ? intent.ids : lines.map((at) => intent.ids[at] ?? ''),
    lastTimeUs: intent.lastTimeUs,
    replaces: intent.seq,
  });
}

const pick = (all: readonly Buffer[], lines: readonly number[]): Buffer =>
  Buffer.concat(lines.map((at) => all[at] ?? Buffer.alloc(0)));

const count = <T>(items: readonly T[], of: (item: T) => { readonly length: number }): number =>
  items.reduce((sum, item) => sum + of(item).length, 0);
