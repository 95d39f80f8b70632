// Makes one entry of `event_destinations` into the route that the router uses: defaults filled in, secrets resolved,
// the destination's key known. And says when two entries disagree about the destination they share.

import { Secret } from '../lib/secret.ts';
import type { DestinationConfig, HttpPostConfig, RouteConfig } from './config.ts';
import type { DestinationInput } from './destination-shape.ts';
import { destinationKey, splitHttpUrl } from './identity.ts';
import { readMatches } from './matching.ts';
import { type Finding, formatPath, type Path } from './problem.ts';
import { resolveSecret, type SecretOptions } from './secrets.ts';
import type { EntryInput } from './shape.ts';
import { makeSqlDestination } from './sql-destination.ts';
import { tuningOf } from './tuning.ts';

export interface RouteOptions extends SecretOptions {
  /** What `use_json_for_http_post` asks for. */
  readonly defaultFormat: HttpPostConfig['format'];
}

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
      const url = await resolveUrl(input.url, options);
      if ('problem' in url) {
        const path: Path = ['event_destinations', at, 'destination', 'url'];
        return { route: null, findings: [{ path, message: `"url": ${url.problem}` }] };
      }
      const target = splitHttpUrl(url.url, typeof input.url !== 'string');
      return done(httpPost(input, url.url, options.defaultFormat), destinationKey(input.type, name, target));
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

type HttpPostInput = Extract<DestinationInput, { type: 'http_post' }>;

async function resolveUrl(source: HttpPostInput['url'], options: SecretOptions) {
  const resolved = await resolveSecret(source, options);
  if ('problem' in resolved) return resolved;
  const text = resolved.secret.reveal();
  const from = typeof source === 'string' ? 'a text' : 'another text there';
  if (!URL.canParse(text)) return { problem: `expected an http:// or https:// URL, found ${from} that is no URL` };
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    return { problem: `expected an http:// or https:// URL, found ${from} with another scheme` };
  }
  url.hash = '';
  return { url };
}

function httpPost(input: HttpPostInput, url: URL, defaultFormat: HttpPostConfig['format']): HttpPostConfig {
  return {
    type: 'http_post',
    url: new Secret(url.href),
    format: input.format ?? defaultFormat,
    columns: input.columns,
    timeoutMs: input.timeout_ms,
    ...tuningOf(input),
  };
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
  return JSON.stringify([enabled, destination], function (this: Record<string, unknown>, name, value) {
    // JSON.stringify has asked the secret for its text already, and got a mask.
    const own = this[name];
    return own instanceof Secret ? own.reveal() : value;
  });
}
