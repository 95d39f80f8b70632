// Which proxy the environment names for a destination.

import { expect, test } from 'vitest';
import { findProxy } from '../../src/config/proxy.ts';
import { destinations, load, loadGood, messages, post } from './config-file.ts';

const HTTP = 'http://proxy.example:3128/';
const HTTPS = 'http://secure.example:3129/';
const both = { http_proxy: HTTP, https_proxy: HTTPS };

function proxyOf(url: string, env: NodeJS.ProcessEnv): string | null {
  const found = findProxy(new URL(url), env);
  if ('problem' in found) throw new Error(found.problem);
  return found.proxy?.reveal() ?? null;
}

test.each([
  ['http://h/', { HTTP_PROXY: HTTP }, HTTP],
  ['https://h/', { HTTPS_PROXY: HTTPS }, HTTPS],
  ['http://h/', both, HTTP],
  ['https://h/', both, HTTPS],
  ['https://h/', { HTTP_PROXY: HTTP }, null],
  ['http://h/', { HTTPS_PROXY: HTTPS }, null],
  ['http://h/', { http_proxy: HTTP, HTTP_PROXY: 'http://other/' }, HTTP],
  ['http://h/', { http_proxy: '', HTTP_PROXY: HTTP }, null],
  ['http://h/', { HTTP_PROXY: 'proxy.example:3128' }, HTTP],
  ['http://h/', { HTTP_PROXY: 'u:p@proxy.example' }, 'http://u:p@proxy.example/'],
  ['http://h/', {}, null],
])('%s with %j', (url, env, proxy) => {
  expect(proxyOf(url, env)).toBe(proxy);
});

test.each([
  'http://localhost/',
  'http://a.localhost:8080/',
  'http://127.0.0.1/',
  'https://127.9.9.9/',
  'http://[::1]:80/',
])('%s never goes through a proxy', (url) => {
  expect(proxyOf(url, both)).toBeNull();
});

test.each([
  ['*', 'http://h/', false],
  ['h', 'http://h/', false],
  ['H.Example', 'http://h.example/', false],
  ['h.example', 'http://a.h.example/', false],
  ['.h.example', 'http://a.h.example/', false],
  ['*.h.example', 'http://a.h.example/', false],
  ['.h.example', 'http://h.example/', false],
  ['h.example', 'http://ah.example/', true],
  ['a, b  h.example,c', 'http://h.example/', false],
  ['h.example:8080', 'http://h.example:8080/', false],
  ['h.example:8080', 'http://h.example/', true],
  ['h.example:443', 'https://h.example/', false],
  ['10.1.2.3', 'http://10.1.2.3/', false],
  ['10.0.0.0/8', 'http://10.1.2.3/', false],
  ['10.0.0.0/8', 'http://11.1.2.3/', true],
  ['10.0.0.0/8', 'http://ten.example/', true],
  ['fd00::/8', 'http://[fd00::1]/', false],
  ['fd00::1', 'http://[fd00::1]/', false],
  ['[fd00::1]:81', 'http://[fd00::1]/', true],
  ['not/a/network, , :', 'http://h/', true],
  ['', 'http://h/', true],
])('NO_PROXY=%j: %s through the proxy is %s', (no, url, proxied) => {
  expect(proxyOf(url, { ...both, NO_PROXY: no }) !== null).toBe(proxied);
  expect(proxyOf(url, { ...both, no_proxy: no, NO_PROXY: 'something.else' }) !== null).toBe(proxied);
});

test('the proxy of a destination arrives in its configuration', async () => {
  const { routes } = await loadGood(destinations(post('https://h/')), { HTTPS_PROXY: HTTPS });
  const destination = routes[0]?.destination;
  expect(destination?.type === 'http_post' && destination.proxy?.reveal()).toBe(HTTPS);
});

test.each(['socks5://canary@proxy:1080', 'http://canary:x@:3128'])(
  'a proxy that cannot be used is a problem, and not shown: %s',
  async (proxy) => {
    const loaded = await load(destinations(post('https://h/')), { HTTPS_PROXY: proxy });
    expect(messages(loaded)).toEqual([
      '9:16 "url": the environment variable HTTPS_PROXY names a proxy that is no http:// or https:// URL',
    ]);
  },
);

test('public_only behind a proxy is a problem that names the way out', async () => {
  const entry = post('https://h/', { public_only: true });
  expect(messages(await load(destinations(entry), { https_proxy: HTTPS }))).toEqual([
    expect.stringMatching(/"public_only": cannot be kept behind a proxy.*NO_PROXY.*take https_proxy out/),
  ]);
  expect(messages(await load(destinations(entry), { https_proxy: HTTPS, NO_PROXY: 'h' }))).toEqual([]);
});
