// Receivers behind the proxy of the environment. Their names exist nowhere: only the proxy can reach them.

import { describe, expect, test } from 'vitest';
import type { HttpPostConfig } from '../../src/config/config.ts';
import { Secret } from '../../src/lib/secret.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { AUTHORITY, KEY, VALID, WRONG_HOST } from './certificates.ts';
import { createProxyServer } from './proxy-server.ts';
import { httpPost, NEVER, sampleEvent } from './samples.ts';

const through = (port: number, user = ''): Pick<HttpPostConfig, 'proxy'> => ({
  proxy: new Secret(`http://${user}127.0.0.1:${port}`),
});
const trusted = { tls: { ca: AUTHORITY, cert: null, key: null } };
/** The certificate of WRONG_HOST is for this name. */
const NAMED = { key: KEY, cert: WRONG_HOST };

describe('an http receiver', () => {
  test('is asked for with its whole URL, on connections that are kept', async () => {
    await using receiver = await createHttpReceiver();
    await using proxy = await createProxyServer({ port: receiver.port });
    await using destination = httpPost('http://hooks.invalid/a?b=c', through(proxy.port));
    for (let n = 0; n < 3; n += 1) expect(await destination.errorOf()).toBeNull();
    expect(receiver.requests.map(({ url, headers }) => [url, headers.host])).toEqual(
      Array.from({ length: 3 }, () => ['/a?b=c', 'hooks.invalid']),
    );
    expect(proxy.asked[0]).toEqual({ line: 'POST http://hooks.invalid/a?b=c', host: 'hooks.invalid' });
    expect(proxy.openConnections).toBe(1);
  });

  test('gets its credentials, and the proxy its own', async () => {
    await using receiver = await createHttpReceiver();
    await using proxy = await createProxyServer({ port: receiver.port });
    await using destination = httpPost('http://user:word@hooks.invalid/', through(proxy.port, 'me:s%3Acret@'));
    expect(await destination.errorOf()).toBeNull();
    expect(proxy.asked[0]?.authorization).toBe(`Basic ${btoa('me:s:cret')}`);
    expect(receiver.requests[0]?.headers.authorization).toBe(`Basic ${btoa('user:word')}`);
  });

  test('whose proxy asks for credentials is a failure that says so', async () => {
    await using proxy = await createProxyServer({ port: 1, refuseWith: 407 });
    await using destination = httpPost('http://hooks.invalid/', through(proxy.port));
    expect(await destination.errorOf()).toBe(
      'HTTP 407 Proxy Authentication Required: the proxy asks for a user name and a password; proxy says no',
    );
  });
});

describe('an https receiver', () => {
  test('is reached through a tunnel, with TLS from end to end, on connections that are kept', async () => {
    await using receiver = await createHttpReceiver({}, { tls: NAMED });
    await using proxy = await createProxyServer({ port: receiver.port });
    await using destination = httpPost('https://other.example/a', { ...through(proxy.port, 'me:word@'), ...trusted });
    for (let n = 0; n < 3; n += 1) expect(await destination.errorOf()).toBeNull();
    expect(proxy.asked).toEqual([
      { line: 'CONNECT other.example:443', host: 'other.example:443', authorization: `Basic ${btoa('me:word')}` },
    ]);
    expect(receiver.requests[0]?.headers).not.toHaveProperty('proxy-authorization');
    expect(receiver.connections).toBe(1);
    await destination.close();
    await waitFor(() => proxy.openConnections === 0 && receiver.openConnections === 0);
  });

  test('has its certificate verified against its own name', async () => {
    await using receiver = await createHttpReceiver({}, { tls: { key: KEY, cert: VALID } });
    await using proxy = await createProxyServer({ port: receiver.port });
    await using destination = httpPost('https://other.example:8443/', { ...through(proxy.port), ...trusted });
    expect(await destination.errorOf()).toMatch(/^the certificate of other\.example:8443 is for another host/);
    expect(proxy.asked[0]?.line).toBe('CONNECT other.example:8443');
  });

  test.each([
    [407, 'it asks for a user name and a password (HTTP 407)'],
    [403, 'HTTP 403'],
    [502, 'HTTP 502'],
  ])('that the proxy does not lead to (%i) is a failure that says so', async (refuseWith, reason) => {
    await using proxy = await createProxyServer({ port: 1, refuseWith });
    await using destination = httpPost('https://hooks.invalid/', through(proxy.port));
    expect(await destination.errorOf()).toBe(
      `the proxy 127.0.0.1:${proxy.port} does not lead on to hooks.invalid:443: ${reason}`,
    );
    await waitFor(() => proxy.openConnections === 0);
  });

  test('whose proxy is away is a failure that names the proxy', async () => {
    const receiver = await createHttpReceiver();
    await receiver.close();
    await using destination = httpPost('https://hooks.invalid/', through(receiver.port));
    expect(await destination.errorOf()).toBe(`connection refused by the proxy 127.0.0.1:${receiver.port}`);
  });

  test('whose proxy says nothing is a failure in time, and leaves no connection', async () => {
    await using proxy = await createProxyServer({ port: 1, silent: true });
    await using destination = httpPost('https://hooks.invalid/', { ...through(proxy.port), timeoutMs: 1_000 });
    expect(await destination.errorOf()).toMatch(/within 1000 ms: stopped while connecting$/);
    await waitFor(() => proxy.openConnections === 0);
  });

  test('whose proxy is no proxy is a failure', async () => {
    await using receiver = await createHttpReceiver({ kind: 'raw', text: '220 smtp.example.com ESMTP\r\n' });
    await using destination = httpPost('https://hooks.invalid/', through(receiver.port));
    expect(await destination.errorOf()).toMatch(/^the proxy 127\.0\.0\.1:\d+ closed the connection while connecting$/);
  });

  test('is reached through a proxy that speaks TLS itself, which is verified too', async () => {
    await using receiver = await createHttpReceiver({}, { tls: NAMED });
    await using proxy = await createProxyServer({ port: receiver.port, tls: { key: KEY, cert: VALID } });
    const secure = { proxy: new Secret(`https://127.0.0.1:${proxy.port}`) };
    await using destination = httpPost('https://other.example/', { ...secure, ...trusted });
    // The destination's own authority is not the proxy's.
    expect(await destination.errorOf()).toMatch(/^the certificate of the proxy 127\.0\.0\.1:\d+ comes /);
    expect(receiver.requests).toHaveLength(0);
  });
});

test('events abandoned while a tunnel is dug leave no connection', async () => {
  await using proxy = await createProxyServer({ port: 1, silent: true });
  await using destination = httpPost('https://hooks.invalid/', through(proxy.port));
  const abort = new AbortController();
  const under = destination.deliver([sampleEvent(), sampleEvent()], { signal: abort.signal });
  const closing = destination.deliver([sampleEvent()], NEVER);
  await waitFor(() => proxy.asked.length === 3);
  abort.abort();
  expect((await under).map(({ ok }) => ok)).toEqual([false, false]);
  await waitFor(() => proxy.openConnections === 1);
  await destination.close();
  expect((await closing).map(({ ok }) => ok)).toEqual([false]);
  await waitFor(() => proxy.openConnections === 0);
});
