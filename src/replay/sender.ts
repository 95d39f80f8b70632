// Sends events to their destinations through the lanes that `run` has, and says of each when it is settled: accepted by
// all its destinations, or given up on by one.

import type { Config, LaneConfig } from '../config/config.ts';
import { createDestination } from '../destinations/create-destination.ts';
import type { Regime } from '../flow/batch.ts';
import type { LaneReport } from '../flow/lane-report.ts';
import type { Logger } from '../lib/logger.ts';
import type { Lane } from '../router/lane.ts';
import type { LaneEvent } from '../router/lane-queue.ts';
import { Lanes } from '../router/lanes.ts';
import { Outlet } from './outlet.ts';
import type { PendingEvent } from './pending.ts';
import type { Routes } from './routes.ts';

/**
 * Attempts where neither the command line nor `max_attempts` says otherwise: with the usual back-off an event is tried for
 * one to two minutes, and a destination that fails altogether is probed for about three.
 */
const DEFAULT_ATTEMPTS = 8;

export interface SenderOptions {
  readonly config: Config;
  readonly routes: Routes;
  /** Most attempts of an event; null: the destination's `max_attempts`, or a default. */
  readonly attempts: number | null;
  /** Most events a second that a destination is sent, whatever the configuration allows; null = as many as that. */
  readonly perSecond: number | null;
  readonly onRejected: (event: PendingEvent, key: string, error: string) => void;
  /** No destination owes an answer for it any more. */
  readonly onSettled: (event: PendingEvent) => void;
  readonly onGivenUp: (key: string, error: string) => void;
  readonly logger: Logger;
}

/** What a destination is doing, for a person who watches. */
export interface OutletReport extends Pick<LaneReport, 'state' | 'waitMs'> {
  readonly key: string;
  readonly retrying: number;
  readonly givenUp: boolean;
}

export interface Sender {
  /** Takes an event for the destinations that are open for it. */
  send(event: PendingEvent): void;
  reports(): readonly OutletReport[];
  /** Resolves when nothing is under way any more: answered, or aborted when `signal` says so. */
  stop(signal: AbortSignal): Promise<void>;
}

/** Creates the sender of one replay. No connection is opened before the first event. */
export function createSender(options: SenderOptions): Sender {
  const { config, routes, perSecond, logger } = options;
  const outlets = new Map<number, Outlet>();
  const outletOf = ({ destinationId }: { readonly destinationId: number }) => outlets.get(destinationId);
  const regime: Regime = {
    config,
    generation: 0,
    routes: routes.sending.map((route) => ({
      ...route,
      destination: { ...route.destination, ...slower(route.destination as LaneConfig, perSecond) },
    })),
  };
  const settle = (event: PendingEvent, { lane }: Outlet): void => {
    event.open.delete(lane.destinationId);
    if (event.open.size === 0) options.onSettled(event);
  };
  const addOutlet = (lane: Lane): void => {
    const key = routes.keyOf(lane.destinationId);
    const outlet: Outlet = new Outlet({
      lane,
      key,
      attempts: options.attempts ?? lane.config.retry.maxAttempts ?? DEFAULT_ATTEMPTS,
      laneEventOf: (event, due) => laneEventOf(event, regime, lane.destinationId, due),
      onAccepted: (event) => {
        event.done.add(key);
        settle(event, outlet);
      },
      onRejected: (event, error) => {
        event.failed.add(key);
        options.onRejected(event, key, error);
        settle(event, outlet);
      },
      onGivenUp: (error) => options.onGivenUp(key, error),
    });
    outlets.set(lane.destinationId, outlet);
  };
  const lanes = new Lanes({
    createDestination: (route) => createDestination(route.destination, { config, key: route.key, logger }),
    mayDeliver: () => true,
    onLane: addOutlet,
    onAnswer: (event, result) => outletOf(event)?.onAnswer(event, result),
    onGivenBack: (events) => {
      const [first] = events;
      if (first) outletOf(first)?.onGivenBack(events);
    },
    onRoom: () => {
      for (const outlet of outlets.values()) outlet.pump();
    },
    logger,
  });
  lanes.waysOf(regime);

  return {
    send(event) {
      // A destination that was given up on settles it at once.
      for (const destinationId of [...event.open]) outlets.get(destinationId)?.add(event);
    },
    reports: () =>
      [...outlets.values()].map(({ key, lane, retrying, givenUp }) => {
        const { state, waitMs } = lane.report();
        return { key, state, waitMs, retrying, givenUp: givenUp !== null };
      }),
    async stop(signal) {
      for (const outlet of outlets.values()) outlet.stop();
      await lanes.stop(signal);
    },
  };
}

/** The rate of this replay, where the destination's own is not lower. */
function slower({ maxPerSecond }: LaneConfig, perSecond: number | null): Pick<LaneConfig, 'maxPerSecond'> {
  if (perSecond === null) return { maxPerSecond };
  return { maxPerSecond: maxPerSecond === null ? perSecond : Math.min(maxPerSecond, perSecond) };
}

const laneEventOf = (event: PendingEvent, regime: Regime, destinationId: number, due: boolean): LaneEvent => ({
  batchEvent: event.batchEvent,
  regime,
  destinationId,
  offeredMs: 0,
  due,
  startedMs: 0,
  answered: false,
});
