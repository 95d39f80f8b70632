// Destinations as the commands name them: by the key that `status` shows.

import { didYouMean } from '../config/suggest.ts';
import { TailraceError } from '../lib/errors.ts';
import type { Session } from './session.ts';
import { LIST_DESTINATIONS_SQL } from './sql/lanes.ts';

export interface KnownDestination {
  /** tailrace.destination.destination_id. */
  readonly id: string;
  readonly key: string;
}

/**
 * The destinations with these keys, or all that a processor has ever seen.
 *
 * @throws {TailraceError} `DESTINATION_UNKNOWN`, with those that there are.
 */
export async function findDestinations(
  session: Session,
  keys: readonly string[] | 'all',
): Promise<readonly KnownDestination[]> {
  const known = (await session.query(LIST_DESTINATIONS_SQL)).map(([id, key]) => ({ id: String(id), key: String(key) }));
  if (keys === 'all') return known;
  return keys.map((key) => {
    const found = known.find((each) => each.key === key);
    if (found) return found;
    const names = known.map((each) => each.key);
    const list = names.map((name) => `"${name}"`).join(', ') || 'none until `tailrace run` has seen a configuration';
    const hint = didYouMean(key, names);
    throw new TailraceError('DESTINATION_UNKNOWN', `there is no destination "${key}"${hint}; there are: ${list}`);
  });
}
