// When to look at the log file's path while nothing is written: every 200 ms, and at once when its name in the
// directory stirs. A notification only ever means "go and look"; without it a rotation is noticed a little later.
//
// Not by chokidar, which watches elsewhere: it reads the whole directory again for each name that stirs in it, and beside
// a log there may be thousands of rotated files (2,800 of them took a core when six were moved a second).

import { type FSWatcher, watch } from 'node:fs';
import { basename } from 'node:path';
import { onBeat } from '../lib/beat.ts';

/** SPEC 4: at least every 250 ms. On the beats of the poll of the queue, unless that is changed. */
const LOOK_INTERVAL_MS = 200;

/**
 * Calls `look` at least every 200 ms and when something happens at the path. Keeps no process alive.
 *
 * @param directory absolute path of the directory that the log file is in.
 * @param path absolute path of the log file at this moment; asked again and again, since a date may be part of it.
 * @param look must not throw.
 * @returns what ends it; safe to call twice.
 */
export function watchForRotation(
  directory: string,
  path: () => string,
  look: (reason: 'interval' | 'hint') => void,
): () => void {
  let hints: FSWatcher | null = null;

  const unwatch = (): void => {
    hints?.close();
    hints = null;
  };

  const watchDirectory = (): void => {
    try {
      hints = watch(directory, { persistent: false }, (event, name) => {
        // A `change` would be our own writing.
        if (event !== 'rename') return;
        if (name === basename(path())) look('hint');
        // The directory itself was moved or removed: another one may come at its path.
        else if (name === basename(directory) || name === null) unwatch();
      });
      hints.on('error', unwatch);
    } catch {
      // Not there yet, or out of watches: tried again, and the interval goes on.
    }
  };

  watchDirectory();
  const endLooking = onBeat(LOOK_INTERVAL_MS, () => {
    if (hints === null) watchDirectory();
    look('interval');
  });
  return () => {
    endLooking();
    unwatch();
  };
}
