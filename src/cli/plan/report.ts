// What `tailrace plan --json` prints: the plan with ages instead of times, and how long each destination would take.

import type { Config } from '../../config/config.ts';
import type { Plan, PlannedDestination, TypeCount } from '../../dry-run/plan.ts';
import type { InForce } from '../../queue/in-force.ts';
import type { Status } from '../../queue/status.ts';

/** Where the rate comes from that a duration is reckoned with. `configured`: `max_per_second`, the limit of it. */
export interface ReckonedRate {
  readonly per_second: number;
  readonly from: 'given' | 'measured' | 'configured';
}

export interface ReportedDestination extends Omit<PlannedDestination, 'oldest'> {
  /** Age of its oldest event by event_time; null = none, or it bears no time. */
  readonly oldest_seconds: number | null;
  /** null: nobody knows. */
  readonly rate: ReckonedRate | null;
  /** Seconds until all of them are delivered at that rate. */
  readonly takes_seconds: number | null;
}

interface ReportedPile {
  readonly events: number;
  readonly oldest_seconds: number | null;
  readonly by_type: readonly TypeCount[];
}

export interface PlanReport {
  /** The configuration file. */
  readonly config: string;
  /** It is the configuration that was put in force last. */
  readonly in_force: boolean;
  /** false: the count was interrupted. */
  readonly complete: boolean;
  /** null: every event was counted. */
  readonly estimate: { readonly sampled: number; readonly share: number } | null;
  /** A processor runs: the figures change while they are counted. */
  readonly running: boolean;
  readonly events: number;
  readonly oldest_seconds: number | null;
  readonly lines: number | null;
  readonly released: number;
  readonly destinations: readonly ReportedDestination[];
  readonly dropped: ReportedPile & { readonly released: number };
  readonly left: ReportedPile & { readonly were_left: number };
  readonly file_only: number;
  readonly finished: number;
  readonly parked: number;
}

export interface ReportInput {
  readonly plan: Plan;
  readonly complete: boolean;
  readonly seen: number;
  readonly fraction: number | null;
  readonly file: string;
  readonly config: Config;
  readonly inForce: InForce;
  readonly status: Status;
  /** `--rate`. */
  readonly rate: number | null;
  /** PostgreSQL's clock. */
  readonly nowSeconds: number;
}

/** Puts the report together. */
export function reportOf({
  plan,
  file,
  config,
  inForce,
  status,
  rate,
  nowSeconds,
  ...counted
}: ReportInput): PlanReport {
  const ageOf = (time: number | null): number | null => (time === null ? null : Math.round(nowSeconds - time));
  const measured = new Map(status.destinations.map(({ destination, per_second }) => [destination, per_second]));
  return {
    config: file,
    in_force: inForce.fingerprint === config.fingerprint,
    complete: counted.complete,
    estimate: counted.fraction === null ? null : { sampled: counted.seen, share: counted.fraction },
    running: status.writer?.state === 'running',
    events: plan.events,
    oldest_seconds: ageOf(plan.oldest),
    lines: plan.lines,
    released: plan.released,
    destinations: plan.destinations.map(({ oldest, ...each }) => {
      const reckoned = reckon(rate, measured.get(each.destination) ?? null, each.max_per_second);
      return {
        ...each,
        oldest_seconds: ageOf(oldest),
        rate: reckoned,
        takes_seconds: each.events === 0 ? 0 : reckoned && Math.ceil(each.events / reckoned.per_second),
      };
    }),
    dropped: pile(plan.dropped),
    left: pile(plan.left),
    file_only: plan.file_only,
    finished: plan.finished,
    parked: plan.parked,
  };

  function pile<T extends { readonly oldest: number | null }>({ oldest, ...rest }: T) {
    return { ...rest, oldest_seconds: ageOf(oldest) };
  }
}

/** What was given, else what was measured; never more than the configuration allows. */
function reckon(given: number | null, measured: number | null, most: number | null): ReckonedRate | null {
  const known: ReckonedRate | null =
    given !== null
      ? { per_second: given, from: 'given' }
      : measured !== null && measured > 0
        ? { per_second: measured, from: 'measured' }
        : null;
  if (most === null || (known !== null && known.per_second <= most)) return known;
  return { per_second: most, from: 'configured' };
}
