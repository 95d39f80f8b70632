// One line per event: leaves out of a batch what has its line already though PostgreSQL does not know it, since we are
// back after a crash, or since the row came back (a fail-over to an asynchronous replica).

import type { QueuedEvent } from '../event/event.ts';
import type { BatchEvent } from '../flow/batch.ts';
import { FRESH, LOGGED } from '../flow/standing.ts';
import type { KnownLines } from './journal/known-lines.ts';
import { contentOf } from './rendering.ts';

/**
 * Sets those events logged of which a line with their very content is known: an id may have been used again.
 *
 * @param content what a line says of an event.
 * @returns the others.
 */
export async function withoutLine(
  events: readonly BatchEvent[],
  known: readonly KnownLines[],
  content: (event: QueuedEvent) => string,
): Promise<readonly BatchEvent[]> {
  let missing = events;
  for (const source of known) {
    const suspects = missing.filter(({ event }) => source.knows(event.id));
    if (suspects.length === 0) continue;
    const lines = await source.linesOf(new Set(suspects.map(({ event }) => event.id)));
    for (const item of suspects) {
      const expected = content(item.event);
      if (lines.get(item.event.id)?.some((line) => contentOf(line) === expected)) setLogged(item);
    }
    missing = missing.filter(({ standing }) => !standing.logged);
  }
  return missing;
}

/** Its line is in the file. */
export function setLogged(item: BatchEvent): void {
  item.standing = item.standing === FRESH ? LOGGED : { ...item.standing, logged: true, unlogged: false };
}
