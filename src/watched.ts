// The pipeline as whoever watches it sees it (`run --http`): what its stages are asked for at any moment, and the
// counting that no stage does by itself.

import type { Batch, Regime, Route } from './flow/batch.ts';
import type { Tenure, Vitals } from './flow/vitals.ts';
import { messageOf } from './lib/errors.ts';
import type { LogFileStage } from './log-file/stage.ts';
import type { Gaps } from './queue/gaps.ts';
import type { InFlight } from './queue/in-flight.ts';
import type { LaneDesk } from './queue/lane-desk.ts';
import type { Rights } from './queue/rights.ts';
import type { Lane } from './router/lane.ts';
import type { Router } from './router/router.ts';

/** The batches, counted on their way. */
export async function* counted(batches: AsyncIterable<Batch>, vitals: Vitals): AsyncGenerator<Batch> {
  for await (const batch of batches) {
    vitals.read(batch);
    yield batch;
  }
}

/** Has the answers of a new lane counted. */
export function watchLane(lane: Lane, regime: Regime | null, vitals: Vitals): void {
  const route = routeOf(lane, regime);
  if (route === undefined) return;
  lane.vitals = vitals.of(route.key, route.destination.type);
  vitals.forget(new Set(regime?.routes.map(({ key }) => key)));
}

export interface WatchedStages {
  readonly rights: Rights;
  readonly regime: () => Regime;
  readonly logFile: LogFileStage;
  readonly router: Router;
  readonly desk: LaneDesk;
  readonly gaps: Gaps;
  readonly inFlight: InFlight;
}

/** The time as the writer, to be asked. */
export function tenureOf({ rights, regime, logFile, router, desk, gaps, inFlight }: WatchedStages): Tenure {
  return {
    epoch: rights.epoch,
    held: () => rights.held,
    generation: () => regime().generation,
    logFile: () => {
      const { path, lastError } = logFile.status();
      return { path, error: lastError && messageOf(lastError) };
    },
    lanes: () =>
      router.lanes.open.flatMap((lane) => {
        const route = routeOf(lane, router.lanes.regime);
        if (route === undefined) return [];
        return [{ key: route.key, paused: desk.isPaused(lane.destinationId), held: lane.size, ...lane.report() }];
      }),
    gaps: () => gaps.size,
    inFlight: () => inFlight.size,
  };
}

const routeOf = ({ destinationId }: Lane, regime: Regime | null): Route | undefined =>
  regime?.routes.find((route) => route.destinationId === destinationId);
