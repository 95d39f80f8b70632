// Where an event goes in a replay: by the rules of the configuration, as `run` goes by them (the first match, and with
// `continue` the next ones too), less what there is nothing to do for, and what this replay leaves out.

import type { Config, RouteConfig } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import type { Route } from '../flow/batch.ts';
import { EXIT, TailraceError } from '../lib/errors.ts';
import { matchesOf } from '../router/match.ts';

/** Why an event goes nowhere: `other`, its destination is not among those asked for; `unmatched`, no rule matches. */
export type Nowhere = 'dropped' | 'left' | 'disabled' | 'other' | 'unmatched';

/** What most deserves to be said, where an event's rules say several things. */
const BY_WEIGHT: readonly Nowhere[] = ['disabled', 'other', 'left', 'dropped'];

export interface Routes {
  /** The routes that are sent to, each destination under a number of its own. */
  readonly sending: readonly Route[];
  /** The destinations of an event, each once; or why there is none. */
  of(event: QueuedEvent): readonly number[] | Nowhere;
  /** The key of a destination. */
  keyOf(destinationId: number): string;
}

/**
 * Plans the routes of a replay.
 *
 * @param only keys of the destinations to send to; empty = all.
 * @throws {TailraceError} `REPLAY_DESTINATION` when there is nothing to send to, or it is not what was asked for.
 */
export function planRoutes({ routes }: Pick<Config, 'routes'>, only: readonly string[]): Routes {
  for (const key of only) checkDestination(routes, key);
  const keys = [...new Set(routes.filter((route) => whyNot(route, only) === null).map(({ key }) => key))];
  if (keys.length === 0) {
    const message =
      'the configuration has no destination that events could be sent to: nothing but drop_from_queue, leave_in_queue and what is disabled';
    throw new TailraceError('REPLAY_DESTINATION', message);
  }
  const idOf = (key: string): number => keys.indexOf(key) + 1;
  const ways = routes.map((route) => whyNot(route, only) ?? idOf(route.key));
  return {
    sending: routes
      .filter((_, at) => typeof ways[at] === 'number')
      .map((route) => ({ ...route, destinationId: idOf(route.key) })),
    of({ eventType, mailclass }) {
      const found = matchesOf(routes, eventType, mailclass);
      const taken = found.flatMap((at) => ways[at] ?? []);
      const ids = taken.filter((way) => typeof way === 'number');
      if (ids.length > 0) return ids.length === 1 ? ids : [...new Set(ids)];
      return BY_WEIGHT.find((reason) => taken.includes(reason)) ?? 'unmatched';
    },
    keyOf: (destinationId) => keys[destinationId - 1] ?? '',
  };
}

function whyNot({ destination, key, enabled }: RouteConfig, only: readonly string[]): Nowhere | null {
  if (destination.type === 'drop_from_queue') return 'dropped';
  if (destination.type === 'leave_in_queue') return 'left';
  if (only.length > 0 && !only.includes(key)) return 'other';
  return enabled ? null : 'disabled';
}

function checkDestination(routes: readonly RouteConfig[], key: string): void {
  const known = routes.filter((route) => !['dropped', 'left'].includes(whyNot(route, []) ?? ''));
  const route = known.find((each) => each.key === key);
  if (route === undefined) {
    const names = [...new Set(known.map((each) => JSON.stringify(each.key)))].join(', ') || 'none';
    const message = `the configuration has no destination ${JSON.stringify(key)} that events are sent to; it has: ${names}`;
    throw new TailraceError('REPLAY_DESTINATION', message, { exitCode: EXIT.usage });
  }
  if (!route.enabled) {
    const message = `the destination ${JSON.stringify(key)} is disabled in the configuration; enable it first`;
    throw new TailraceError('REPLAY_DESTINATION', message);
  }
}
