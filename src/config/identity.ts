// What a destination is called in PostgreSQL and in `status`, across restarts and reloads: its failed events belong to
// this key. It shows no user information, no query and nothing of a URL that was given as a secret but its origin.

import { createHash } from 'node:crypto';
import type { DestinationConfig } from './config.ts';

/** The parts of a URL that may be seen. */
export interface HttpTarget {
  /** Scheme, host and port; with the path unless the whole URL is a secret. */
  readonly visible: string;
  /** The rest, without user information and fragment. */
  readonly hidden: string;
}

/** Splits an HTTP URL into what may be seen of it and what not; `secret` = it came from the environment or a file. */
export function splitHttpUrl(url: URL, secret: boolean): HttpTarget {
  if (secret)
    return { visible: `${url.origin}/`, hidden: url.pathname === '/' ? url.search : url.pathname + url.search };
  return { visible: url.origin + url.pathname, hidden: url.search };
}

/**
 * The key of a destination (SPEC 5): its name, else its type and target. What is hidden of the target is told apart by
 * a short hash: `http_post https://hooks.example.com/bounces ?#1c9f03ab`.
 */
export function destinationKey(type: DestinationConfig['type'], name?: string, target?: HttpTarget): string {
  if (name !== undefined) return name;
  if (target === undefined) return type;
  if (target.hidden === '') return `${type} ${target.visible}`;
  return `${type} ${target.visible} ?#${shortHash(target.visible + target.hidden)}`;
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
