// FAULTS H6: receivers that ask who we are, by certificate or by password.

import { expect, test } from 'vitest';
import { Secret } from '../../src/lib/secret.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { AUTHORITY, KEY, SELF_SIGNED, VALID } from './certificates.ts';
import { httpPost } from './samples.ts';

const receiving = () => createHttpReceiver({}, { tls: { key: KEY, cert: VALID, clientCa: AUTHORITY } });
const showing = (cert: string | null) => ({
  tls: { ca: AUTHORITY, cert, key: cert === null ? null : new Secret(KEY) },
});

test('a client certificate that the receiver trusts is shown', async () => {
  await using receiver = await receiving();
  await using destination = httpPost(receiver.url(), showing(VALID));
  expect(await destination.errorOf()).toBeNull();
});

test('without one, or with one that it does not trust, it is a failure every time', async () => {
  await using receiver = await receiving();
  for (const cert of [null, SELF_SIGNED]) {
    await using destination = httpPost(receiver.url(), showing(cert));
    for (let attempt = 0; attempt < 2; attempt += 1) {
      expect(await destination.errorOf()).toMatch(/client certificate \(tls\.cert\)|closed the connection/);
    }
  }
  expect(receiver.requests).toHaveLength(0);
});

test('wrong credentials are a failure with the status, and without the credentials', async () => {
  await using receiver = await createHttpReceiver(({ headers }) =>
    headers.authorization === 'Bearer right' ? {} : { status: 401, body: `not ${headers.authorization}` },
  );
  await using destination = httpPost(receiver.url(), { auth: { type: 'bearer', token: new Secret('canary') } });
  expect(await destination.errorOf()).toBe('HTTP 401 Unauthorized: not Bearer [secret]');
});
