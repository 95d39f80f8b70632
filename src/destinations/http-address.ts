// `public_only`: which addresses belong to the public internet, and the lookup that gives a connection no others. The
// check stands inside the connect, so that a name cannot answer with one address when it is checked and with another
// when it is used (DNS rebinding).

import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';
import { NOT_PUBLIC } from './http-error.ts';

/** Of IPv6 only this block is given out: https://www.iana.org/assignments/ipv6-address-space/ */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');

/**
 * Whether an address is one of the public internet: not private, loopback, link-local, multicast, shared (CGNAT),
 * unique local, reserved or for documentation, nor an IPv6 address that stands for an IPv4 one (mapped, compatible,
 * translated, NAT64, 6to4, Teredo, ISATAP), whatever that one is.
 *
 * @param address as a lookup gives it or as it stands in a URL, without brackets; anything else is not public.
 */
export function isPublicAddress(address: string): boolean {
  // isIP takes no short, octal or decimal form, which ipaddr.js would.
  if (isIP(address) === 0 || address.includes('%')) return false;
  const parsed = ipaddr.parse(address);
  if (parsed.range() !== 'unicast') return false;
  if (parsed instanceof ipaddr.IPv4) return true;
  const [, , , , group4, group5] = parsed.parts;
  const isatap = (group4 === 0 || group4 === 0x0200) && group5 === 0x5efe;
  return parsed.match(GLOBAL_UNICAST) && !isatap;
}

/** The error of a connection that would have led to an address that is not public. */
export function notPublic(address: string): Error {
  return Object.assign(new Error(`${address} is not a public address`), { code: NOT_PUBLIC, address });
}

/**
 * Wraps a lookup so that it gives public addresses only; a name that has no other fails with NOT_PUBLIC.
 *
 * @param resolve asked for all addresses of a name; Node's own lookup unless a test gives one.
 */
export function createPublicLookup(resolve: LookupFunction = lookup as LookupFunction): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, []);
      const addresses = Array.isArray(found) ? found : [{ address: found, family: isIP(found) }];
      const open = addresses.filter(({ address }) => isPublicAddress(address));
      const [first] = open;
      if (first === undefined) return callback(notPublic(addresses[0]?.address ?? hostname), []);
      if (options.all) callback(null, open);
      else callback(null, first.address, first.family);
    });
  };
}
