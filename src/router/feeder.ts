// Feeds a lane with what is due at its destination: retries whose time has come and events that wait for room. One loop
// a lane, so that a million due events of one destination never stand before those of another.

import type { Regime } from '../flow/batch.ts';
import type { DueSource } from '../flow/due.ts';
import { messageOf } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import { createNudge, type Nudge } from '../lib/nudge.ts';
import type { Lane } from './lane.ts';
import type { Router } from './router.ts';

/** Asking PostgreSQL is worth it from this much room on. */
const WORTH_EVENTS = 25;
const WORTH_BYTES = 64 * 1024;
/** Nothing known to be due: another process or a person may have changed that. */
const IDLE_MS = 1_000;
/** Something was refused a moment ago and is being settled as waiting. */
const SOON_MS = 20;
const ERROR_MS = 1_000;

export interface FeederOptions {
  readonly due: DueSource;
  readonly router: Router;
  readonly regime: () => Regime;
  /** Gives events back that a lane refused after all. */
  readonly giveBack: (ids: readonly string[]) => void;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

export class Feeder {
  readonly #options: FeederOptions;
  readonly #nudges = new Map<number, Nudge>();
  readonly #nextDueMs = new Map<number, number>();
  readonly #loops = new Set<Promise<void>>();

  constructor(options: FeederOptions) {
    this.#options = options;
  }

  /** Starts feeding a new lane. */
  start(lane: Lane): void {
    const loop = this.#feed(lane).finally(() => this.#loops.delete(loop));
    this.#loops.add(loop);
  }

  /** Some lane has room again. */
  onRoom(): void {
    for (const nudge of this.#nudges.values()) nudge.nudge();
  }

  /** Something will be due at a destination in `waitMs`. */
  onDueLater(destinationId: number, waitMs: number): void {
    const at = performance.now() + Math.max(waitMs, SOON_MS);
    this.#nextDueMs.set(destinationId, Math.min(this.#nextDueMs.get(destinationId) ?? Number.POSITIVE_INFINITY, at));
  }

  /** Resolves when every loop has ended, after the signal. */
  async ended(): Promise<void> {
    await Promise.all(this.#loops);
  }

  async #feed(lane: Lane): Promise<void> {
    const { router, signal, logger } = this.#options;
    const warn = createThrottle((fields, message) => logger.warn(fields, message));
    const nudge = createNudge();
    this.#nudges.set(lane.destinationId, nudge);
    while (!signal.aborted && router.lanes.has(lane)) {
      const room = lane.roomForDue;
      if (room.events < WORTH_EVENTS || room.bytes < WORTH_BYTES) {
        await nudge.wait(IDLE_MS, signal);
        continue;
      }
      try {
        if ((await this.#fill(lane, room)) > 0) continue;
      } catch (error) {
        if (signal.aborted) return;
        warn(
          { error: messageOf(error), destination: lane.destinationId },
          'cannot ask which events are due; trying again',
        );
        await nudge.wait(ERROR_MS, signal);
        continue;
      }
      await this.#rest(lane, signal);
    }
  }

  /** @returns how many events the lane was given. */
  async #fill(lane: Lane, room: Lane['roomForDue']): Promise<number> {
    const { due, router, regime, giveBack } = this.#options;
    const now = regime();
    this.#nextDueMs.delete(lane.destinationId);
    const events = await due.take(now, lane.destinationId, room);
    const refused = events.filter((event) => !router.offerDue(lane, event, now));
    if (refused.length > 0) giveBack(refused.map(({ event }) => event.id));
    return events.length - refused.length;
  }

  /** Waits until something is due. Room alone is no reason to ask again: then the lane would ask after each answer. */
  async #rest(lane: Lane, signal: AbortSignal): Promise<void> {
    const started = performance.now();
    const nudge = this.#nudges.get(lane.destinationId) ?? createNudge();
    while (!signal.aborted) {
      const next = this.#nextDueMs.get(lane.destinationId) ?? Number.POSITIVE_INFINITY;
      const until = Math.min(started + IDLE_MS, next);
      const waitMs = until - performance.now();
      if (waitMs <= 0) return;
      await nudge.wait(Math.min(waitMs, SOON_MS * 5), signal);
    }
  }
}
