// Which proxy the environment names for a URL: HTTP_PROXY for http://, HTTPS_PROXY for https://, NO_PROXY for the
// exceptions; a name in lower case goes first, and the two schemes know nothing of each other, as in curl and Go.

import ipaddr from 'ipaddr.js';
import { Secret } from '../lib/secret.ts';

/**
 * Finds the proxy for a URL. A loopback address never goes through one: there it would mean the proxy's own host.
 *
 * @returns the proxy's URL and the variable that names it, null when the destination is reached directly, or words on
 *   what is wrong; never the URL itself, which may bear a password.
 */
export function findProxy(
  url: URL,
  env: NodeJS.ProcessEnv,
): { readonly proxy: Secret; readonly variable: string } | { readonly proxy: null } | { readonly problem: string } {
  const name = url.protocol === 'https:' ? 'https_proxy' : 'http_proxy';
  const variable = env[name] === undefined ? name.toUpperCase() : name;
  const text = env[variable]?.trim();
  if (!text || isLoopback(url.hostname) || isExcepted(url, env.no_proxy ?? env.NO_PROXY ?? '')) return { proxy: null };
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  const problem = `the environment variable ${variable} names a proxy that is no http:// or https:// URL`;
  if (!URL.canParse(full)) return { problem };
  const proxy = new URL(full);
  if (proxy.protocol !== 'http:' && proxy.protocol !== 'https:') return { problem };
  return { proxy: new Secret(proxy.href), variable };
}

function isLoopback(hostname: string): boolean {
  if (hostname === 'localhost' || hostname.endsWith('.localhost')) return true;
  return addressOf(hostname)?.range() === 'loopback';
}

/** `*`, or a list of hosts (their subdomains too), `host:port` and, as Go reads it, networks such as `10.0.0.0/8`. */
function isExcepted({ hostname, protocol, port }: URL, list: string): boolean {
  const host = hostname.replace(/\.$/, '');
  const portNumber = port || (protocol === 'https:' ? '443' : '80');
  return list
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => {
      if (entry === '*') return true;
      if (entry.includes('/')) return isInNetwork(host, entry);
      const [, name = entry, ofPort] = /^(.+?):(\d+)$/.exec(withBrackets(entry)) ?? [];
      if (ofPort !== undefined && ofPort !== portNumber) return false;
      const wanted = (ofPort === undefined ? withBrackets(entry) : name).replace(/^\*?\./, '');
      return host === wanted || host.endsWith(`.${wanted}`);
    });
}

/** An IPv6 address as URLs write it. */
function withBrackets(entry: string): string {
  return ipaddr.IPv6.isValid(entry) ? `[${entry}]` : entry;
}

function isInNetwork(host: string, network: string): boolean {
  const address = addressOf(host);
  if (address === null || !ipaddr.isValidCIDR(network)) return false;
  const [start, bits] = ipaddr.parseCIDR(network);
  return start.kind() === address.kind() && address.match(start, bits);
}

function addressOf(hostname: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  const text = hostname.replace(/^\[|\]$/g, '');
  return ipaddr.isValid(text) ? ipaddr.parse(text) : null;
}
