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
export function matchesOf(
  routes: readonly Pick<RouteConfig, 'matches' | 'continues'>[],
  eventType: RawValue,
  mailclass: RawValue,
): readonly number[] {
  const type = eventType === null ? null : canonicalType(eventType);
  const mailClass = mailclass === null ? null : mailclass.toLowerCase();
  const found: number[] = [];
  for (let at = 0; at < routes.length; at += 1) {
    const route = routes[at];
    if (!route || !meets(route.matches.eventTypes, type) || !meets(route.matches.mailClasses, mailClass)) continue;
    found.push(at);
    if (!route.continues) break;
  }
  return found;
}

const meets = (wanted: ReadonlySet<string> | null, value: string | null): boolean =>
  wanted === null || (value !== null && wanted.has(value));
