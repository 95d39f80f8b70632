// Feeds a lane with what is due at its destination: retries whose time has come and events that wait for room. One loop
// a lane, so that a million due events of one destination never stand before those of another. A lane that is paused,
// disabled or whose breaker is open has no room, so nothing is asked for it; when its breaker wants a probe it gets one.
// A lane for which nothing is due costs nothing: that something is there is known from here, or said by who looks for all.

import { setMaxListeners } from 'node:events';
import type { Regime } from '../flow/batch.ts';
import type { DueRoom, DueSource } from '../flow/due.ts';
import { untilBeat } from '../lib/beat.ts';
import { delay } from '../lib/delay.ts';
import { messageOf } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import { createNudge, type Nudge } from '../lib/nudge.ts';
import { DueTimes } from './due-times.ts';
import type { Lane } from './lane.ts';
import type { Router } from './router.ts';

/** Asking PostgreSQL is worth it from this much room on. */
const WORTH_BYTES = 64 * 1024;
/** No room: it is looked at again all the same. */
const NO_ROOM_MS = 1_000;
/** Nothing known to be due: PostgreSQL is asked all the same. */
const IDLE_MS = 10_000;
/** Something was refused or failed a moment ago and is being settled: PostgreSQL counts from then. */
const SOON_MS = 20;
const ERROR_MS = 1_000;
/** Answers wait for PostgreSQL: more of them would only pile up, and be delivered again after a stop. */
const CONGESTED_MS = 10;

export interface FeederOptions {
  readonly due: DueSource;
  readonly router: Router;
  readonly regime: () => Regime;
  /** Gives events back that a lane refused after all. */
  readonly giveBack: (ids: readonly string[]) => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** What a lane's loop waits for. */
interface Wakes {
  readonly lane: Lane;
  readonly room: Nudge;
  readonly due: Nudge;
  readonly times: DueTimes;
  /** What it lacks while it waits for room: places, which only its own answers bring, or bytes, which all lanes share. */
  lacks: 'places' | 'bytes' | null;
}

export class Feeder {
  readonly #options: FeederOptions;
  readonly #wakes = new Map<number, Wakes>();
  readonly #loops = new Set<Promise<void>>();

  constructor(options: FeederOptions) {
    this.#options = options;
    // Every lane's loop listens.
    setMaxListeners(0, options.signal);
  }

  /** Starts feeding a new lane. */
  start(lane: Lane): void {
    const wakes: Wakes = { lane, room: createNudge(), due: createNudge(), times: new DueTimes(), lacks: null };
    this.#wakes.set(lane.destinationId, wakes);
    const loop = this.#feed(lane, wakes).finally(() => this.#loops.delete(loop));
    this.#loops.add(loop);
  }

  /**
   * A lane may have room again: called with each answer, so only a loop that finds room now is woken. Waking all of them cost
   * 0.7 µs an answer for each other destination that had none: with twenty paused ones 15 µs instead of 0.5.
   */
  onRoom(destinationId: number): void {
    for (const [id, wakes] of this.#wakes) {
      if (wakes.lacks === null || (wakes.lacks === 'places' && id !== destinationId)) continue;
      wakes.lacks = lackOf(wakes.lane.roomForDue);
      if (wakes.lacks === null) wakes.room.nudge();
    }
  }

  /** Something will be due at a destination in `waitMs`. */
  onDueLater(destinationId: number, waitMs: number): void {
    const wakes = this.#wakes.get(destinationId);
    if (!wakes) return;
    if (wakes.times.add(performance.now() + waitMs + SOON_MS)) wakes.due.nudge();
  }

  /** PostgreSQL has something that is due at a destination: another process or a person may have changed that. */
  onDue(destinationId: number): void {
    const wakes = this.#wakes.get(destinationId);
    if (wakes && wakes.times.nextMs > performance.now()) this.onDueLater(destinationId, 0);
  }

  /** Resolves when every loop has ended, after the signal. */
  async ended(): Promise<void> {
    await Promise.all(this.#loops);
  }

  async #feed(lane: Lane, wakes: Wakes): Promise<void> {
    const { router, signal, logger } = this.#options;
    const warn = createThrottle((fields, message) => logger.warn(fields, message));
    while (!signal.aborted && router.lanes.has(lane)) {
      if (router.congested) {
        await delay(CONGESTED_MS, signal);
        continue;
      }
      const room = lane.roomForDue;
      wakes.lacks = lackOf(room);
      if (wakes.lacks !== null) {
        await wakes.room.wait(untilBeat(NO_ROOM_MS), signal);
        wakes.lacks = null;
        continue;
      }
      wakes.times.pass(performance.now());
      try {
        if ((await this.#fill(lane, room)) > 0) continue;
      } catch (error) {
        if (signal.aborted) return;
        warn(
          { error: messageOf(error), destination: lane.destinationId },
          'cannot ask which events are due; trying again',
        );
        await delay(ERROR_MS, signal);
        continue;
      }
      await rest(wakes, signal);
    }
  }

  /** @returns how many events the lane was given. */
  async #fill(lane: Lane, room: Lane['roomForDue']): Promise<number> {
    const { due, router, regime, giveBack } = this.#options;
    const now = regime();
    const events = await due.take(now, lane.destinationId, room);
    const refused = events.filter((event) => !router.offerDue(lane, event, now));
    // What another lane has as well stays in flight.
    const unheld = refused.filter(({ handedOff }) => !handedOff);
    if (unheld.length > 0) giveBack(unheld.map(({ event }) => event.id));
    return events.length - refused.length;
  }
}

/** What stands in the way of asking for more; null = nothing. */
function lackOf({ events, bytes }: DueRoom): Wakes['lacks'] {
  if (events === 0) return 'places';
  return bytes < WORTH_BYTES ? 'bytes' : null;
}

/** Waits until something is due, at most ten seconds. Room alone is no reason to ask again after an empty answer. */
async function rest(wakes: Wakes, signal: AbortSignal): Promise<void> {
  const idleUntil = performance.now() + IDLE_MS;
  for (;;) {
    const waitMs = Math.min(idleUntil, wakes.times.nextMs) - performance.now();
    if (waitMs <= 0 || signal.aborted) return;
    await wakes.due.wait(waitMs, signal);
  }
}
