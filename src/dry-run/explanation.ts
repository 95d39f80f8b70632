// What would become of one event under a configuration, and why: the verdict on each of its entries, and what the
// destinations that get it would be sent. Nothing is sent, and nothing is written.

import type { Config, RouteConfig } from '../config/config.ts';
import { createPreview } from '../destinations/create-preview.ts';
import type { Preview, Previewer } from '../destinations/preview.ts';
import type { QueuedEvent, RawValue } from '../event/event.ts';
import type { TracedPair } from '../queue/trace.ts';
import { type Condition, explainMatches, type RouteVerdict } from '../router/explain-match.ts';

/**
 * What an entry means for the event. `send`: it goes out. `wait`: the destination is disabled or paused, so that it waits
 * there. `has_it`: it was delivered there before. `parked`: it was given up there. `once`: an entry above sends it to the
 * same destination. `drop`, `leave`: as configured; `drop_nothing`: another entry wants it, so that the drop has no effect.
 */
export type Action = 'send' | 'wait' | 'has_it' | 'parked' | 'once' | 'drop' | 'drop_nothing' | 'leave';

export interface ExplainedDestination {
  /** From 1. */
  readonly entry: number;
  readonly destination: string;
  readonly type: RouteConfig['destination']['type'];
  readonly verdict: RouteVerdict['verdict'];
  /** The entry that took the event before, from 1; null unless `behind`. */
  readonly taken_by: number | null;
  readonly conditions: readonly Condition[];
  /** The entry says to go on matching below it. */
  readonly continues: boolean;
  readonly enabled: boolean;
  /** By `tailrace pause`; null = PostgreSQL was not asked. */
  readonly paused: boolean | null;
  /** null: the event does not go there. */
  readonly action: Action | null;
  /** Where it stands there by now; null = nowhere, or PostgreSQL was not asked. */
  readonly standing: TracedPair | null;
  /** What would be sent; null where nothing is. */
  readonly would_send: Exclude<Preview, { readonly kind: 'nothing' }> | null;
}

export interface Explanation {
  readonly event: {
    /** null: it bears no id. */
    readonly id: string | null;
    readonly event_type: RawValue;
    readonly mailclass: RawValue;
    readonly event_unique_id: RawValue;
  };
  /** `file_only`: the configuration has no destinations, its line in the log file is all there is to it. */
  readonly outcome: 'delivered' | 'dropped' | 'left' | 'delivered_and_left' | 'nothing_to_do' | 'file_only';
  readonly destinations: readonly ExplainedDestination[];
}

export interface ExplainedEvent {
  readonly event: QueuedEvent;
  readonly hasId: boolean;
  /** Where it stands at each destination; empty for one that is not in the queue. */
  readonly standings: readonly TracedPair[];
}

export interface ExplainerOptions {
  readonly config: Config;
  /** Keys of paused destinations; null = PostgreSQL was not asked. */
  readonly paused: ReadonlySet<string> | null;
  /** Tables of `sql_insert` destinations are looked up in their databases. */
  readonly look: boolean;
}

/** Creates what explains events under one configuration. */
export function createExplainer({
  config,
  paused,
  look,
}: ExplainerOptions): (event: ExplainedEvent) => Promise<Explanation> {
  const { routes } = config;
  const previewers = new Map<string, Previewer>();
  const previewOf = ({ key, destination }: RouteConfig, event: QueuedEvent): Promise<Preview> => {
    const previewer = previewers.get(key) ?? createPreview(destination, { config, look });
    previewers.set(key, previewer);
    return previewer(event);
  };

  return async ({ event, hasId, standings }) => {
    const verdicts = explainMatches(routes, event.eventType, event.mailclass);
    const taken = routes.filter((_, at) => verdicts[at]?.verdict === 'taken');
    const destinations: ExplainedDestination[] = [];
    for (const [at, route] of routes.entries()) {
      const { verdict, taken_by, conditions } = verdicts[at] as RouteVerdict; // one for each route
      const standing = standings.find(({ destination }) => destination === route.key) ?? null;
      const isAgain = taken.indexOf(route) > taken.findIndex(({ key }) => key === route.key);
      const isPaused = paused?.has(route.key) ?? null;
      const action =
        verdict === 'taken' ? actionOf(route, { standing, isAgain, isPaused, isAlone: taken.every(isDrop) }) : null;
      const preview = action === 'send' || action === 'wait' ? await previewOf(route, event) : null;
      destinations.push({
        entry: at + 1,
        destination: route.key,
        type: route.destination.type,
        verdict,
        taken_by: taken_by === null ? null : taken_by + 1,
        conditions,
        continues: route.continues,
        enabled: route.enabled,
        paused: isPaused,
        action,
        standing,
        would_send: preview?.kind === 'nothing' ? null : preview,
      });
    }
    return {
      event: {
        id: hasId ? event.id : null,
        event_type: event.eventType,
        mailclass: event.mailclass,
        event_unique_id: event.value(event.shape.eventUniqueIdAt),
      },
      outcome: outcomeOf(destinations),
      destinations,
    };
  };
}

interface Circumstances {
  readonly standing: TracedPair | null;
  readonly isAgain: boolean;
  readonly isPaused: boolean | null;
  /** Nothing but drops take it. */
  readonly isAlone: boolean;
}

function actionOf(route: RouteConfig, { standing, isAgain, isPaused, isAlone }: Circumstances): Action {
  if (isDrop(route)) return isAlone ? 'drop' : 'drop_nothing';
  if (route.destination.type === 'leave_in_queue') return 'leave';
  if (isAgain) return 'once';
  if (standing?.state === 'done') return 'has_it';
  if (standing?.state === 'parked') return 'parked';
  return isPaused === true || !route.enabled ? 'wait' : 'send';
}

function outcomeOf(destinations: readonly ExplainedDestination[]): Explanation['outcome'] {
  if (destinations.length === 0) return 'file_only';
  const has = (...actions: readonly Action[]): boolean =>
    destinations.some(({ action }) => action !== null && actions.includes(action));
  const goes = has('send', 'wait');
  if (has('leave')) return goes ? 'delivered_and_left' : 'left';
  if (goes) return 'delivered';
  return has('drop') ? 'dropped' : 'nothing_to_do';
}

const isDrop = ({ destination }: RouteConfig): boolean => destination.type === 'drop_from_queue';
