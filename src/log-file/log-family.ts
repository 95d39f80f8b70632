// The files of one log, as they stand beside one another: the one that is written, dated ones, and what rotation made of
// them.

import { existsSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { createFileName } from './file-name.ts';
import { regularFiles } from './journal/search.ts';
import { stateDirectory } from './local-lock.ts';

const PACKED = /\.(?:gz|zst|xz|bz2)$/;
/** What logrotate and `filename_append_date` add: a number, a date, a time. */
const ADDED = /^[-._:TZ\d]*$/;
const DATE = /\.\d{4}-\d{2}-\d{2}$/;

/**
 * The files of a log, oldest first: itself, dated ones and what rotation made of it. They stand in its folder, and their
 * names begin as its own does; a neighbour's may be among them, in which a search finds nothing.
 */
export async function filesOf(filename: string): Promise<readonly string[]> {
  const stem = basename(filename, extname(filename));
  const files = await regularFiles(dirname(filename)).catch(() => []);
  return files
    .filter(({ path }) => basename(path).startsWith(stem))
    .sort((a, b) => a.mtimeMs - b.mtimeMs)
    .map(({ path }) => join(dirname(filename), basename(path)));
}

/**
 * The files of the log that a configuration names, without those of its neighbours (`events-deliveries.jsonl` is none of
 * `events.jsonl`), and without a packed copy whose original is still there: that one is being made right now.
 */
export async function rotatedFilesOf(filename: string): Promise<readonly string[]> {
  const extension = extname(filename);
  const stem = basename(filename, extension);
  const isOurs = (path: string): boolean => {
    const rest = basename(path).slice(stem.length).replace(PACKED, '');
    const at = rest.indexOf(extension);
    // logrotate's `extension` puts what it adds before ours.
    return at >= 0 && ADDED.test(rest.slice(0, at)) && ADDED.test(rest.slice(at + extension.length));
  };
  const paths = (await filesOf(filename)).filter(isOurs);
  return paths.filter((path) => !PACKED.test(path) || !paths.includes(path.replace(PACKED, '')));
}

/** Whether a path is one that a tailrace on this machine writes to now: its state stands beside it. */
export function isWrittenNow(path: string): boolean {
  const undated = path.replace(DATE, '');
  if (undated === path) return existsSync(stateDirectory(path));
  const today = createFileName({ filename: undated, appendDate: true }).at(Date.now() * 1_000);
  return path === today && existsSync(stateDirectory(undated));
}
