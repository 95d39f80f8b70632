// Where a POST goes, taken apart from its URL once: what the request needs, and what no error text may show. User
// information becomes basic authentication, as in curl; a fragment is not sent.

import { TailraceError } from '../lib/errors.ts';
import type { Secret } from '../lib/secret.ts';

export interface HttpTarget {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path and query as they stand in the request line. */
  readonly path: string;
  /** Value of the `authorization` header, or null. */
  readonly authorization: string | null;
  /** Host and port for an error text. */
  readonly place: string;
  /** The address that a `Location` header may be relative to, without user information and query. */
  readonly publicUrl: string;
  /** Replaces whatever is secret in the URL, should a receiver send it back. */
  readonly scrub: (text: string) => string;
}

/** A shorter value is no secret, and masking every `1` would spoil the text. */
const MIN_SECRET_LENGTH = 4;

const MASK = '[secret]';

/**
 * Takes the URL of an `http_post` destination apart.
 *
 * @throws {TailraceError} CONFIG_INVALID when it is not an http or https URL; the URL itself is not in the message.
 */
export function createHttpTarget(secretUrl: Secret): HttpTarget {
  const url = parse(secretUrl.reveal());
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new TailraceError('CONFIG_INVALID', 'the url of an http_post destination is not an http or https URL');
  }
  const username = decode(url.username);
  const password = decode(url.password);
  const credentials = username || password ? Buffer.from(`${username}:${password}`).toString('base64') : null;
  const secrets = [url.search.slice(1), url.username, url.password, username, password, credentials ?? ''];
  for (const part of url.search.slice(1).split('&')) {
    const value = part.slice(part.indexOf('=') + 1);
    secrets.push(value, decode(value), decode(value.replaceAll('+', ' ')));
  }
  return {
    origin: url.origin,
    path: url.pathname + url.search,
    authorization: credentials === null ? null : `Basic ${credentials}`,
    place: url.port ? url.host : `${url.hostname}:${url.protocol === 'https:' ? 443 : 80}`,
    publicUrl: url.origin + url.pathname,
    scrub: createScrub(secrets),
  };
}

function createScrub(secrets: readonly string[]): (text: string) => string {
  const found = [...new Set(secrets)].filter(({ length }) => length >= MIN_SECRET_LENGTH);
  // The longest first: one may be part of another.
  found.sort((a, b) => b.length - a.length);
  return (text) => found.reduce((clean, secret) => clean.replaceAll(secret, MASK), text);
}

function parse(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    // Node's error carries the whole text in `input`: it must not travel on as a cause.
    return null;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
