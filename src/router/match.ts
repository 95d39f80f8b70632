// Which routes an event takes: the first whose conditions it meets, and with `continue` the next ones too, up to the
// first without it. Pure; nothing here knows what a destination is.

import type { RouteConfig } from '../config/config.ts';
import { canonicalType } from '../event/catalog.ts';
import type { RawValue } from '../event/event.ts';

/**
 * The indexes of the routes that an event takes, in order; none when no route matches.
 *
 * @param eventType the row's own value; former names match as what they were renamed to, case does not matter.
 * @param mailclass the row's value, null where it is empty or the table has no such column.
 */
export function matchesOf(routes: Routes, eventType: RawValue, mailclass: RawValue): readonly number[] {
  const type = eventType === null ? null : canonicalType(eventType);
  const mailClass = mailclass === null ? null : mailclass.toLowerCase();
  let at = nextMatch(routes, type, mailClass, 0);
  if (at < 0) return NOWHERE;
  if (routes[at]?.continues !== true) return alone(at);
  const found: number[] = [];
  for (; at >= 0; at = nextMatch(routes, type, mailClass, at + 1)) {
    found.push(at);
    if (routes[at]?.continues !== true) break;
  }
  return found;
}

type Routes = readonly Pick<RouteConfig, 'matches' | 'continues'>[];

function nextMatch(routes: Routes, type: string | null, mailClass: string | null, from: number): number {
  for (let at = from; at < routes.length; at += 1) {
    const route = routes[at];
    if (route && meets(route.matches.eventTypes, type) && meets(route.matches.mailClasses, mailClass)) return at;
  }
  return -1;
}

const meets = (wanted: ReadonlySet<string> | null, value: string | null): boolean =>
  wanted === null || (value !== null && wanted.has(value));

const NOWHERE: readonly number[] = [];
/** Nearly every event takes one route: not worth a new list each time. */
const ALONE: (readonly number[])[] = [];

function alone(at: number): readonly number[] {
  const known = ALONE[at];
  if (known) return known;
  ALONE[at] = [at];
  return [at];
}
