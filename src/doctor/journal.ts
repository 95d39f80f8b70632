// The journal beside the log file, and who holds its lock.

import { readdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../lib/errors.ts';
import { bytes, count, many } from '../lib/quantity.ts';
import { type LoadedJournal, loadJournal } from '../log-file/journal/load.ts';
import { findLockHolder, type LockHolder } from '../log-file/lock-holder.ts';
import type { Status } from '../queue/status.ts';
import { type Finding, notSeen, ok, problem, warning } from './finding.ts';
import { findProcessors } from './processes.ts';

/** A segment is 16 MiB and all of them are read: more are only counted. */
const MOST_READ = 32;
/** A journal that is being written may look damaged for a moment. */
const LOOKS = 3;
const BETWEEN_LOOKS_MS = 200;

/** Who holds the lock. @returns null beside the finding when it could not be looked at. */
export async function checkLock(
  directory: string,
  status: Status | null,
): Promise<{ readonly finding: Finding; readonly holder: LockHolder | null }> {
  const check = 'log lock';
  try {
    const holder = await findLockHolder(directory);
    return { finding: describeHolder(holder, directory, status, findProcessors()), holder };
  } catch (error) {
    return { finding: notSeen(check, error), holder: null };
  }
}

function describeHolder(
  { state, pids }: LockHolder,
  directory: string,
  status: Status | null,
  processors: readonly string[],
): Finding {
  const check = 'log lock';
  const [one] = pids;
  if (state === 'unknown') return ok(check, 'not known: this system does not tell who holds a lock');
  if (state === 'held') {
    const others = processors.filter((pid) => pid !== one);
    const more = others.length > 0 ? `; also on this host: tailrace run, pid ${listed(others)}` : '';
    return ok(check, `held by ${one === undefined ? 'a process that this account may not see' : `pid ${one}`}${more}`);
  }
  const writers = [...(status?.shards ?? []), ...(status?.writer ? [status.writer] : [])];
  const here = writers.find((each) => each.state === 'running' && each.journal_at === `${hostname()}:${directory}`);
  if (here === undefined) return ok(check, 'free: no processor on this host has this log file');
  return warning(
    check,
    `nobody is seen to hold it, though the writer of epoch ${here.epoch} says it is at work here`,
    'right when it runs in a container of its own; else the hidden folder was removed or covered: tailrace makes it anew within a second',
  );
}

const listed = (pids: readonly string[]): string =>
  pids.length > 8 ? `${pids.slice(0, 8).join(', ')} and ${pids.length - 8} more` : pids.join(', ');

/** Whether the journal is whole, and how much in it is not settled. */
export async function checkJournal(
  directory: string,
  isHeld: boolean,
  status: Status | null,
): Promise<readonly Finding[]> {
  const check = 'journal';
  const mustBe = status?.writer?.state === 'gone' && status.writer.journal_at === `${hostname()}:${directory}`;
  const lost = warning(
    check,
    'there is none, though the last process on this host did not stop in order: the ends of the log files are read instead',
    'leave rotated files in the folder of the log until tailrace runs again',
  );
  try {
    const segments = (await readdir(directory)).filter((name) => /^journal-\d+$/.test(name));
    if (segments.length === 0)
      return [mustBe ? lost : ok(check, 'empty: nothing was logged yet, or it was removed after a stop')];
    if (segments.length > MOST_READ) {
      const sizes = await Promise.all(
        segments.map((name) =>
          stat(join(directory, name)).then(
            ({ size }) => size,
            () => 0,
          ),
        ),
      );
      const size = sizes.reduce((sum, each) => sum + each, 0);
      return [
        warning(
          check,
          `${many(segments.length, 'segment')}, ${bytes(size)}: very much is not settled`,
          'see whether PostgreSQL takes what is settled: ERROR lines in the diagnostics, the checks "locks" and "rights"',
        ),
      ];
    }
    return [describeJournal(await load(directory, isHeld), directory, isHeld)];
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR')
      return [mustBe ? lost : ok(check, 'there is none yet')];
    return [notSeen(check, error)];
  }
}

/** Looks again while somebody writes it: segments come and go, and a record may be there in part. */
async function load(directory: string, isHeld: boolean): Promise<LoadedJournal> {
  for (let look = 1; ; look += 1) {
    try {
      const loaded = await loadJournal(directory);
      if (loaded.damaged.length === 0 || !isHeld || look >= LOOKS) return loaded;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT' || look >= LOOKS) throw error;
    }
    await sleep(BETWEEN_LOOKS_MS);
  }
}

function describeJournal(
  { segments, intents, damaged, torn }: LoadedJournal,
  directory: string,
  isHeld: boolean,
): Finding {
  const check = 'journal';
  if (damaged.length > 0) {
    return problem(
      check,
      `damaged: ${damaged.slice(0, 3).join(', ')}${damaged.length > 3 ? ` and ${damaged.length - 3} more` : ''}`,
      'leave it where it is, the next start takes what is whole and reads the end of the log file for the rest; look at the disk, and at',
      `$ tailrace journal ${directory}`,
    );
  }
  const open = intents.filter(({ settled, replaced }) => !settled && !replaced);
  const events = open.reduce((sum, { ids }) => sum + ids.length, 0);
  const whole = torn ? 'its last record is not whole, as after a crash or while it is written' : 'intact';
  const rest =
    events > 0
      ? `${many(events, 'event')} in ${count(open.length)} ${open.length === 1 ? 'batch' : 'batches'} not noted as settled`
      : 'all of it settled';
  const after = events > 0 && !isHeld ? '; the next start finishes them' : '';
  return ok(check, `${whole}, ${many(segments.length, 'segment')}, ${rest}${after}`);
}
