// What a configuration would do with everything that is in the queue: counted event by event with the router's own
// matcher and the router's own decision, in constant memory. Nothing is delivered, and nothing is changed.

import type { Config, LaneConfig, RouteConfig } from '../config/config.ts';
import type { Standing } from '../flow/standing.ts';
import type { InForce } from '../queue/in-force.ts';
import type { SurveyedEvent } from '../queue/survey.ts';
import { matchesOf } from '../router/match.ts';
import { decide } from '../router/transitions.ts';

/** Types beyond these are counted together: rows may name whatever they like. */
const MAX_TYPES = 200;

/** What would go to one destination. */
export interface PlannedDestination {
  readonly destination: string;
  readonly type: RouteConfig['destination']['type'];
  readonly enabled: boolean;
  /** By `tailrace pause`. */
  readonly paused: boolean;
  /** Events that would be sent there: the four below together. */
  readonly events: number;
  /** Nothing was decided about them yet. */
  readonly new: number;
  /** They wait for it already. */
  readonly waiting: number;
  /** They failed there and are tried again. */
  readonly failed: number;
  /** They were left, or waited or failed elsewhere: this configuration sends them here. */
  readonly released: number;
  /** Given up there: they wait for `tailrace retry`. */
  readonly parked: number;
  /** It has them already, while their rows are kept for another destination's sake. */
  readonly has_it: number;
  /** Smallest event_time of `events`, in seconds since the epoch. */
  readonly oldest: number | null;
  /** The configuration's limit. */
  readonly max_per_second: number | null;
}

export interface TypeCount {
  readonly event_type: string | null;
  readonly events: number;
}

export interface Plan {
  readonly events: number;
  readonly oldest: number | null;
  /** Lines that would be written; null without a log file. */
  readonly lines: number | null;
  /** Events that were left, or waited or failed elsewhere, and would be sent somewhere now. */
  readonly released: number;
  readonly destinations: readonly PlannedDestination[];
  readonly dropped: {
    readonly events: number;
    /** Of them: were left, waited or failed before, and would be thrown away now. */
    readonly released: number;
    readonly oldest: number | null;
    /** The most frequent first; `*` stands for all types beyond the first 200. */
    readonly by_type: readonly TypeCount[];
  };
  readonly left: {
    readonly events: number;
    /** Of them: were left before, too. */
    readonly were_left: number;
    readonly oldest: number | null;
    readonly by_type: readonly TypeCount[];
  };
  /** Without destinations the line is all there is to an event: its row goes. */
  readonly file_only: number;
  /** Their rows go without being sent: the destinations that are still wanted have them. */
  readonly finished: number;
  /** Given up at one destination or parked as too large, and wanted nowhere else. */
  readonly parked: number;
}

export interface Planner {
  add(event: SurveyedEvent): void;
  /** @param factor what a sample is multiplied by; 1 = everything was counted. */
  result(factor: number): Plan;
}

/** Creates what counts events under one configuration. */
export function createPlanner(config: Config, { destinations, paused, generation }: InForce): Planner {
  const { routes } = config;
  const numbers = numbersOf(routes, destinations);
  const lanes = new Map<number, LaneTally>();
  for (const route of routes) {
    const number = numbers.get(route.key);
    if (number !== undefined && !lanes.has(number)) lanes.set(number, createLaneTally(route, paused.has(route.key)));
  }
  const all = createTally();
  const dropped = createTally();
  const left = createTally();
  let [lines, released, releasedDrops, wereLeft, fileOnly, finished, parked] = [0, 0, 0, 0, 0, 0, 0];

  const add = (event: SurveyedEvent): void => {
    const { eventType, mailclass, standing: before } = event;
    all.add(event);
    if (before.tooLarge) {
      parked += 1;
      return;
    }
    if (!before.logged) lines += 1;
    if (routes.length === 0) {
      fileOnly += 1;
      return;
    }
    const taken = matchesOf(routes, eventType, mailclass).flatMap((at) => routes[at] ?? []);
    const wanted = {
      left: taken.some(({ destination }) => destination.type === 'leave_in_queue'),
      destinations: taken.flatMap(({ key }) => numbers.get(key) ?? []),
    };
    const decided = { standing: before };
    const sent = decide(decided, wanted, generation + 1);
    const after = decided.standing;
    for (const number of sent) lanes.get(number)?.add(event, number);
    if (sent.some((number) => fateOf(before, number) === 'released')) released += 1;
    for (const number of new Set(wanted.destinations)) {
      if (before.done.includes(number)) lanes.get(number)?.addDone();
      else if (!sent.includes(number)) lanes.get(number)?.addParked();
    }
    if (wanted.left) {
      left.add(event);
      if (before.left.length > 0) wereLeft += 1;
    }
    if (sent.length > 0 || wanted.left) return;
    if (after.failed.length > 0) parked += 1;
    else if (after.done.length > 0) finished += 1;
    else {
      dropped.add(event);
      if (isDecided(before)) releasedDrops += 1;
    }
  };

  return {
    add,
    result: (factor) => {
      const scaled = (count: number): number => Math.round(count * factor);
      const byType = (tally: Tally): TypeCount[] =>
        tally.types().map(([event_type, events]) => ({ event_type, events: scaled(events) }));
      return {
        events: scaled(all.count),
        oldest: all.oldest,
        lines: config.logFile === null ? null : scaled(lines),
        released: scaled(released),
        destinations: [...lanes.values()].map((lane) => lane.result(scaled)),
        dropped: {
          events: scaled(dropped.count),
          released: scaled(releasedDrops),
          oldest: dropped.oldest,
          by_type: byType(dropped),
        },
        left: { events: scaled(left.count), were_left: scaled(wereLeft), oldest: left.oldest, by_type: byType(left) },
        file_only: scaled(fileOnly),
        finished: scaled(finished),
        parked: scaled(parked),
      };
    },
  };
}

/** Numbers for all that is delivered; destinations that PostgreSQL does not know get some that it has not given. */
function numbersOf(routes: Config['routes'], known: ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>();
  let next = Math.max(0, ...known.values()) + 1;
  for (const { key, destination } of routes) {
    if (destination.type === 'leave_in_queue' || destination.type === 'drop_from_queue' || numbers.has(key)) continue;
    const number = known.get(key) ?? next;
    if (number === next) next += 1;
    numbers.set(key, number);
  }
  return numbers;
}

/** Something was decided about it under an earlier configuration. */
const isDecided = ({ left, waiting, failed, done }: Standing): boolean =>
  left.length + waiting.length + failed.length + done.length > 0;

/** What an event that is sent to a destination was before. */
function fateOf(standing: Standing, destination: number): 'new' | 'waiting' | 'failed' | 'released' {
  if (standing.failed.some(({ destinationId }) => destinationId === destination)) return 'failed';
  if (standing.waiting.some(({ destinationId }) => destinationId === destination)) return 'waiting';
  return isDecided(standing) ? 'released' : 'new';
}

function createLaneTally(route: RouteConfig, paused: boolean) {
  const events = createTally();
  const fates = { new: 0, waiting: 0, failed: 0, released: 0 };
  let [parked, done] = [0, 0];
  return {
    add(event: SurveyedEvent, number: number): void {
      events.add(event);
      fates[fateOf(event.standing, number)] += 1;
    },
    addDone(): void {
      done += 1;
    },
    addParked(): void {
      parked += 1;
    },
    result: (scaled: (count: number) => number): PlannedDestination => ({
      destination: route.key,
      type: route.destination.type,
      enabled: route.enabled,
      paused,
      events: scaled(events.count),
      new: scaled(fates.new),
      waiting: scaled(fates.waiting),
      failed: scaled(fates.failed),
      released: scaled(fates.released),
      parked: scaled(parked),
      has_it: scaled(done),
      oldest: events.oldest,
      max_per_second: (route.destination as LaneConfig).maxPerSecond,
    }),
  };
}

type LaneTally = ReturnType<typeof createLaneTally>;

function createTally() {
  const types = new Map<string | null, number>();
  let count = 0;
  let oldest: number | null = null;
  return {
    add({ eventType, eventTime }: SurveyedEvent): void {
      count += 1;
      if (eventTime !== null && (oldest === null || eventTime < oldest)) oldest = eventTime;
      const name = types.has(eventType) || types.size < MAX_TYPES ? eventType : '*';
      types.set(name, (types.get(name) ?? 0) + 1);
    },
    get count() {
      return count;
    },
    get oldest() {
      return oldest;
    },
    types: (): [string | null, number][] => [...types].sort(([, a], [, b]) => b - a),
  };
}

type Tally = ReturnType<typeof createTally>;
