// HTTP for the real world, through the whole program: batches, signatures, certificates, and secrets that stay secret.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Webhook } from 'standardwebhooks';
import { expect, test } from 'vitest';
import { AUTHORITY, KEY, SELF_SIGNED, VALID } from '../destinations/certificates.ts';
import { createProxyServer } from '../destinations/proxy-server.ts';
import { createHttpReceiver, type ReceivedRequest } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, expectOneLineEach, httpPost, stopped, type World, waitUntilDrained } from './world.ts';

const SECRET = `whsec_${Buffer.from('canary: a key of 24 bytes or more').toString('base64')}`;
const CANARY = /canary|Y2FuYXJ5/;

const idsOf = ({ body }: ReceivedRequest): string[] => [JSON.parse(body)].flat().map(({ id }) => String(id));

/** All that the program says and keeps but the log file. */
async function everythingSaid(world: World, env: Readonly<Record<string, string>>): Promise<string> {
  const said = [];
  for (const args of [['status'], ['status', '--json'], ['check', world.configFile]]) {
    const { stdout, stderr } = await world.cli(args, { env });
    said.push(stdout, stderr);
  }
  for (const table of ['pending', 'destination']) {
    said.push(JSON.stringify(await world.database.query(`SELECT * FROM tailrace.${table}`)));
  }
  return said.join('\n');
}

test('one bad event among 300 in batches is the only one that is not delivered', async () => {
  await using world = await createWorld();
  const delivered: string[] = [];
  let bad = '';
  await using receiver = await createHttpReceiver((request) => {
    const ids = idsOf(request);
    if (ids.includes(bad)) return { status: 422, body: 'no such list' };
    delivered.push(...ids);
    return {};
  });
  const batch = { max_events: 50 };
  const entry = httpPost(receiver.url(), { batch, retry: { initial_ms: 60_000, max_ms: 60_000 } });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [entry] });
  const ids = await world.insert(300);
  bad = ids[137] ?? '';
  await using running = await world.run();
  await waitFor(async () => (await world.queued()) === 1 && delivered.length === 299, { timeoutMs: 30_000 });
  expect(await stopped(running)).toBe(0);
  expectOneLineEach(await world.lines(), ids);
  expect(delivered.toSorted()).toEqual(ids.filter((id) => id !== bad).toSorted());
  expect(receiver.requests.every(({ body }) => body.startsWith('['))).toBe(true);
  expect(await world.database.query('SELECT event_id::text AS id, last_error FROM tailrace.pending')).toEqual([
    { id: bad, last_error: 'HTTP 422 Unprocessable Entity: no such list' },
  ]);
});

test('a signed request is verified, under one id in every attempt and after a restart', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ status: 503 });
  const entry = httpPost(receiver.url(), { signing_secret: { env: 'SIGNING' }, compress: true });
  await world.configure({ event_destinations: [entry] });
  const env = { SIGNING: SECRET };
  await world.insert(1, { event_unique_id: 'u-1' });
  for (const attempts of [2, 4]) {
    await using running = await world.run({ env });
    await receiver.waitForRequests(attempts);
    if (attempts === 4) {
      receiver.script({});
      await waitUntilDrained(world);
    }
    expect(await stopped(running)).toBe(0);
  }
  for (const { body, headers } of receiver.requests) {
    expect(headers['webhook-id']).toBe('u-1');
    new Webhook(SECRET).verify(body, headers as Record<string, string>);
  }
});

test('secrets of a destination appear nowhere, though the receiver echoes all of them', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver(({ headers }) => ({ status: 401, body: JSON.stringify(headers) }));
  await using proxy = await createProxyServer({ port: receiver.port });
  const settings = {
    headers: { 'X-Api-Key': { env: 'API_KEY' }, 'X-Word': 'Key canary-word' },
    auth: { basic: { username: 'canary-user', password: { env: 'PASSWORD' } } },
    signing_secret: { env: 'SIGNING' },
  };
  await world.configure({
    logfile: { filename: world.log },
    event_destinations: [httpPost('http://hooks.invalid/canary-free', settings)].map((entry) => ({
      name: 'hook',
      ...entry,
    })),
  });
  const env = {
    API_KEY: 'canary"api<key&',
    PASSWORD: 'canary pass',
    SIGNING: SECRET,
    HTTP_PROXY: `http://canary-proxy:canary%20too@127.0.0.1:${proxy.port}`,
  };
  await using running = await world.run({ env });
  await world.insert(3);
  await receiver.waitForRequests(6);
  const said = await everythingSaid(world, env);
  expect(await stopped(running)).toBe(0);
  expect(said).toContain('HTTP 401');
  expect(`${said}${running.stdout}${running.stderr}`.replaceAll('canary-free', '')).not.toMatch(CANARY);
  expect(receiver.requests[0]?.headers['x-api-key']).toBe(env.API_KEY);
});

test('an address that is gone for good is an ERROR, once', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ status: 410 });
  await world.configure({ event_destinations: [httpPost(receiver.url())] });
  await using running = await world.run();
  await world.insert(20);
  await receiver.waitForRequests(40);
  expect(await stopped(running)).toBe(0);
  const alarms = running.stderrLines.filter((line) => line.includes('its address is gone for good'));
  expect(alarms).toHaveLength(1);
  expect(JSON.parse(alarms[0] ?? '')).toMatchObject({
    level: 50,
    destination: `http_post ${receiver.url()}`,
    error: expect.stringMatching(/^HTTP 410 Gone/),
  });
});

test('a renewed client certificate is shown without a restart', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({}, { tls: { key: KEY, cert: VALID, clientCa: AUTHORITY } });
  const paths = { ca: 'ca.pem', cert: 'client.pem', key: 'client.key' };
  const write = (name: string, text: string) => writeFile(join(world.folder, name), text);
  await write('ca.pem', AUTHORITY);
  await write('client.key', KEY);
  await write('client.pem', SELF_SIGNED);
  await world.configure({ event_destinations: [httpPost(receiver.url(), { tls: paths })] });
  await using running = await world.run();
  const [id] = await world.insert(1);
  await waitFor(async () => (await world.database.query('SELECT 1 FROM tailrace.pending')).length === 1);
  expect(receiver.requests).toHaveLength(0);
  await write('client.pem', VALID);
  await waitUntilDrained(world);
  expect(await stopped(running)).toBe(0);
  expect(receiver.requests.map(idsOf)).toEqual([[id]]);
});

test('public_only refuses a private receiver in the running program, and nothing is connected to', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  const url = `http://localhost:${receiver.port}/`;
  await world.configure({ event_destinations: [httpPost(url, { public_only: true })] });
  await world.insert(2);
  expect(await world.once()).toMatchObject({ read: 2, delivered: 0, failed: 2 });
  const [row] = await world.database.query<{ last_error: string }>('SELECT last_error FROM tailrace.pending');
  expect(row?.last_error).toMatch(/is not a public address, and public_only is set$/);
  expect(receiver.connections).toBe(0);
});
