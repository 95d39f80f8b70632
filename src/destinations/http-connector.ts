// How a connection to the receiver of one destination comes to be: directly or through the proxy of the environment,
// with the destination's own certificates, to public addresses only where that is asked for.

import { isIP, type LookupFunction } from 'node:net';
import type { HttpPostConfig } from '../config/config.ts';
import { createPublicLookup, isPublicAddress, notPublic } from './http-address.ts';
import { buildConnector } from './http-client.ts';
import type { Connector } from './http-connections.ts';
import { createTunnel, type HttpProxy } from './http-proxy.ts';

export interface ConnectorOptions extends Pick<HttpPostConfig, 'tls' | 'publicOnly'> {
  /** Never less than the deadline of an exchange, which ends it first. */
  readonly timeoutMs: number;
  /** null = none. */
  readonly proxy: HttpProxy | null;
  /** Node's own unless a test gives one. */
  readonly lookup?: LookupFunction;
}

/** Creates the connector of one destination. It keeps TLS sessions, and nothing else, between connections. */
export function createConnector({ timeoutMs, tls, publicOnly, proxy, lookup }: ConnectorOptions): Connector {
  const resolve = publicOnly ? createPublicLookup(lookup) : lookup;
  const common = {
    timeout: timeoutMs,
    // Said aloud, because NODE_TLS_REJECT_UNAUTHORIZED=0 would else switch the verification off.
    rejectUnauthorized: true,
    ...(resolve && { lookup: resolve }),
  };
  const own = {
    ...(tls?.ca != null && { ca: tls.ca }),
    ...(tls?.cert != null && { cert: tls.cert }),
    ...(tls?.key != null && { key: tls.key.reveal() }),
  };
  // The connector returns the socket, though its type does not say so.
  const direct = buildConnector({ ...common, ...own }) as unknown as Connector;
  if (proxy?.tunnels) return createTunnel(proxy, common, direct);
  // Who speaks to the proxy itself shows it no certificate of the destination.
  if (proxy) return buildConnector(common) as unknown as Connector;
  if (!publicOnly) return direct;
  return (options, callback) => {
    // An address that stands in the URL is connected to without a lookup.
    if (isIP(options.hostname) === 0 || isPublicAddress(options.hostname)) return direct(options, callback);
    process.nextTick(callback, notPublic(options.hostname), null);
    return { destroy: () => undefined };
  };
}
