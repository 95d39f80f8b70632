// What a request bears besides its event: headers, credentials, signature, compression.

import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import type { HttpPostConfig } from '../../src/config/config.ts';
import { createSigner } from '../../src/destinations/http-signature.ts';
import { Secret } from '../../src/lib/secret.ts';
import { createHttpReceiver, type ReceivedRequest } from '../helpers/http-receiver.ts';
import { httpPost, NEVER, sampleEvent } from './samples.ts';

const header = (name: string, value: string) => ({ name, value: new Secret(value) });

async function requestsOf(changes: Partial<HttpPostConfig>, count = 1): Promise<readonly ReceivedRequest[]> {
  await using receiver = await createHttpReceiver({ body: 'ok' });
  await using destination = httpPost(receiver.url(), changes);
  for (let n = 1; n <= count; n += 1) {
    expect(await destination.errorOf(sampleEvent({ id: String(n), event_unique_id: `u-${n}`, email: 'ü' }))).toBeNull();
  }
  return receiver.requests;
}

test('headers of the configuration are sent with every request', async () => {
  const requests = await requestsOf({ headers: [header('X-Api-Key', 'k 1'), header('Accept', '*/*')] }, 2);
  for (const { headers } of requests) expect(headers).toMatchObject({ 'x-api-key': 'k 1', accept: '*/*' });
});

test('a User-Agent of the configuration takes the place of ours', async () => {
  const [request] = await requestsOf({ headers: [header('User-Agent', 'acme')] });
  expect(request?.headers['user-agent']).toBe('acme');
});

test('a bearer token is sent', async () => {
  const [request] = await requestsOf({ auth: { type: 'bearer', token: new Secret('t0k3n') } });
  expect(request?.headers.authorization).toBe('Bearer t0k3n');
});

test('a user name and a password are sent, in UTF-8', async () => {
  const auth = { type: 'basic', username: new Secret('ü'), password: new Secret('p:ss') } as const;
  const [request] = await requestsOf({ auth });
  expect(request?.headers.authorization).toBe(`Basic ${Buffer.from('ü:p:ss').toString('base64')}`);
});

test.each(['json', 'form'] as const)('a %s body is compressed where that is asked for', async (format) => {
  const [plain] = await requestsOf({ format });
  const [compressed] = await requestsOf({ format, compress: true });
  expect(plain?.headers).not.toHaveProperty('content-encoding');
  expect(compressed?.headers).toMatchObject({
    'content-encoding': 'gzip',
    'content-type': plain?.headers['content-type'],
  });
  expect(compressed?.headers['content-length']).toBe(String(compressed?.bodyBytes));
  expect(compressed?.body).toBe(plain?.body);
});

test('a large batch is compressed too, and abandoned when it is aborted meanwhile', async () => {
  await using receiver = await createHttpReceiver();
  await using destination = httpPost(receiver.url(), { compress: true, batch: { maxEvents: 500, maxWaitMs: 0 } });
  const events = Array.from({ length: 500 }, (_, id) => sampleEvent({ id: String(id), email: 'x'.repeat(500) }));
  expect(await destination.deliver(events, NEVER)).toEqual(events.map(() => ({ ok: true })));
  const [request] = receiver.requests;
  expect(JSON.parse(request?.body ?? '')).toHaveLength(500);
  expect(request?.bodyBytes).toBeLessThan((request?.body.length ?? 0) / 10);
  const abort = new AbortController();
  const under = destination.deliver(events, { signal: abort.signal });
  abort.abort();
  expect(new Set((await under).map(({ ok }) => ok))).toEqual(new Set([false]));
  const closing = destination.deliver(events, NEVER);
  await destination.close();
  expect(new Set((await closing).map(({ ok }) => ok))).toEqual(new Set([false]));
  expect(receiver.requests).toHaveLength(1);
});

const OLD = `whsec_${Buffer.from('the old key, of at least 24 bytes').toString('base64')}`;
const NEW = `whsec_${Buffer.from('the new key, of at least 24 bytes').toString('base64')}`;

function verify(secret: string, { body, headers }: ReceivedRequest): unknown {
  return new Webhook(secret).verify(body, headers as Record<string, string>);
}

test.each([
  ['a JSON event', {}],
  ['a compressed event', { compress: true }],
  ['a batch', { batch: { maxEvents: 10, maxWaitMs: 0 } }],
] as const)('the signature of %s is verified by the library of Standard Webhooks', async (_, settings) => {
  const [request] = await requestsOf({ ...settings, signingSecrets: [new Secret(NEW)] });
  if (!request) throw new Error('no request');
  expect(verify(NEW, request)).toEqual(JSON.parse(request.body));
  expect(() => verify(OLD, request)).toThrow(/No matching signature/);
  expect(() => verify(NEW, { ...request, body: request.body.replace('bounce_all', 'bounce_al1') })).toThrow();
  expect(request.headers['webhook-id']).toBe(request.headers['idempotency-key']);
});

test('the signature of a form is of its body', async () => {
  const [request] = await requestsOf({ format: 'form', signingSecrets: [new Secret(NEW)] });
  const headers = request?.headers as Record<string, string>;
  expect(() => new Webhook(NEW).verify(request?.body ?? '', headers, { jsonParse: false })).not.toThrow();
});

test('while one secret replaces another, who knows either accepts', async () => {
  const [request] = await requestsOf({ signingSecrets: [new Secret(NEW), new Secret(OLD)] });
  if (!request) throw new Error('no request');
  expect(verify(NEW, request)).toEqual(verify(OLD, request));
});

test('the id of a signature is the same in every attempt, its time is that of the attempt', async () => {
  await using receiver = await createHttpReceiver({ status: 500 });
  await using destination = httpPost(receiver.url(), { signingSecrets: [new Secret(NEW)] });
  const startedAt = Math.floor(Date.now() / 1000);
  for (let attempt = 0; attempt < 2; attempt += 1) await destination.errorOf(sampleEvent({ event_unique_id: 'u-9' }));
  expect(receiver.requests.map(({ headers }) => headers['webhook-id'])).toEqual(['u-9', 'u-9']);
  for (const { headers } of receiver.requests) {
    expect(Number(headers['webhook-timestamp'])).toBeGreaterThanOrEqual(startedAt);
    expect(Number(headers['webhook-timestamp'])).toBeLessThanOrEqual(Date.now() / 1000);
  }
});

test("a known request has the standard's known signature", () => {
  // The example of the specification and of its libraries' tests.
  const sign = createSigner([new Secret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')]);
  expect(sign('msg_p5jXN8AQM9LWM0D4loKWxJek', Buffer.from('{"test": 2432232314}'), 1_614_265_330_000)).toEqual([
    'webhook-id',
    'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp',
    '1614265330',
    'webhook-signature',
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  ]);
});
