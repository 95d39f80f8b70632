// What of a journal's intents stands in no file: asked of the file that was moved, where it is still there as it was, and
// of everything beside it otherwise. Only fingerprints of the lines are kept meanwhile, since a journal may hold a
// quarter of a gigabyte of them.

import { constants } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from '../../lib/logger.ts';
import type { Ids } from './known-lines.ts';
import { LineSet } from './line-set.ts';
import { createScratch, type LoadedIntent, type Scratch } from './load.ts';
import { compare, isFileOf, openUnlessForeign } from './place.ts';
import { splitLines } from './scan-lines.ts';
import { findInFiles, regularFiles } from './search.ts';

/** Lines of an intent that have to be written again, by their indexes. */
export interface Missing {
  readonly intent: LoadedIntent;
  readonly lines: readonly number[];
}

interface Line {
  readonly at: number;
  readonly bytes: Buffer;
  /** Index of its end in the intent's bytes. */
  readonly end: number;
}

export interface FindOptions {
  /** Events in the queue that are not settled: lines of others are not missed. */
  readonly unsettled: Ids;
  /** As in `RecoveryOptions`: lines of others are missed, too, where the file that was moved is there and ends before them. */
  readonly settledHere: boolean;
  /** Intents whose missing lines stand in a later one: they tell where a moved file ends. */
  readonly replaced: readonly LoadedIntent[];
  readonly log: Logger;
}

/** Looks for the lines of intents whose file is not the one at its path. @returns what is missing, in their order. */
export async function findMissing(away: readonly LoadedIntent[], options: FindOptions): Promise<Missing[]> {
  const lost: LoadedIntent[] = [];
  const emptied: LoadedIntent[] = [];
  const scratch = createScratch();
  const missing: Missing[] = [];
  const { unsettled, settledHere, replaced, log } = options;
  /** A recovery that died while it wrote settled lines again goes on with them, wherever their file is. */
  const wantedOf = ({ replaces }: LoadedIntent): Ids | null => (settledHere && replaces ? null : unsettled);
  const isOpen = (intent: LoadedIntent): boolean =>
    wantedOf(intent) === null || intent.ids.some((id) => unsettled.has(id));
  /** Moved files that end among the bytes at an offset: what was to follow those is not there either. */
  const cutOff = new Map<bigint, number>();
  const isBehindCut = ({ place }: LoadedIntent): boolean => place.offset > (cutOff.get(place.inode) ?? place.offset);
  const noteCut = ({ place }: LoadedIntent): void => {
    cutOff.set(place.inode, Math.min(place.offset, cutOff.get(place.inode) ?? place.offset));
  };
  for (const intent of settledHere ? replaced : []) {
    const safe = await safeInMovedFile(intent, scratch, log);
    if (typeof safe === 'number' && safe < Number.POSITIVE_INFINITY) noteCut(intent);
  }
  for (const intent of away.filter((each) => settledHere || isOpen(each))) {
    const safe = isBehindCut(intent) ? intent.from : await safeInMovedFile(intent, scratch, log);
    if (typeof safe === 'number') {
      if (safe === Number.POSITIVE_INFINITY) continue;
      if (settledHere) noteCut(intent);
      const lines = (await linesOf(intent, scratch, settledHere ? null : unsettled)).filter(({ end }) => end > safe);
      missing.push({ intent, lines: lines.map(({ at }) => at) });
      const lost = lines.filter(({ at }) => !unsettled.has(intent.ids[at] ?? ''));
      if (lost.length > 0) sayLostByDisk(log, intent.place.path, lost.length);
    } else if (isOpen(intent)) (safe === 'gone' ? lost : emptied).push(intent);
  }
  for (const [directory, some] of groupBy(lost, ({ place }) => dirname(place.path))) {
    const { found, asked, some: rest } = await search(directory, some, wantedOf);
    missing.push(...rest);
    alarm(some[0]?.place.path ?? directory, found, asked, options.log);
  }
  // Most likely nothing was ever written, which needs no alarm.
  for (const [directory, some] of groupBy(emptied, ({ place }) => dirname(place.path))) {
    missing.push(...(await search(directory, some, wantedOf)).some);
  }
  return missing.sort((a, b) => a.intent.seq - b.intent.seq);
}

/**
 * How much of an intent's bytes stands as whole lines in the file that left the path.
 *
 * @returns infinity for all of it; `gone` when there is no such file; `empty` when it tells nothing, since its inode may be
 * that of the file, which was compressed, used again.
 */
async function safeInMovedFile(
  intent: LoadedIntent,
  scratch: Scratch,
  log: Logger,
): Promise<number | 'gone' | 'empty'> {
  for (const { path, inode } of await regularFiles(dirname(intent.place.path))) {
    if (inode !== intent.place.inode || path === intent.place.path) continue;
    const file = await openUnlessForeign(path, constants.O_RDONLY);
    if (file === null) continue;
    try {
      if (!(await isFileOf(file, intent))) continue;
      const bytes = (await intent.read(scratch)).subarray(intent.from);
      const { equal, size } = await compare(file, bytes, intent.place.offset);
      if (equal < bytes.length && intent.place.offset + equal < size) continue;
      if (size === 0) return 'empty';
      await file.datasync();
      if (equal === bytes.length) return Number.POSITIVE_INFINITY;
      const whole = equal === 0 ? 0 : bytes.lastIndexOf('\n', equal - 1) + 1;
      if (whole < equal) {
        log.error(
          { path, bytes: equal - whole },
          'the last line of a moved log file is torn; it is written whole to the new file',
        );
      }
      return intent.from + whole;
    } finally {
      await file.close();
    }
  }
  return 'gone';
}

/** Looks for lines in all files of a directory. */
async function search(
  directory: string,
  intents: readonly LoadedIntent[],
  wantedOf: (intent: LoadedIntent) => Ids | null,
): Promise<{ readonly asked: number; readonly found: number; readonly some: readonly Missing[] }> {
  const wanted = new LineSet(intents.reduce((sum, { ids }) => sum + ids.length, 0));
  const lines: number[][] = [];
  const scratch = createScratch();
  for (const intent of intents) {
    const some = await linesOf(intent, scratch, wantedOf(intent));
    for (const { bytes } of some) wanted.add(bytes);
    lines.push(some.map(({ at }) => at));
  }
  const asked = wanted.missing;
  const earliestMs = Math.min(...intents.map(({ lastTimeUs }) => lastTimeUs)) / 1_000;
  await findInFiles(directory, wanted, earliestMs);
  let number = 0;
  const some = intents.map((intent, at) => ({
    intent,
    lines: (lines[at] ?? []).filter(() => !wanted.has(number++)),
  }));
  return { asked, found: asked - wanted.missing, some };
}

/** Lines of settled events are gone from a file's end. */
export function sayLostByDisk(log: Logger, path: string, lines: number): void {
  log.error(
    { path, lines },
    'the end of the log file is gone though the disk had confirmed it; its lines are written again from the journal',
  );
}

function alarm(path: string, found: number, asked: number, log: Logger): void {
  if (found === asked) return;
  if (found === 0) {
    log.error(
      { path, lines: asked },
      'the log file that lines were going to is gone; they are written again, and may stand in it too',
    );
  } else {
    log.error(
      { path, found, missing: asked - found },
      'lines are missing from a log file that was changed by others; they are written again',
    );
  }
}

/** The lines of an intent that were to go to its last place; `only` those of some events, null = of all. */
async function linesOf(intent: LoadedIntent, scratch: Scratch, only: Ids | null): Promise<readonly Line[]> {
  let end = 0;
  return splitLines(await intent.read(scratch)).flatMap((bytes, at) => {
    end += bytes.length;
    return end <= intent.from || (only !== null && !only.has(intent.ids[at] ?? '')) ? [] : [{ at, bytes, end }];
  });
}

/** Items by a key, in the order of their first. */
export function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}
