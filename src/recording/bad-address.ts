// `--derive-bad-address`: a second event for a hard bounce, for producers that see bounces and do not keep count of them
// for each address (docs/recording.md has the rule).

import { createHash } from 'node:crypto';
import type { Row } from './normalize.ts';

/** Seed 003: `bounce_type` of a hard bounce. */
const HARD = 'h';

/**
 * The `bounce_bad_address` that belongs to a `bounce_all` with `bounce_type` `h`; null for any other event.
 *
 * Its unique id follows from that of the bounce, so that who records the same bounce again derives the same event.
 */
export function deriveBadAddress(row: Row): Row | null {
  if (row.get('event_type') !== 'bounce_all' || row.get('bounce_type') !== HARD) return null;
  const derived = new Map(row).set('event_type', 'bounce_bad_address');
  derived.delete('synchronous'); // which this type does not have
  const unique = row.get('event_unique_id');
  if (unique !== undefined) {
    derived.set('event_unique_id', createHash('sha256').update(`bounce_bad_address ${unique}`).digest('hex'));
  }
  return derived;
}
