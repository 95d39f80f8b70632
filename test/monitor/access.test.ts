import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createWorld, httpPost } from '../acceptance/world.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { TOKEN, type Watched, watch } from './scene.ts';

const CLOSED = ['/metrics', '/api/state'];
const OPEN = ['/healthz', '/', '/app.js', '/app.css', '/curves.js', '/figures.js', '/icon.svg'];
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const post = (watched: Watched, path: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> =>
  fetch(`${watched.address}${path}`, { method: 'POST', headers });

/** The status of a GET whose Host header is of our choice, which fetch does not let one have. */
function statusWithHost(address: string, path: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    request(`${address}${path}`, { headers: { host } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

describe('with a token', () => {
  test('all but health and the page itself ask for it, on every address', async () => {
    await using world = await createWorld();
    await using watched = await watch(world, {
      args: ['--http', '0.0.0.0:0'],
      env: { TAILRACE_HTTP_TOKEN: TOKEN },
    });
    const address = watched.address.replace('0.0.0.0', '127.0.0.1');
    const get = (path: string, headers = {}): Promise<Response> => fetch(`${address}${path}`, { headers });
    for (const path of CLOSED) {
      for (const headers of [{}, bearer('wrong-token-0123456789'), { authorization: `Basic ${TOKEN}` }]) {
        const answer = await get(path, headers);
        expect([path, answer.status, answer.headers.get('www-authenticate')]).toEqual([path, 401, 'Bearer']);
        expect(await answer.text()).not.toContain(TOKEN);
      }
      expect((await get(path, bearer(TOKEN))).status).toBe(200);
    }
    for (const path of OPEN) expect([path, (await get(path)).status]).toEqual([path, 200]);
    // Another name is a matter of the token then, not of the Host header.
    expect(await statusWithHost(address, '/', 'monitor.example.com')).toBe(200);
    expect(watched.program.stderr).not.toContain(TOKEN);
  });

  test('those of the file are read again on SIGHUP', async () => {
    await using world = await createWorld();
    const file = join(world.folder, 'tokens');
    await writeFile(file, `${TOKEN}\nsecond-token-0123456789\n`);
    await using watched = await watch(world, { args: ['--http-token-file', file] });
    const statusOf = async (token: string): Promise<number> => (await watched.get('/metrics', bearer(token))).status;
    expect([await statusOf(TOKEN), await statusOf('second-token-0123456789')]).toEqual([200, 200]);
    await writeFile(file, 'third-token-0123456789\n');
    watched.program.signal('SIGHUP');
    await waitFor(async () => (await statusOf(TOKEN)) === 401);
    expect(await statusOf('third-token-0123456789')).toBe(200);
    await writeFile(file, 'short\n');
    watched.program.signal('SIGHUP');
    await watched.program.waitForStderr('the tokens cannot be read again; those of before stay good');
    expect(await statusOf('third-token-0123456789')).toBe(200);
  });

  test('destinations are paused and resumed, and nothing else is', async () => {
    await using world = await createWorld();
    await using receiver = await createHttpReceiver();
    await world.configure({
      logfile: { filename: world.log },
      event_destinations: [httpPost(receiver.url(), {}, { name: "crm's & co" })],
    });
    await using watched = await watch(world, { env: { TAILRACE_HTTP_TOKEN: TOKEN } });
    await waitFor(async () => (await watched.ready()).body.role === 'writer' && (await watched.ready()).status === 200);
    const path = (verb: string): string => `/api/${verb}?destination=${encodeURIComponent("crm's & co")}`;
    expect((await post(watched, path('pause'))).status).toBe(401);
    expect((await post(watched, path('pause'), bearer('wrong-token-0123456789'))).status).toBe(401);
    expect(await (await post(watched, path('pause'), bearer(TOKEN))).json()).toEqual({
      destination: "crm's & co",
      paused: true,
    });
    const { destinations } = JSON.parse((await world.cli(['status', '--json'])).stdout);
    expect(destinations).toMatchObject([{ destination: "crm's & co", state: 'paused' }]);
    await world.insert(1);
    expect((await post(watched, path('resume'), bearer(TOKEN))).status).toBe(200);
    await receiver.waitForRequests(1);
    const unknown = await post(watched, '/api/pause?destination=nobody', bearer(TOKEN));
    expect([unknown.status, await unknown.json()]).toEqual([
      404,
      { error: 'refused', message: expect.stringContaining('there is no destination "nobody"') },
    ]);
    expect((await post(watched, '/api/pause', bearer(TOKEN))).status).toBe(400);
    expect((await watched.get('/api/pause?destination=x', bearer(TOKEN))).status).toBe(404);
  });
});

describe('without a token', () => {
  test('only requests that name this machine are answered, and nothing can be changed', async () => {
    await using world = await createWorld();
    await using watched = await watch(world);
    const { address } = watched;
    for (const path of [...CLOSED, '/']) {
      for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example:80', '10.0.0.5:9464'])
        expect([path, host, await statusWithHost(address, path, host)]).toEqual([path, host, 421]);
      for (const host of ['localhost:9464', '127.0.0.1', '[::1]:1'])
        expect([path, host, await statusWithHost(address, path, host)]).toEqual([path, host, 200]);
    }
    expect(await statusWithHost(address, '/healthz', 'pod.example')).toBe(200);
    for (const headers of [{}, bearer(TOKEN)]) {
      const refused = await post(watched, '/api/pause?destination=x', headers);
      expect([refused.status, (await refused.json()) as object]).toMatchObject([403, { error: 'no_token' }]);
    }
  });

  test('every answer bears what keeps a browser from harm, and none lets another origin read', async () => {
    await using world = await createWorld();
    await using watched = await watch(world);
    for (const path of [...OPEN, ...CLOSED, '/nothing']) {
      const { headers } = await watched.get(path, { origin: 'https://evil.example' });
      expect(headers.get('content-security-policy'), path).toMatch(/^default-src 'none'; script-src 'self';/);
      expect(headers.get('content-security-policy')).not.toContain('unsafe');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('access-control-allow-origin')).toBeNull();
      expect(headers.get('set-cookie')).toBeNull();
    }
  });
});

test('no secret of the configuration is in any answer', async () => {
  const CANARY = 'canary-4f1c9e';
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ status: 500, body: 'no' });
  const url = receiver.url(`/in?key=${CANARY}`).replace('http://', `http://user:${CANARY}@`);
  await world.configure({
    logfile: { filename: world.log },
    event_destinations: [httpPost(url, { headers: { 'x-key': CANARY }, signing_secret: undefined })],
  });
  await world.insert(2);
  await using watched = await watch(world, { env: { TAILRACE_HTTP_TOKEN: TOKEN } });
  await receiver.waitForRequests(2);
  await waitFor(async () => (await (await watched.get('/api/state')).text()).includes('"last_error":"HTTP 500'));
  for (const path of ['/api/state', '/metrics', '/readyz', '/']) {
    const text = await (await watched.get(path)).text();
    expect([path, text.includes(CANARY), text.includes(TOKEN)]).toEqual([path, false, false]);
  }
});

test('the least rights of a processor show everything, and one more lets it pause', async () => {
  const sqlOf = async (page: string, has: string): Promise<string> => {
    const text = await readFile(new URL(`../../${page}`, import.meta.url), 'utf8');
    return (
      [...text.matchAll(/^```sql\n(.*?)^```/gms)].map(([, sql = '']) => sql).find((sql) => sql.includes(has)) ?? ''
    );
  };
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await world.configure({
    logfile: { filename: world.log },
    event_destinations: [httpPost(receiver.url(), {}, { name: 'crm' })],
  });
  const role = `${world.database.name}_run`;
  const ours = (sql: string): string => sql.replaceAll('tailrace_run', role);
  await world.database.query(ours(await sqlOf('README.md', 'CREATE ROLE tailrace_run')));
  try {
    const url = world.database.url.replace('postgres@', `${role}@`);
    await using watched = await watch(world, { env: { TAILRACE_DATABASE_URL: url, TAILRACE_HTTP_TOKEN: TOKEN } });
    await waitFor(async () => (await watched.ready()).status === 200);
    await world.insert(1);
    await receiver.waitForRequests(1);
    await waitFor(async () => (await watched.metrics()).get('tailrace_destination_state')?.samples.length);
    const pause = (): Promise<Response> => post(watched, '/api/pause?destination=crm', bearer(TOKEN));
    const refused = await pause();
    expect([refused.status, await refused.json()]).toEqual([
      403,
      {
        error: 'refused',
        message: expect.stringMatching(/permission denied .* grant UPDATE on tailrace\.destination/),
      },
    ]);
    await world.database.query(ours(await sqlOf('docs/monitoring.md', 'GRANT UPDATE ON tailrace.destination')));
    expect((await pause()).status).toBe(200);
  } finally {
    await world.database.query(`DROP OWNED BY ${role} CASCADE`);
    await world.database.query(`DROP ROLE ${role}`);
  }
});
