// Which route an event takes: the first whose conditions it meets. Pure; nothing here knows what a destination is.

import type { MatchConfig } from '../config/config.ts';
import { canonicalType } from '../event/catalog.ts';
import type { RawValue } from '../event/event.ts';

/**
 * The index of the first match, or -1.
 *
 * @param eventType the row's own value; former names match as what they were renamed to, case does not matter.
 * @param mailclass the row's value, null where it is empty or the table has no such column.
 */
export function firstMatch(
  routes: readonly { readonly matches: MatchConfig }[],
  eventType: RawValue,
  mailclass: RawValue,
): number {
  const type = eventType === null ? null : canonicalType(eventType);
  const mailClass = mailclass === null ? null : mailclass.toLowerCase();
  return routes.findIndex(({ matches }) => meets(matches.eventTypes, type) && meets(matches.mailClasses, mailClass));
}

const meets = (wanted: ReadonlySet<string> | null, value: string | null): boolean =>
  wanted === null || (value !== null && wanted.has(value));
