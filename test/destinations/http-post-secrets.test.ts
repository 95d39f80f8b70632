// FAULTS G3: nothing secret of the URL stands in any error, even when a receiver sends it back.

import { inspect } from 'node:util';
import { expect, test } from 'vitest';
import { Secret } from '../../src/lib/secret.ts';
import { type Answer, createHttpReceiver } from '../helpers/http-receiver.ts';
import { httpPost, NEVER, sampleEvent } from './samples.ts';

const BASIC = Buffer.from('canary-user:canary pass').toString('base64');

const ECHOES: readonly Answer[] = [
  { status: 404, body: 'Cannot POST /hook?token=canary%2Dtoken&amp;v=1' },
  { status: 500, body: 'token: canary-token, password: canary pass, canary%20pass' },
  { status: 401, body: `authorization: Basic ${BASIC}` },
  { status: 302, headers: { location: '/login/canary-token?next=canary%2Dtoken' } },
  { status: 302, headers: { location: 'https://canary-user:canary%20pass@example.com/' } },
  { kind: 'raw', text: 'HTTP/1.1 500 canary-token\r\ncontent-length: 0\r\n\r\n' },
  { body: 'canary-user' },
  { kind: 'reset', when: 'before-headers' },
  { kind: 'cut-off' },
  { kind: 'hang' },
];

test.each(ECHOES)('no secret stands in the error about %j', async (answer) => {
  await using receiver = await createHttpReceiver(answer);
  const url = receiver.url('/hook?token=canary%2Dtoken&v=1').replace('//', '//canary-user:canary%20pass@');
  await using destination = httpPost(url, { format: 'form', timeoutMs: 300 });
  const error = await destination.errorOf();
  expect(error).not.toBeNull();
  expect(error).not.toMatch(/canary/);
  expect(error).not.toContain(BASIC);
});

const secret = (text: string) => new Secret(text);

test.each([
  ['a header', 'canary"<&> x', { headers: [{ name: 'x-a', value: secret('canary"<&> x') }] }],
  ['a word of a header', 'canary-word', { headers: [{ name: 'x-a', value: secret('Key canary-word') }] }],
  ['a bearer token', 'canary"<&>', { auth: { type: 'bearer', token: secret('canary"<&>') } }],
  ['a user name', 'canary', { auth: { type: 'basic', username: secret('canary'), password: secret('x') } }],
  ['a password', 'canary ü', { auth: { type: 'basic', username: secret('x'), password: secret('canary ü') } }],
  ['a signing secret', 'whsec_canary00', { signingSecrets: [secret('whsec_x'), secret('whsec_canary00')] }],
  ['the key of a signing secret', 'canary00', { signingSecrets: [secret('whsec_canary00')] }],
] as const)('%s that is echoed in any form stands nowhere in the result', async (_, text, settings) => {
  const html = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
  const body = [text, JSON.stringify(text), encodeURIComponent(text), html].join(' ');
  await using receiver = await createHttpReceiver({ status: 401, body });
  await using destination = httpPost(receiver.url(), settings);
  const [result] = await destination.deliver([sampleEvent()], NEVER);
  expect(inspect(result)).not.toContain('canary');
  expect(inspect(result)).toContain('[secret]');
});

test('no secret stands in the error about a receiver that is away or a URL that is none', async () => {
  await using destination = httpPost('http://canary:canary@no-such-host.invalid/?canary', { timeoutMs: 5000 });
  expect(await destination.errorOf()).not.toMatch(/canary/);
  expect(inspect(destination)).not.toMatch(/canary/);
  for (const url of ['canary', 'ftp://canary/', 'http://canary:canary@/']) {
    let thrown: unknown;
    try {
      httpPost(url);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: 'CONFIG_INVALID' });
    expect(inspect(thrown, { depth: 9 }).replaceAll(import.meta.filename, '')).not.toMatch(/canary/);
  }
});
