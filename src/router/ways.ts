// From an event and the configuration to what becomes of it: the ways of all routes that it takes, and what they want of
// it together.

import type { BatchEvent, Regime, Route } from '../flow/batch.ts';
import type { Way } from './lanes.ts';
import { matchesOf } from './match.ts';
import type { Wanted } from './transitions.ts';

/** The ways that an event goes; none where the configuration has no destinations. */
export function waysOf({ event }: BatchEvent, regime: Regime, ways: readonly Way[]): readonly Way[] {
  const found = matchesOf(regime.routes, event.eventType, regime.routes.some(asksForClass) ? event.mailclass : null);
  const [first] = found;
  const only = first === undefined ? undefined : ways[first];
  if (only && found.length === 1) return alone(only);
  return found.flatMap((at) => ways[at] ?? []);
}

/** The mail class stands far behind in the row: it is looked up where a rule asks for it. */
const asksForClass = ({ matches }: Route): boolean => matches.mailClasses !== null;

/** Nearly every event goes one way: neither the list of it nor what it wants is made for each. */
const ALONE = new WeakMap<Way, readonly Way[]>();
const WANTED = new WeakMap<readonly Way[], Wanted>();

function alone(way: Way): readonly Way[] {
  const known = ALONE.get(way);
  if (known) return known;
  const made = [way];
  ALONE.set(way, made);
  return made;
}

/** Nothing but drops. */
export const isDropped = (ways: readonly Way[]): boolean => ways.every(({ outcome }) => outcome === 'dropped');

/** A drop among other ways asks for nothing: the row goes when the others have it. */
export function wantedOf(ways: readonly Way[]): Wanted {
  const known = WANTED.get(ways);
  if (known) return known;
  const wanted = {
    left: ways.some(({ outcome }) => outcome === 'left'),
    destinations: ways.flatMap(({ lane }) => lane?.destinationId ?? []),
  };
  WANTED.set(ways, wanted);
  return wanted;
}
