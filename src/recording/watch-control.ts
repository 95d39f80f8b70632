// Follows a control directory while the program runs: looked at twice a second whatever happens, and at once when the
// file system says that something did. A notification means only "go and look".

import { basename } from 'node:path';
import { watch } from 'chokidar';
import { ENGINE_SWITCHES } from '../event/recording-switches.ts';
import { delay } from '../lib/delay.ts';
import { createNudge } from '../lib/nudge.ts';
import { type ControlDirectory, type ControlState, readControlDirectory } from './control-directory.ts';

/** SPEC 7 allows a second. */
const LOOK_EVERY_MS = 500;
/** Whoever writes with `echo 1 >` empties the file first: what looks like off is looked at again so many times. */
const SECOND_LOOKS = 4;
const SECOND_LOOK_AFTER_MS = 25;
const FILES = new Set(ENGINE_SWITCHES.map(({ where }) => where));

export interface ControlWatchOptions {
  /** Ends the watching. */
  readonly signal: AbortSignal;
  /** Called with the state found first, then with each that differs from the one before. */
  onState(state: ControlState): void;
  /** Called once for each problem, again when it is another one or came back. */
  onProblem(path: string, problem: string): void;
}

/** @returns settles when the signal has aborted and everything is closed. */
export async function watchControlDirectory(
  directory: ControlDirectory,
  { signal, onState, onProblem }: ControlWatchOptions,
): Promise<void> {
  if (signal.aborted) return;
  const nudge = createNudge();
  const hints = watch(directory.path, {
    ignoreInitial: true,
    depth: 0,
    // A control directory of GreenArrow holds much else.
    ignored: (path) => path !== directory.path && !FILES.has(basename(path)),
  });
  hints.on('all', nudge.nudge).on('error', () => undefined);
  try {
    let current: ControlState | null = null;
    while (!signal.aborted) {
      let next = await readControlDirectory(directory);
      for (let looks = 0; looks < SECOND_LOOKS && turnsOff(current, next); looks += 1) {
        await delay(SECOND_LOOK_AFTER_MS, signal);
        next = await readControlDirectory(directory);
      }
      for (const [path, problem] of next.problems) {
        if (current?.problems.get(path) !== problem) onProblem(path, problem);
      }
      const differs = current === null || [...current.on].join() !== [...next.on].join();
      current = next;
      if (differs) onState(next);
      await nudge.wait(LOOK_EVERY_MS, signal);
    }
  } finally {
    await hints.close();
  }
}

function turnsOff(current: ControlState | null, next: ControlState): boolean {
  return current !== null && [...current.on].some((type) => !next.on.has(type));
}
