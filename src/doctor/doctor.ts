// All checks in their order: what goes wrong at night, from the configuration to the disk. Each is made for itself; one
// that fails or takes too long is said, and the others go on. Nothing is written, and no lock is taken.

import type { Config } from '../config/config.ts';
import type { Session } from '../queue/session.ts';
import { checkConfiguration } from './configuration.ts';
import { type Finding, type Group, problem, type State } from './finding.ts';
import { checkFiles } from './log-files.ts';
import { checkDescriptors, checkMemory, checkNode } from './process-limits.ts';
import { checkQueueDatabase } from './queue-database.ts';
import { noDatabase } from './server.ts';
import { createStopwatch } from './stopwatch.ts';

export interface DoctorOptions {
  /** What `--config` says. */
  readonly config: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  /** Opens a session to the database. */
  readonly open: () => Promise<Session>;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Files and folders of logrotate's. */
  readonly logrotate: readonly string[];
}

export interface Examination {
  readonly groups: readonly Group[];
  /** The worst of all. */
  readonly state: State;
}

/** Makes all checks; takes 60 s at most, and mostly less than one. Never throws. */
export async function examine(options: DoctorOptions): Promise<Examination> {
  const watch = createStopwatch();
  const groups: Group[] = [];
  const add = (group: string, findings: readonly Finding[]): void => {
    if (findings.length > 0) groups.push({ group, findings });
  };

  const nothing = { config: null as Config | null, logFile: null, deliveryLog: null };
  const configuration = await watch.within('configuration', () => checkConfiguration(options.config, options.env));
  const known = 'value' in configuration ? configuration.value : { ...nothing, findings: [configuration.failure] };
  add('configuration', known.findings);

  const opened = await watch.within('database', options.open);
  let database: Awaited<ReturnType<typeof checkQueueDatabase>> | null = null;
  if ('value' in opened) {
    const session = opened.value;
    try {
      database = await checkQueueDatabase(session, { ...options, watch, config: known.config });
      for (const { group, findings } of database.groups) add(group, findings);
    } finally {
      await session.close();
    }
  } else {
    add('database', [
      'cause' in opened && opened.cause !== undefined ? noDatabase(opened.cause) : opened.failure,
      problem('queue', 'not looked at: there is no connection to the database', 'look again when there is one'),
    ]);
  }

  const files = await checkFiles(known, { ...options, watch, status: database?.status ?? null });
  for (const { group, findings } of files.groups) add(group, findings);

  const pid = files.holder?.pids[0] ?? null;
  add('process', [
    checkNode(),
    ...(await watch.all('open files', () => checkDescriptors(pid, known.config))),
    ...(await watch.all('memory', () => checkMemory(pid, known.config))),
  ]);
  return { groups, state: worstOf(groups.flatMap(({ findings }) => findings)) };
}

function worstOf(findings: readonly Finding[]): State {
  const has = (state: State): boolean => findings.some((each) => each.state === state);
  return has('problem') ? 'problem' : has('warning') ? 'warning' : 'ok';
}
