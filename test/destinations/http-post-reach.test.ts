// FAULTS H6: receivers that are away, names that do not exist, certificates that do not hold.

import { describe, expect, test } from 'vitest';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { AUTHORITY, EXPIRED, KEY, SELF_SIGNED, VALID, WRONG_HOST } from './certificates.ts';
import { httpPost } from './samples.ts';

describe('a receiver that cannot be reached', () => {
  test('is a failure that names host and port', async () => {
    const receiver = await createHttpReceiver();
    await receiver.close();
    await using destination = httpPost(receiver.url());
    expect(await destination.errorOf()).toBe(`connection refused by 127.0.0.1:${receiver.port}`);
  });

  test('is tried anew each time', async () => {
    await using receiver = await createHttpReceiver();
    await using destination = httpPost(receiver.url().replace('127.0.0.1', 'localhost'), { concurrency: 1 });
    expect(await destination.errorOf()).toBeNull();
    await receiver.close();
    for (let n = 0; n < 3; n += 1) expect(await destination.errorOf()).toMatch(/^connection refused by localhost:/);
  });

  test('because its name does not exist is a failure', async () => {
    await using destination = httpPost('http://no-such-host.invalid/');
    expect(await destination.errorOf()).toMatch(
      /host name of no-such-host\.invalid:80 (does not exist|cannot be looked up)/,
    );
  });
});

describe('a certificate', () => {
  const errorWith = async (cert: string, ca?: string): Promise<string | null> => {
    await using receiver = await createHttpReceiver({}, { tls: { key: KEY, cert } });
    await using destination = httpPost(receiver.url(), ca === undefined ? {} : { tls: { ca, cert: null, key: null } });
    return await destination.errorOf();
  };

  test('of a trusted authority is accepted', async () => {
    expect(await errorWith(VALID, AUTHORITY)).toBeNull();
  });

  test('that is expired, for another host, self-signed or of an unknown authority is refused', async () => {
    expect(await errorWith(EXPIRED, AUTHORITY)).toMatch(
      /^the certificate of 127\.0\.0\.1:\d+ has expired \(CERT_HAS_EXPIRED\)$/,
    );
    expect(await errorWith(WRONG_HOST, AUTHORITY)).toMatch(/is for another host/);
    expect(await errorWith(SELF_SIGNED)).toMatch(/is self-signed/);
    expect(await errorWith(VALID)).toMatch(/trusted/);
  });

  test('is verified even where the environment says not to', async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      expect(await errorWith(SELF_SIGNED)).toMatch(/is self-signed/);
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
  });
});

test('an https URL to a plain receiver is a failure that says so', async () => {
  await using receiver = await createHttpReceiver();
  await using destination = httpPost(receiver.url().replace('http:', 'https:'));
  expect(await destination.errorOf()).toMatch(/^no TLS connection with 127\.0\.0\.1:/);
});
