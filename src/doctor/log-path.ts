// The way to the log file: who could put something else there, and whether tailrace would accept what is there.

import type { Stats } from 'node:fs';
import { lstat, stat } from 'node:fs/promises';
import { dirname, parse } from 'node:path';
import type { LogFileConfig } from '../config/config.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import { bytes } from '../lib/quantity.ts';
import { notARegularFile } from '../log-file/failure.ts';
import { stateDirectory } from '../log-file/local-lock.ts';
import { type Finding, notSeen, ok, problem, warning } from './finding.ts';

const OTHERS_WRITE = 0o002;
const OTHERS_READ = 0o004;
const STICKY = 0o1000;
const ANY_BUT_OWNER = 0o077;

/** The folder of a file, and those above it. */
export async function checkFolder(filename: string, createDirectory: boolean): Promise<Finding> {
  const check = 'log folder';
  const folder = dirname(filename);
  let sticky: string | null = null;
  let own: Stats | null = null;
  for (let each = folder; ; each = dirname(each)) {
    try {
      const stats = await stat(each);
      if (!stats.isDirectory()) {
        return problem(check, `${each} is not a folder`, 'move it away, or change logfile.filename');
      }
      if (each === folder) own = stats;
      if (stats.mode & OTHERS_WRITE) {
        if ((stats.mode & STICKY) === 0) {
          return problem(
            check,
            `anybody on this host can write to ${each}: move the log away, or put something else in its place`,
            `$ chmod o-w ${each}`,
          );
        }
        if (each === folder) sticky = each;
      }
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') return notSeen(check, error);
    }
    if (each === parse(each).root) break;
  }
  if (own === null) {
    return createDirectory
      ? ok(check, `${folder} is not there yet; it is made with the first line`)
      : problem(check, `${folder} is missing`, `$ install -d -o tailrace -g tailrace -m 0750 ${folder}`);
  }
  const found = `${folder}, mode ${modeOf(own)}, owner ${own.uid}:${own.gid}`;
  if (sticky !== null) {
    return warning(
      check,
      `${found}: anybody may make files there, a log file's name included`,
      'give the log a folder of its own that only its account writes to',
    );
  }
  return ok(check, found);
}

/** What stands at the path of a log file. @param label which of the files it is. */
export async function checkLogFile(
  path: string,
  mode: number | null,
  label: 'log file' | 'delivery log',
): Promise<Finding> {
  try {
    const stats = await lstat(path, { bigint: true });
    if (!stats.isFile()) return problem(label, messageOf(notARegularFile(path, stats)));
    const bits = Number(stats.mode);
    const found = `${path}, ${bytes(Number(stats.size))}, mode ${modeOf({ mode: bits })}, owner ${stats.uid}:${stats.gid}`;
    if (bits & OTHERS_WRITE) {
      return problem(label, `${found}: anybody on this host can change it`, `$ chmod o-w ${path}`);
    }
    if (stats.nlink > 1n) {
      return warning(
        label,
        `${found}: it has ${stats.nlink} names; what is done under another one is done to the log`,
        `$ find ${dirname(path)} -xdev -samefile ${path}`,
      );
    }
    if (mode !== null && bits & OTHERS_READ && (mode & OTHERS_READ) === 0) {
      return warning(
        label,
        `${found}: others can read it, though new files get ${mode.toString(8).padStart(4, '0')}`,
        `$ chmod ${mode.toString(8).padStart(4, '0')} ${path}`,
      );
    }
    return ok(label, found);
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? ok(label, `${path} is not there yet`) : notSeen(label, error);
  }
}

/** The hidden folder beside the log: for its owner alone, of the log's own account, on the log's own disk. */
export async function checkStateFolder(file: LogFileConfig, path: string): Promise<Finding> {
  const check = 'hidden folder';
  const directory = stateDirectory(file.filename);
  try {
    const stats = await lstat(directory);
    if (!stats.isDirectory()) {
      return problem(
        check,
        `${directory} is not a folder: tailrace keeps its lock and its journal in one of that name`,
        `$ mv ${directory} ${directory}.away`,
      );
    }
    const found = `${directory}, mode ${modeOf(stats)}, owner ${stats.uid}:${stats.gid}`;
    if (stats.mode & ANY_BUT_OWNER) {
      return warning(
        check,
        `${found}: others can reach the journal, which holds copies of lines, and could hold the lock`,
        `$ chmod 0700 ${directory}`,
      );
    }
    const folder = await stat(dirname(directory));
    if (folder.dev !== stats.dev) {
      return warning(
        check,
        `${found}: on another file system than the log; one of them may be full, or gone, without the other`,
        'unmount it there; after a crash, first copy what is in it beside the log',
      );
    }
    const log = await lstat(path).catch(() => null);
    if (log !== null && log.uid !== stats.uid) {
      return warning(
        check,
        `${found}, but the log file belongs to ${log.uid}: was tailrace started as another user once?`,
        `$ chown -R --reference=${dirname(directory)} ${directory} ${path}`,
      );
    }
    return ok(check, found);
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? ok(check, `${directory} is not there yet`) : notSeen(check, error);
  }
}

const modeOf = ({ mode }: { readonly mode: number }): string => (mode & 0o7777).toString(8).padStart(4, '0');
