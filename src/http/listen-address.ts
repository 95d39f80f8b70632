// Where a server of ours listens: `127.0.0.1:8025`, `[::1]:8025`, `localhost:8025`, or a Unix socket, `unix:/run/tailrace.sock`
// or just its path. A name becomes the address that is listened on, so that what is checked is what is used.

import { lookup } from 'node:dns/promises';
import ipaddr from 'ipaddr.js';
import { EXIT, messageOf, TailraceError } from '../lib/errors.ts';

export type ListenAddress =
  | { readonly kind: 'unix'; readonly path: string; readonly isLocal: true }
  | {
      readonly kind: 'tcp';
      readonly host: string;
      readonly port: number;
      /** Only programs on this machine can connect. */
      readonly isLocal: boolean;
    };

/** Linux has 107 bytes; it cuts a longer path without a word. */
const MAX_SOCKET_PATH_BYTES = 107;

/**
 * Reads an address to listen on.
 *
 * @throws {TailraceError} `LISTEN_ADDRESS`, exit code 2.
 */
export async function parseListenAddress(text: string): Promise<ListenAddress> {
  if (/^(?:unix:|[/.])/.test(text)) return unixAddress(text);
  const [, v6, name, digits] = /^(?:\[([^\]]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  const given = v6 ?? name;
  if (given === undefined || !(port <= 65_535)) {
    throw wrong(text, 'say host:port, [ipv6]:port, or unix:/path');
  }
  const host = ipaddr.isValid(given) ? given : await resolve(text, given);
  return { kind: 'tcp', host, port, isLocal: ipaddr.process(host).range() === 'loopback' };
}

/** For people and logs. */
export function printAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const { host, port } = address;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function unixAddress(text: string): ListenAddress {
  const path = text.replace(/^unix:/, '');
  if (path === '' || Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw wrong(text, `the path of a Unix socket has 1 to ${MAX_SOCKET_PATH_BYTES} bytes`);
  }
  return { kind: 'unix', path, isLocal: true };
}

async function resolve(text: string, name: string): Promise<string> {
  try {
    return (await lookup(name)).address;
  } catch (cause) {
    throw wrong(text, messageOf(cause), cause);
  }
}

function wrong(text: string, why: string, cause?: unknown): TailraceError {
  return new TailraceError('LISTEN_ADDRESS', `cannot listen on "${text}": ${why}`, { exitCode: EXIT.usage, cause });
}
