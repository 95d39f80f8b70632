// Why an event takes the routes that it takes: every route with each of its conditions, for `tailrace explain`. It asks
// the router's own matcher, once for all routes and once for each condition alone, so that there is no second opinion.

import type { MatchConfig, RouteConfig } from '../config/config.ts';
import { canonicalType } from '../event/catalog.ts';
import type { RawValue } from '../event/event.ts';
import { matchesOf } from './match.ts';

/** One condition of a `matches`. */
export interface Condition {
  readonly key: 'all' | 'event_type' | 'mail_class';
  readonly matched: boolean;
  /** What the event has; null where that is empty. */
  readonly found: RawValue;
  /** The current name of an event type that bears a former one; else null. */
  readonly current_name: string | null;
  /** Any of these, in lower case, types under their current names; empty for `all`. */
  readonly wanted: readonly string[];
}

/**
 * `taken`: the event goes there. `other`: a condition is not met. `behind`: it would match, but the route `taken_by` above it
 * takes the event and does not continue.
 */
export interface RouteVerdict {
  readonly verdict: 'taken' | 'other' | 'behind';
  /** Index of the route that ends the matching before this one; null unless `behind`. */
  readonly taken_by: number | null;
  readonly conditions: readonly Condition[];
}

/** The verdict on each route, in order. Parameters as those of `matchesOf`. */
export function explainMatches(
  routes: readonly Pick<RouteConfig, 'matches' | 'continues'>[],
  eventType: RawValue,
  mailclass: RawValue,
): readonly RouteVerdict[] {
  const taken = new Set(matchesOf(routes, eventType, mailclass));
  const last = Math.max(...taken, -1);
  const alone = (matches: MatchConfig): boolean =>
    matchesOf([{ matches, continues: false }], eventType, mailclass).length > 0;
  const current = eventType === null ? null : canonicalType(eventType);
  return routes.map(({ matches }, at) => {
    const { eventTypes, mailClasses } = matches;
    const conditions: Condition[] = [];
    if (eventTypes !== null) {
      conditions.push({
        key: 'event_type',
        matched: alone({ eventTypes, mailClasses: null }),
        found: eventType,
        current_name: current === eventType?.toLowerCase() ? null : current,
        wanted: [...eventTypes],
      });
    }
    if (mailClasses !== null) {
      conditions.push({
        key: 'mail_class',
        matched: alone({ eventTypes: null, mailClasses }),
        found: mailclass,
        current_name: null,
        wanted: [...mailClasses],
      });
    }
    if (conditions.length === 0) {
      conditions.push({ key: 'all', matched: true, found: null, current_name: null, wanted: [] });
    }
    const behind = !taken.has(at) && conditions.every(({ matched }) => matched);
    return {
      verdict: taken.has(at) ? 'taken' : behind ? 'behind' : 'other',
      taken_by: behind ? last : null,
      conditions,
    };
  });
}
