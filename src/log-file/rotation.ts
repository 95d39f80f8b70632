// When to look at the log file's path while nothing is written: four times a second, and at once when the directory
// stirs. An event of the watcher only ever means "go and look"; without it a rotation is noticed a little later.

import { watch } from 'chokidar';

/** SPEC 4: a moved file is replaced within a second, idle or not. */
const LOOK_INTERVAL_MS = 250;

/**
 * Calls `look` at least every 250 ms and when something happens at the path. Keeps no process alive.
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
): () => Promise<void> {
  const watcher = watch(directory, {
    depth: 0,
    ignored: (candidate) => candidate !== directory && candidate !== path(),
    ignoreInitial: true,
    ignorePermissionErrors: true,
    followSymlinks: false,
    atomic: false,
    persistent: false,
  });
  // Not its cooked events: they pair a move with the creation that follows and keep one of the two to themselves. And
  // `change` would be our own writing.
  watcher.on('raw', (event) => {
    if (event === 'rename') look('hint');
  });
  // Out of watches, or the directory is gone: the interval goes on.
  watcher.on('error', () => {});
  const timer = setInterval(look, LOOK_INTERVAL_MS, 'interval');
  timer.unref();
  return async () => {
    clearInterval(timer);
    await watcher.close();
  };
}
