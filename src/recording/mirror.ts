// What a processor does for the SQL functions of recording, which can see neither files nor a configuration: it writes
// the control directory's switches and its own `server_id` to PostgreSQL when they change, and adds the counts up.
// On a connection of its own, opened when there is something to do; the data path does not notice.

import { hostname } from 'node:os';
import { backoffMs } from '../lib/backoff.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import { createNudge } from '../lib/nudge.ts';
import { openRecordingConnection } from './connection.ts';
import type { ControlDirectory, ControlState } from './control-directory.ts';
import { engineSwitches, storeSwitches } from './switch-store.ts';
import { placeOf } from './switches.ts';
import { watchControlDirectory } from './watch-control.ts';

/** How often the counts are added up, and what failed silently is caught up with. */
const TIDY_EVERY_MS = 60_000;
const RETRY = { initialMs: 500, maxMs: 30_000 };
/** `init` writes these. */
const DEFAULT_BOUNCE_TEXT_BYTES = 1024;

/** What the functions fill in. */
export interface RecordingSettings {
  readonly serverId: string;
  readonly bounceTextBytes: number;
}

export interface MirrorOptions {
  /** undefined: libpq's `PG*` variables. */
  readonly database: string | undefined;
  /** null: the switches are not ours to write. */
  readonly directory: ControlDirectory | null;
  readonly settings: RecordingSettings;
  /** Write once and end. */
  readonly once: boolean;
  readonly logger: Logger;
  /** Ends it; a write under way is finished. */
  readonly signal: AbortSignal;
}

export interface Mirror {
  /** Takes settings that have changed. */
  update(settings: RecordingSettings): void;
  /** Settles when the signal has aborted, or with `once` after the first attempt. Never rejects. */
  readonly ended: Promise<void>;
}

/** Starts mirroring. */
export function startMirror(options: MirrorOptions): Mirror {
  const { directory, logger, once, database } = options;
  const nudge = createNudge();
  const ending = new AbortController();
  const signal = AbortSignal.any([options.signal, ending.signal]);
  const warn = createThrottle((fields, message) => logger.warn(fields, message));
  let settings = options.settings;
  /** What is still to be written; null: nothing. */
  let dueSwitches: ControlState | null = null;
  let dueSettings = settings.serverId !== hostname() || settings.bounceTextBytes !== DEFAULT_BOUNCE_TEXT_BYTES;

  const watching =
    directory === null
      ? Promise.resolve()
      : watchControlDirectory(directory, {
          signal,
          onState(state) {
            dueSwitches = state;
            nudge.nudge();
          },
          onProblem: (path, problem) =>
            logger.warn({ path, problem }, 'a recording switch cannot be read and counts as off'),
        });

  const write = async (tidy: boolean): Promise<void> => {
    await using connection = await openRecordingConnection(database, 'tailrace mirror');
    const state = dueSwitches;
    if (state !== null && directory !== null) {
      await storeSwitches(connection, engineSwitches(state.on), placeOf(directory));
      if (dueSwitches === state) dueSwitches = null;
    }
    if (dueSettings || tidy) {
      const { serverId, bounceTextBytes } = settings;
      await connection.query(
        `UPDATE tailrace.recording SET server_id = $1, bounce_text_bytes = $2
         WHERE (server_id, bounce_text_bytes) IS DISTINCT FROM ($1, $2)`,
        [serverId, bounceTextBytes],
      );
      dueSettings = serverId !== settings.serverId || bounceTextBytes !== settings.bounceTextBytes;
    }
    if (tidy) await connection.query('SELECT tailrace.fold_recording_counts()');
  };

  const attempt = async (tidy: boolean): Promise<boolean> => {
    try {
      await write(tidy);
      return true;
    } catch (error) {
      // That PostgreSQL is away, or was not prepared by `init`, is the processor's to say.
      if (!/^(?:DATABASE_UNAVAILABLE|42P01|42883|3F000)$/.test(codeOf(error) ?? '')) {
        warn(
          { error: messageOf(error), code: codeOf(error) },
          'cannot write the recording switches to PostgreSQL; trying again',
        );
      }
      return false;
    }
  };

  const follow = async (): Promise<void> => {
    let tidiedAt = performance.now();
    let failures = 0;
    while (!signal.aborted) {
      const tidy = performance.now() - tidiedAt >= TIDY_EVERY_MS;
      if (dueSwitches !== null || dueSettings || tidy) {
        failures = (await attempt(tidy)) ? 0 : failures + 1;
        if (tidy) tidiedAt = performance.now();
      }
      await nudge.wait(failures > 0 ? backoffMs(failures, RETRY) : TIDY_EVERY_MS, signal);
    }
    await watching;
  };

  /** One look at the files, one attempt. */
  const writeOnce = async (): Promise<void> => {
    if (directory !== null) await nudge.wait(TIDY_EVERY_MS, signal);
    if (dueSwitches !== null || dueSettings) await attempt(false);
    ending.abort();
    await watching;
  };

  return {
    update(next) {
      if (next.serverId === settings.serverId && next.bounceTextBytes === settings.bounceTextBytes) return;
      settings = next;
      dueSettings = true;
      nudge.nudge();
    },
    ended: once ? writeOnce() : follow(),
  };
}
