// Follows the configuration file while the program runs. What counts is the content of the files, looked at every
// second: no rename, remount or editor's habit can hide a change from that. Notifications only make the look earlier.
//
//   current ──(content differs)──▶ settling ──(same content for a moment)──▶ reported, is now current

import { resolve } from 'node:path';
import { watch } from 'chokidar';
import { untilBeat } from '../lib/beat.ts';
import { delay } from '../lib/delay.ts';
import { createNudge } from '../lib/nudge.ts';
import { type LoadedConfig, loadConfig } from './load.ts';

const LOOK_EVERY_MS = 1_000;
/** How long a good file must have stood still. */
const QUIET_MS = 50;
/** How long a broken one must: it is probably only half written. */
const BROKEN_QUIET_MS = 500;
/** A file that never stands still is reported as it is after so many tries. */
const MAX_TRIES = 20;

export interface WatchOptions {
  /** Ends the watching. */
  readonly signal: AbortSignal;
  readonly env: NodeJS.ProcessEnv;
  /** What is in force already. Without it the file as it is now is reported first. */
  readonly loaded?: LoadedConfig;
  /** Called with each new state of the files, good or broken, one after the other. */
  onLoaded(loaded: LoadedConfig): void | Promise<void>;
}

/**
 * Loads the configuration again whenever its file or a file that it takes a secret from has a new content, also after
 * it was deleted, replaced or its folder was away. A state of the files is reported once.
 *
 * @returns settles when the signal has aborted and everything is closed.
 * @throws what `onLoaded` throws.
 */
export async function watchConfig(file: string, options: WatchOptions): Promise<void> {
  const { signal } = options;
  if (signal.aborted) return;
  const nudge = createNudge();
  const hints = watch(resolve(file), { ignoreInitial: true });
  hints.on('all', nudge.nudge).on('error', () => undefined);
  try {
    let current = options.loaded ?? null;
    while (!signal.aborted) {
      if (current === null || (await current.sources.haveChanged())) {
        const next = await loadSettled(file, options);
        if (!signal.aborted && !(current && next.sources.equal(current.sources))) await options.onLoaded(next);
        current = next;
      }
      await nudge.wait(untilBeat(LOOK_EVERY_MS), signal);
    }
  } finally {
    await hints.close();
  }
}

async function loadSettled(file: string, { signal, env }: WatchOptions): Promise<LoadedConfig> {
  for (let tries = 1; ; tries += 1) {
    const loaded = await loadConfig(file, { env });
    await delay(loaded.config ? QUIET_MS : BROKEN_QUIET_MS, signal);
    if (signal.aborted || tries === MAX_TRIES || !(await loaded.sources.haveChanged())) return loaded;
  }
}
