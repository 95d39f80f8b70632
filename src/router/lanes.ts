// The lanes of the regime in force, one per destination. A new regime keeps the lane of a destination that stays, with
// its new settings, and stops the lane of one that is gone; requests under way end with the settings they began with.

import type { LaneConfig } from '../config/config.ts';
import type { Destination } from '../destinations/destination.ts';
import type { Regime, Route } from '../flow/batch.ts';
import { createBudget } from './budget.ts';
import { Lane, type LaneOptions } from './lane.ts';

/** Bytes that all lanes together may hold. */
const MAX_BYTES = 32 * 1024 * 1024;

/** A route as the router uses it: what becomes of a matching event, and the lane for those that are delivered. */
export interface Way {
  readonly outcome: Destination['outcome'];
  readonly lane: Lane | null;
}

export interface LanesOptions extends Pick<LaneOptions, 'mayDeliver' | 'onAnswer' | 'onGivenBack' | 'logger'> {
  readonly createDestination: (route: Route, regime: Regime) => Destination;
  /** The lane of this destination has room again. */
  readonly onRoom: (destinationId: number) => void;
  /** A lane has been made. */
  readonly onLane: (lane: Lane) => void;
}

export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes = new Map<number, Lane>();
  readonly #retired = new Set<Lane>();
  readonly #budget = createBudget(MAX_BYTES);
  #regime: Regime | null = null;
  #ways: readonly Way[] = [];

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  get regime(): Regime | null {
    return this.#regime;
  }

  get open(): readonly Lane[] {
    return [...this.#lanes.values()];
  }

  /** The lane of a destination, once there is one. */
  of(destinationId: number): Lane | undefined {
    return this.#lanes.get(destinationId);
  }

  /** The ways of a regime's routes, in their order; makes, changes and stops lanes when the regime is a new one. */
  waysOf(regime: Regime): readonly Way[] {
    if (regime !== this.#regime) this.#apply(regime);
    return this.#ways;
  }

  /** Whether a lane is still the one of its destination: a stopped one is fed no more. */
  has(lane: Lane): boolean {
    return this.#lanes.get(lane.destinationId) === lane;
  }

  /** After the right to write was in doubt. */
  pump(): void {
    for (const lane of this.#lanes.values()) lane.pump();
  }

  /** Stops every lane; resolves when what was under way has been answered, at the latest when `signal` aborts it. */
  async stop(signal: AbortSignal): Promise<void> {
    const lanes = [...this.#lanes.values(), ...this.#retired];
    for (const lane of this.#lanes.values()) this.#options.onGivenBack(lane.stop());
    const abort = (): void => {
      for (const lane of lanes) lane.abort();
    };
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    await Promise.all(lanes.map((lane) => lane.ended()));
    signal.removeEventListener('abort', abort);
  }

  #apply(regime: Regime): void {
    this.#regime = regime;
    const kept = new Set<number>();
    this.#ways = regime.routes.map((route) => this.#way(route, regime, kept));
    for (const [id, lane] of this.#lanes) {
      if (kept.has(id)) continue;
      this.#lanes.delete(id);
      this.#retire(lane);
    }
  }

  #way(route: Route, regime: Regime, kept: Set<number>): Way {
    const lane = this.#lanes.get(route.destinationId);
    // Two routes to one destination share its lane; the configuration holds them to equal settings.
    if (lane && kept.has(route.destinationId)) return { outcome: 'delivered', lane };
    const destination = this.#options.createDestination(route, regime);
    if (destination.outcome !== 'delivered') return { outcome: destination.outcome, lane: null };
    kept.add(route.destinationId);
    const config = route.destination as LaneConfig;
    if (lane) {
      this.#options.onGivenBack(lane.replace(destination, config, route.enabled));
      return { outcome: 'delivered', lane };
    }
    const { mayDeliver, onAnswer, onRoom, onGivenBack, logger } = this.#options;
    const made = new Lane({
      destinationId: route.destinationId,
      key: route.key,
      destination,
      config,
      enabled: route.enabled,
      budget: this.#budget,
      mayDeliver,
      onAnswer,
      onRoom: () => onRoom(route.destinationId),
      onGivenBack,
      logger,
    });
    this.#lanes.set(route.destinationId, made);
    this.#options.onLane(made);
    return { outcome: 'delivered', lane: made };
  }

  #retire(lane: Lane): void {
    this.#retired.add(lane);
    this.#options.onGivenBack(lane.stop());
    void lane.ended().then(() => this.#retired.delete(lane));
  }
}
