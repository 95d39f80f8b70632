// `public_only`: which addresses it takes, and that a connection to any other never begins. Nothing here ever connects
// to an address that is not this machine's own, not even while the code under test is broken.

import type { LookupFunction } from 'node:net';
import { describe, expect, test } from 'vitest';
import { createPublicLookup, isPublicAddress } from '../../src/destinations/http-address.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { httpPost } from './samples.ts';

const REFUSED: readonly (readonly [what: string, ...addresses: readonly string[]])[] = [
  ['unspecified', '0.0.0.0', '0.1.2.3', '::'],
  ['loopback', '127.0.0.1', '127.255.255.254', '::1'],
  ['private', '10.0.0.0', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', '192.168.255.255'],
  ['link-local', '169.254.0.1', '169.254.169.254', 'fe80::1', 'fe80::1%eth0', 'febf::1'],
  ['carrier-grade NAT', '100.64.0.1', '100.127.255.255'],
  ['multicast', '224.0.0.1', '239.255.255.255', 'ff02::1', 'ff0e::1'],
  ['broadcast', '255.255.255.255'],
  [
    'reserved',
    '240.0.0.1',
    '192.0.0.1',
    '192.88.99.1',
    '198.18.0.1',
    '198.19.255.255',
    '2001:2::1',
    '100::1',
    '5f00::1',
  ],
  ['for documentation', '192.0.2.1', '198.51.100.1', '203.0.113.1', '2001:db8::1', '3fff::1'],
  ['unique local', 'fc00::1', 'fd12:3456:789a::1', 'fd00:ec2::254'],
  ['site-local', 'fec0::1'],
  ['IPv4-mapped', '::ffff:127.0.0.1', '::ffff:7f00:1', '::ffff:a9fe:a9fe', '::ffff:8.8.8.8'],
  ['IPv4-compatible', '::127.0.0.1', '::7f00:1', '::a00:1'],
  ['IPv4-translated', '::ffff:0:127.0.0.1'],
  ['NAT64', '64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::a00:1'],
  ['6to4', '2002:7f00:1::', '2002:a00:1::1'],
  ['Teredo', '2001:0:7f00:1::1', '2001::1'],
  ['ISATAP', '2606:4700::5efe:a00:1', '2606:4700::200:5efe:a00:1'],
  ['given to nobody', '4000::1', 'e000::1', '::2', '1::1'],
  [
    'no address',
    '',
    'localhost',
    '127.1',
    '0x7f.0.0.1',
    '017700000001',
    '2130706433',
    '1.2.3.4.5',
    '[::1]',
    ' 8.8.8.8',
  ],
];

const TAKEN = [
  ['8.8.8.8', '1.1.1.1', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '126.255.255.255', '128.0.0.1'],
  [
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
  ],
  ['198.20.0.0', '223.255.255.255', '2606:4700:4700::1111', '2a00:1450:4001:830::200e', '2001:4860:4860::8888'],
].flat();

test.each(REFUSED)('%s addresses are not public', (_, ...addresses) => {
  expect(addresses.filter(isPublicAddress)).toEqual([]);
});

test('the addresses of the internet are, up to the edges of the others', () => {
  expect(TAKEN.filter((address) => !isPublicAddress(address))).toEqual([]);
});

/** A lookup that knows one name, and counts. */
function resolving(...addresses: readonly string[]) {
  let calls = 0;
  const lookup: LookupFunction = (_, options, callback) => {
    calls += 1;
    const found = addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    const [first] = found;
    process.nextTick(() =>
      options.all ? callback(null, found) : callback(null, first?.address ?? '', first?.family ?? 0),
    );
  };
  return {
    lookup,
    get calls() {
      return calls;
    },
  };
}

const ask = (lookup: LookupFunction, all: boolean) =>
  new Promise((resolve) => {
    lookup('h', { all }, (error, address) => resolve(error ? error.message : address));
  });

test('the lookup passes only public addresses on', async () => {
  const { lookup } = resolving('10.0.0.1', '8.8.8.8', '::1', '2606:4700:4700::1111');
  expect(await ask(createPublicLookup(lookup), true)).toEqual([
    { address: '8.8.8.8', family: 4 },
    { address: '2606:4700:4700::1111', family: 6 },
  ]);
  expect(await ask(createPublicLookup(lookup), false)).toBe('8.8.8.8');
});

test('the lookup fails where there is no public address, or none at all', async () => {
  expect(await ask(createPublicLookup(resolving('10.0.0.1', '::1').lookup), true)).toBe(
    '10.0.0.1 is not a public address',
  );
  expect(await ask(createPublicLookup(resolving().lookup), true)).toBe('h is not a public address');
  const failing: LookupFunction = (_, __, callback) =>
    callback(Object.assign(new Error('gone'), { code: 'ENOTFOUND' }), '');
  expect(await ask(createPublicLookup(failing), true)).toBe('gone');
});

describe('with public_only', () => {
  const hosts = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '127.0.0.1.',
    '１２７.0.0.1',
    'localhost',
  ];

  test.each(hosts)('the host %s is refused before anything is connected', async (host) => {
    await using receiver = await createHttpReceiver();
    for (const url of [`http://${host}:${receiver.port}/`, `https://${host}:${receiver.port}/`]) {
      await using destination = httpPost(url, { publicOnly: true });
      expect(await destination.errorOf()).toMatch(
        /^not connected to .*: .* is not a public address, and public_only is set$/,
      );
    }
    expect(receiver.connections).toBe(0);
  });

  test.each(['127.0.0.1', '::1', '::ffff:127.0.0.1'])(
    'a name that leads to %s is refused before anything is connected',
    async (address) => {
      await using receiver = await createHttpReceiver();
      const { lookup } = resolving(address);
      const url = `http://rebound.example:${receiver.port}/`;
      await using destination = httpPost(url, { publicOnly: true }, { lookup });
      expect(await destination.errorOf()).toBe(
        `not connected to rebound.example:${receiver.port}: ${address} is not a public address, and public_only is set`,
      );
      expect(receiver.connections).toBe(0);
    },
  );

  test('the address is looked at in every connect, whatever the name said before', async () => {
    await using receiver = await createHttpReceiver();
    const resolved = resolving('127.0.0.1');
    const url = `http://rebound.example:${receiver.port}/`;
    await using destination = httpPost(url, { publicOnly: true }, { lookup: resolved.lookup });
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      expect(await destination.errorOf()).toMatch(/public_only is set$/);
      expect(resolved.calls).toBe(attempt);
    }
  });

  test('and without it the same name is connected to', async () => {
    await using receiver = await createHttpReceiver();
    const { lookup } = resolving('127.0.0.1');
    await using destination = httpPost(`http://rebound.example:${receiver.port}/`, {}, { lookup });
    expect(await destination.errorOf()).toBeNull();
  });
});
