// When is a configuration a new one? When its routing part differs: then everything that is left, failed or waiting is
// looked at again (SPEC 5, QUEUE B7). Tuning, credentials and the log file make no difference.

import { createHash } from 'node:crypto';
import type { DestinationConfig, RouteConfig } from './config.ts';
import { describeSqlTarget } from './identity.ts';

/** Hex SHA-256 over the routes in order: what each matches, and where to and in which form it sends. */
export function fingerprintOf(routes: readonly Omit<RouteConfig, 'enabled'>[]): string {
  const canonical = routes.map(({ matches, destination, key, continues }) => [
    sorted(matches.eventTypes),
    sorted(matches.mailClasses),
    key,
    ...describe(destination),
    // Nothing when it is off: what older versions wrote stays the same.
    ...(continues ? ['continue'] : []),
  ]);
  return createHash('sha256').update(JSON.stringify(canonical)).digest('hex');
}

function sorted(set: ReadonlySet<string> | null): string[] | null {
  return set && [...set].sort();
}

function describe(destination: DestinationConfig): string[] {
  switch (destination.type) {
    case 'http_post': {
      // The key may be a name: a named destination that moves to another address is a new configuration all the same.
      const url = new URL(destination.url.reveal());
      return [destination.type, url.origin + url.pathname, destination.format, destination.columns];
    }
    case 'custom_sql':
      return [
        destination.type,
        describeSqlTarget(destination.target),
        ...destination.pieces,
        '',
        ...destination.bindList,
      ];
    case 'sql_insert': {
      const { target, table, columns } = destination;
      return [destination.type, describeSqlTarget(target), ...table, '', ...(columns ?? ['*'])];
    }
    case 'drop_from_queue':
    case 'leave_in_queue':
      return [destination.type];
    default:
      return destination satisfies never;
  }
}
