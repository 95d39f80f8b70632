// Makes one entry of `event_destinations` into the route that the router uses: defaults filled in, secrets resolved,
// the destination's key known. And says when two entries disagree about the destination they share.

import { Secret } from '../lib/secret.ts';
import type { DestinationConfig, RouteConfig } from './config.ts';
import { type HttpPostOptions, makeHttpPost } from './http-route.ts';
import { destinationKey } from './identity.ts';
import { readMatches } from './matching.ts';
import { type Finding, formatPath } from './problem.ts';
import type { EntryInput } from './shape.ts';
import { makeSqlDestination } from './sql-destination.ts';

/** What making the routes of a file needs besides their entries. */
export interface RouteOptions extends HttpPostOptions {}

/** A route in its place in the file. */
export interface PlacedRoute {
  readonly at: number;
  readonly route: RouteConfig;
}

/** Makes the entry with the index `at` into a route, or says what is wrong with it. */
export async function makeRoute(
  entry: EntryInput,
  at: number,
  options: RouteOptions,
): Promise<{ readonly route: RouteConfig | null; readonly findings: readonly Finding[] }> {
  const { destination: input, enabled, name, continue: continues } = entry;
  const matches = readMatches(entry.matches);
  const done = (destination: DestinationConfig, key: string) => ({
    route: { matches, destination, key, enabled, continues },
    findings: [],
  });
  switch (input.type) {
    case 'leave_in_queue':
    case 'drop_from_queue':
      return done({ type: input.type }, destinationKey(input.type, name));
    case 'http_post': {
      const made = await makeHttpPost(input, ['event_destinations', at, 'destination'], options);
      if ('findings' in made) return { route: null, findings: made.findings };
      return done(made.destination, destinationKey(input.type, name, made.target));
    }
    case 'custom_sql':
    case 'sql_insert': {
      const made = await makeSqlDestination(input, ['event_destinations', at, 'destination'], options);
      if ('findings' in made) return { route: null, findings: made.findings };
      return done(made.destination, destinationKey(input.type, name, made.parts));
    }
    default:
      return input satisfies never;
  }
}

/**
 * Finds entries that share a destination, by their key, but want different things of it.
 *
 * @param lineOf the line on which the entry with this index begins.
 */
export function findConflicts(routes: readonly PlacedRoute[], lineOf: (at: number) => number): Finding[] {
  const first = new Map<string, PlacedRoute>();
  return routes.flatMap((placed) => {
    const { at, route } = placed;
    const other = first.get(route.key);
    if (other === undefined) first.set(route.key, placed);
    if (other === undefined || settings(other.route) === settings(route)) return [];
    const there = `${formatPath(['event_destinations', other.at])} (line ${lineOf(other.at)})`;
    const message = `this goes to the same destination as ${there} (${JSON.stringify(route.key)}), with another target or other settings: make the two equal, or give each a "name" of its own`;
    return [{ path: ['event_destinations', at, 'destination'], message }];
  });
}

/** What two entries with one destination must agree on, for comparing only: there are secrets in it. */
function settings({ destination, enabled }: RouteConfig): string {
  // A replacer is given the masked text; the secret itself is still in the object that holds it.
  return JSON.stringify([enabled, destination], function (this: unknown, key, value: unknown) {
    const original = (this as Readonly<Record<string, unknown>>)[key];
    return original instanceof Secret ? original.reveal() : value;
  });
}
