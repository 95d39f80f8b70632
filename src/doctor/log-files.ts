// The checks of the host that has the log file: the way to it, its disk, its rotation, its journal.

import { dirname } from 'node:path';
import type { LogFileConfig } from '../config/config.ts';
import { createFileName } from '../log-file/file-name.ts';
import { stateDirectory } from '../log-file/local-lock.ts';
import type { LockHolder } from '../log-file/lock-holder.ts';
import type { Status } from '../queue/status.ts';
import { checkRoom as checkQueueRoom } from './backlog.ts';
import { type Finding, type Group, ok, problem } from './finding.ts';
import { checkJournal, checkLock } from './journal.ts';
import { checkLogEnd } from './log-end.ts';
import { checkFolder, checkLogFile, checkStateFolder } from './log-path.ts';
import { checkLogrotate } from './logrotate.ts';
import { answers, checkMount, checkRoom, nearestFolder, readMount } from './mounts.ts';
import type { Stopwatch } from './stopwatch.ts';

export interface FilesOptions {
  readonly watch: Stopwatch;
  readonly now: () => number;
  readonly logrotate: readonly string[];
  /** null = not known. */
  readonly status: Status | null;
}

export interface Files {
  readonly groups: readonly Group[];
  /** Of the log file's lock; null = not known. */
  readonly holder: LockHolder | null;
}

/** Looks at the log file of a configuration, and at its delivery log. */
export async function checkFiles(
  { logFile, deliveryLog }: { readonly logFile: LogFileConfig | null; readonly deliveryLog: string | null },
  options: FilesOptions,
): Promise<Files> {
  const groups: Group[] = [];
  let holder: LockHolder | null = null;
  if (logFile === null) {
    groups.push({
      group: 'log file',
      findings: [ok('log file', 'none is configured, or the configuration does not tell')],
    });
  } else {
    const looked = await checkOne(logFile, options);
    groups.push(...looked.groups);
    holder = looked.holder;
  }
  if (deliveryLog !== null) {
    const { watch } = options;
    const findings = (await isAnswering(deliveryLog, watch))
      ? [
          ...(await watch.all('delivery log', async () => [await checkLogFile(deliveryLog, null, 'delivery log')])),
          ...(await watch.all('logrotate', () => checkLogrotate(deliveryLog, options.logrotate))),
        ]
      : [await silent(deliveryLog, 'delivery log')];
    groups.push({ group: 'delivery log', findings });
  }
  return { groups, holder };
}

async function checkOne(file: LogFileConfig, { watch, now, logrotate, status }: FilesOptions): Promise<Files> {
  const { filename } = file;
  if (!(await isAnswering(filename, watch))) {
    return { groups: [{ group: 'log file', findings: [await silent(filename, 'log folder')] }], holder: null };
  }
  const path = createFileName(file).at(now() * 1_000);
  const directory = stateDirectory(filename);
  const end = await watch.within('last line', () => checkLogEnd(path, now()));
  const lineBytes = 'value' in end ? end.value.lineBytes : null;
  const log: Finding[] = [
    ...(await watch.all('log folder', async () => [await checkFolder(filename, file.createDirectory)])),
    ...(await watch.all('log file', async () => [await checkLogFile(path, file.mode, 'log file')])),
    ...('value' in end ? end.value.findings : [end.failure]),
    ...(await watch.all('hidden folder', async () => [await checkStateFolder(file, path)])),
    ...(await watch.all('logrotate', () => checkLogrotate(path, logrotate))),
  ];
  const lock = await watch.within('log lock', () => checkLock(directory, status));
  const holder = 'value' in lock ? lock.value.holder : null;
  const journal = [
    'value' in lock ? lock.value.finding : lock.failure,
    ...(await watch.all('journal', () => checkJournal(directory, holder?.state !== 'free', status))),
  ];
  const disk = [
    ...(await watch.all('file system', async () => [
      checkMount(await readMount(await nearestFolder(dirname(filename)))),
    ])),
    ...(await watch.all('disk left', async () => {
      const room = await checkRoom(await nearestFolder(dirname(filename)));
      const forQueue = status === null ? [] : [checkQueueRoom(status, room.freeBytes, lineBytes)];
      return [...room.findings, ...forQueue];
    })),
  ];
  return {
    groups: [
      { group: 'log file', findings: log },
      { group: 'journal', findings: journal },
      { group: 'disk', findings: disk },
    ],
    holder,
  };
}

async function isAnswering(filename: string, watch: Stopwatch): Promise<boolean> {
  const outcome = await watch.within('log folder', () => answers(dirname(filename)));
  return 'value' in outcome && outcome.value;
}

/** Nothing may touch a file system that does not answer: whoever does waits with it. */
async function silent(filename: string, check: string): Promise<Finding> {
  const mount = await readMount(dirname(filename));
  const where = mount === null ? '' : ` (${mount.type}, ${mount.source} on ${mount.point})`;
  return problem(
    check,
    `the file system of ${dirname(filename)} does not answer within 5 s${where}: nothing on it was looked at`,
    "look at the disk or the file server, and at the kernel's log: dmesg",
  );
}
