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
  for (const [at, { matches, continues }] of routes.entries()) {
    if (!meets(matches.eventTypes, type) || !meets(matches.mailClasses, mailClass)) continue;
    found.push(at);
    if (!continues) break;
  }
  return found;
}

const meets = (wanted: ReadonlySet<string> | null, value: string | null): boolean =>
  wanted === null || (value !== null && wanted.has(value));
