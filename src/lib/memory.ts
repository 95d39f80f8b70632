// Memory of a process that runs for months beside others. V8 lets its heap grow to a multiple of what is alive before
// it collects, and gives young objects three times 16 MB; most of what lives here dies with its batch.
//
// 300,000 events to the file, peak and CPU time: left alone 186 MB and 5.4 s; growth held to 150 % 163 MB and 5.4 s (60 %:
// 147 MB and 5.6 s); with young spaces of 4 MB as well 137 MB and 5.4 s (1 MB: 132 MB, and a tenth more CPU).

import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const YOUNG_BYTES = 2 * 4 * 1024 * 1024;
/** Enough to survive two collections of a young space of 1 MB, and no more of them if an engine goes about it otherwise. */
const OBJECTS = 100_000;
const OBJECTS_A_LOOK = 5_000;

/** Call before anything is loaded. An engine that does not know a flag ignores it. */
export function holdHeapGrowth(): void {
  setFlagsFromString('--heap-growing-percent=150');
  // Only the factor of growth can be set while the engine runs: one step from 1 MB to 4, and no further.
  setFlagsFromString('--semi-space-growth-factor=4');
  const alive: object[] = [];
  while (youngBytes() < YOUNG_BYTES && alive.length < OBJECTS) {
    for (let count = 0; count < OBJECTS_A_LOOK; count += 1) alive.push({ count });
  }
  setFlagsFromString('--semi-space-growth-factor=1');
}

function youngBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')?.space_size ?? YOUNG_BYTES;
}

/** What a burst has left behind is given back after this, when collecting disturbs nobody. */
const IDLE_MS = 5_000;

/**
 * V8 collects when there is something to do, not when there is nothing: a process that idles keeps what its start and the last
 * burst have left behind, some 20 MB. This collects once, five seconds after the last sign of work.
 *
 * @param drop lets go of what is only kept for the next work.
 * @returns busy, a sign of work; and end.
 */
export function collectWhenIdle(drop: () => void): { busy(): void; end(): void } {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const timer = setTimeout(() => {
    drop();
    collect();
  }, IDLE_MS).unref();
  return { busy: () => void timer.refresh(), end: () => clearTimeout(timer) };
}
