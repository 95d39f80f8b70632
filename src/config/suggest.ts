// "Did you mean …?" for keys, destination types and event types.

import { closest, distance } from 'fastest-levenshtein';

/**
 * The hint that ends a message about an unknown word: `; did you mean "url"?`, or nothing when no candidate is near.
 * `eventType` and `Event-Type` are as near to `event_type` as it gets.
 */
export function didYouMean(word: string, candidates: readonly string[]): string {
  if (candidates.length === 0 || word.length > 100) return '';
  const written = plain(word);
  const best = closest(written, candidates);
  const tolerated = Math.max(1, Math.floor(Math.max(written.length, best.length) / 3));
  return distance(written, best) <= tolerated ? `; did you mean "${best}"?` : '';
}

function plain(word: string): string {
  return word
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/[-\s]+/g, '_')
    .toLowerCase();
}
