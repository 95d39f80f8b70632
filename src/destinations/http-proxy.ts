// The proxy of the environment. To an https receiver it gives a tunnel (CONNECT), inside which our own TLS runs; for an
// http one it is asked for the whole URL, since many proxies let nobody tunnel to port 80.

import { type ClientRequest, request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { LookupFunction, Socket } from 'node:net';
import type { Secret } from '../lib/secret.ts';
import type { Connector } from './http-connections.ts';
import { describeHttpError, PROXY_FAILED } from './http-error.ts';
import { basicAuthorization, decodePercent } from './http-secrets.ts';

export interface HttpProxy {
  readonly url: URL;
  /** Scheme, host and port. */
  readonly origin: string;
  /** What it is called in an error text. */
  readonly place: string;
  /** Value of the `proxy-authorization` header, or null. */
  readonly authorization: string | null;
  /** The receiver speaks TLS, so that the proxy only passes octets on. */
  readonly tunnels: boolean;
}

/** Takes the URL of a proxy apart; `receiver` is the URL that is to be reached through it. */
export function createHttpProxy(secret: Secret, receiver: URL): HttpProxy {
  const url = new URL(secret.reveal());
  return {
    url,
    origin: url.origin,
    place: `the proxy ${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`,
    authorization:
      url.username || url.password
        ? basicAuthorization(decodePercent(url.username), decodePercent(url.password))
        : null,
    tunnels: receiver.protocol === 'https:',
  };
}

/**
 * Creates the connector of an https receiver behind a proxy.
 *
 * @param options.lookup of the proxy's own name; the receiver's is looked up by the proxy.
 * @param secure puts TLS on the tunnel.
 */
export function createTunnel(
  proxy: HttpProxy,
  options: { readonly timeout: number; readonly lookup?: LookupFunction },
  secure: Connector,
): Connector {
  const { url, place, authorization } = proxy;
  return (target, callback) => {
    const authority = `${target.hostname.includes(':') ? `[${target.hostname}]` : target.hostname}:${target.port || 443}`;
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request: ClientRequest = send({
      agent: false,
      method: 'CONNECT',
      host: url.hostname.replace(/^\[|\]$/g, ''),
      port: url.port || undefined,
      path: authority,
      headers: { host: authority, ...(authorization !== null && { 'proxy-authorization': authorization }) },
      rejectUnauthorized: true,
      timeout: options.timeout,
      ...(options.lookup && { lookup: options.lookup }),
    });
    let current: { destroy(error: Error): unknown } = request;
    let over = false;
    const fail = (message: string): void => {
      if (over) return;
      over = true;
      callback(Object.assign(new Error(message), { code: PROXY_FAILED }), null);
    };
    request
      .on('connect', ({ statusCode = 0 }, socket: Socket, head: Buffer) => {
        if (over || statusCode < 200 || statusCode > 299) {
          socket.on('error', () => undefined).destroy();
          fail(`${place} does not lead on to ${authority}: ${refusal(statusCode)}`);
          return;
        }
        over = true;
        // The time limit of the request stays on its socket.
        socket.setTimeout(0);
        if (head.length > 0) socket.unshift(head);
        current = secure({ ...target, httpSocket: socket }, callback);
      })
      .on('timeout', () => request.destroy(new Error('timeout')))
      .on('error', (error) => fail(describeHttpError(error, place, 'connecting')))
      .end();
    return { destroy: (error) => current.destroy(error) };
  };
}

function refusal(status: number): string {
  return status === 407 ? 'it asks for a user name and a password (HTTP 407)' : `HTTP ${status}`;
}
