// Where a POST goes, taken apart from its URL once: what the request needs, and what no error text may show. User
// information becomes basic authentication, as in curl; a fragment is not sent.

import type { HttpPostConfig } from '../config/config.ts';
import { TailraceError } from '../lib/errors.ts';
import { createHttpProxy, type HttpProxy } from './http-proxy.ts';
import { basicAuthorization, createScrub, decodePercent } from './http-secrets.ts';

export interface HttpTarget {
  /** Scheme, host and port that a connection speaks HTTP with: the receiver's, or those of a proxy that does not tunnel. */
  readonly origin: string;
  /** As it stands in the request line: path and query, or for such a proxy the whole URL. */
  readonly path: string;
  /** Value of the `authorization` header, or null. */
  readonly authorization: string | null;
  /** More headers, for such a proxy; names and values in turn. */
  readonly proxyHeaders: readonly string[];
  readonly proxy: HttpProxy | null;
  /** Host and port for an error text. */
  readonly place: string;
  /** The address that a `Location` header may be relative to, without user information and query. */
  readonly publicUrl: string;
  /** Replaces whatever is secret about the destination, should a receiver send it back. */
  readonly scrub: (text: string) => string;
}

/**
 * Takes the URL of an `http_post` destination apart.
 *
 * @throws {TailraceError} CONFIG_INVALID when it is not an http or https URL; the URL itself is not in the message.
 */
export function createHttpTarget(destination: HttpPostConfig): HttpTarget {
  const url = parse(destination.url.reveal());
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw new TailraceError('CONFIG_INVALID', 'the url of an http_post destination is not an http or https URL');
  }
  const proxy = destination.proxy && createHttpProxy(destination.proxy, url);
  const asked = proxy && !proxy.tunnels ? proxy : null;
  const receiver = url.port ? url.host : `${url.hostname}:${url.protocol === 'https:' ? 443 : 80}`;
  return {
    origin: asked ? asked.origin : url.origin,
    path: (asked ? url.origin : '') + url.pathname + url.search,
    authorization: authorizationOf(destination, url),
    proxyHeaders: asked
      ? ['host', url.host, ...(asked.authorization ? ['proxy-authorization', asked.authorization] : [])]
      : [],
    proxy,
    place: asked ? `${receiver} through ${asked.place}` : receiver,
    publicUrl: url.origin + url.pathname,
    scrub: createScrub(destination),
  };
}

function authorizationOf({ auth }: HttpPostConfig, url: URL): string | null {
  if (auth?.type === 'bearer') return `Bearer ${auth.token.reveal()}`;
  if (auth?.type === 'basic') return basicAuthorization(auth.username.reveal(), auth.password.reveal());
  if (!url.username && !url.password) return null;
  return basicAuthorization(decodePercent(url.username), decodePercent(url.password));
}

function parse(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    // Node's error carries the whole text in `input`: it must not travel on as a cause.
    return null;
  }
}
