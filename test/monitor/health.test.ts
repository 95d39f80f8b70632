import { createServer } from 'node:net';
import { expect, inject, onTestFinished, test } from 'vitest';
import { createWorld, stopped, waitUntilDrained } from '../acceptance/world.ts';
import { runCli } from '../helpers/cli.ts';
import { freePort } from '../helpers/free-port.ts';
import { metricValue } from '../helpers/prometheus.ts';
import { createTcpProxy } from '../helpers/tcp-proxy.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { watch } from './scene.ts';

test('the writer is ready, one that stands by too, and takes over', async () => {
  await using world = await createWorld();
  await using first = await watch(world);
  await waitFor(async () => (await first.ready()).status === 200);
  await using second = await watch(world);
  await waitFor(async () => (await second.ready()).body.role === 'standby');
  expect(await second.ready()).toEqual({ status: 200, body: { status: 'ready', role: 'standby', reasons: [] } });
  const standing = await second.metrics();
  expect([metricValue(standing, 'tailrace_writer'), metricValue(standing, 'tailrace_ready')]).toEqual([0, 1]);
  expect(await stopped(first.program)).toBe(0);
  await waitFor(async () => (await second.ready()).body.role === 'writer');
  expect(await second.ready()).toMatchObject({ status: 200, body: { role: 'writer' } });
}, 120_000);

test('health answers while PostgreSQL hangs, and says so', async () => {
  await using world = await createWorld();
  await using proxy = await createTcpProxy({ path: `${inject('postgresSocketDirectory')}/.s.PGSQL.5432` });
  const url = `postgresql://postgres@127.0.0.1:${proxy.port}/${world.database.name}`;
  await using watched = await watch(world, { env: { TAILRACE_DATABASE_URL: url } });
  await waitFor(async () => (await watched.ready()).status === 200);
  expect(metricValue(await watched.metrics(), 'tailrace_queue_events')).toBe(0);
  proxy.silent = true;
  await waitFor(async () => (await watched.ready()).status === 503);
  const beganMs = performance.now();
  const [alive, ready, metrics] = await Promise.all([watched.get('/healthz'), watched.ready(), watched.metrics()]);
  expect(performance.now() - beganMs).toBeLessThan(5_000);
  expect([alive.status, await alive.json()]).toEqual([200, { status: 'ok' }]);
  expect(ready.body.reasons).toContain('database');
  expect(ready.body.message).toContain('PostgreSQL does not answer');
  expect(metricValue(metrics, 'tailrace_database_up')).toBe(0);
  // What was known last is still worth something.
  expect(metricValue(metrics, 'tailrace_queue_events')).toBe(0);
  proxy.silent = false;
  await waitFor(async () => (await watched.ready()).status === 200, { timeoutMs: 120_000 });
}, 180_000);

test('a process that cannot start is alive and not ready', async () => {
  await using world = await createWorld();
  const url = `postgresql://postgres@127.0.0.1:${await freePort()}/nothing`;
  await using watched = await watch(world, { env: { TAILRACE_DATABASE_URL: url } });
  expect((await watched.get('/healthz')).status).toBe(200);
  expect(await watched.ready()).toMatchObject({
    status: 503,
    body: { role: 'starting', reasons: ['starting', 'database'] },
  });
  const metrics = await watched.metrics();
  expect(metricValue(metrics, 'tailrace_writer')).toBe(0);
  expect(metrics.get('tailrace_queue_events')?.samples).toEqual([]);
  expect(await stopped(watched.program)).toBe(0);
});

test('run --once answers while it runs, and ends', async () => {
  await using world = await createWorld();
  await world.insert(10);
  const { code, stdout, stderr } = await world.cli(['run', '--once', '--http', '127.0.0.1:0']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout)).toMatchObject({ read: 10, logged: 10 });
});

test('a port in use is an error that says what to do, before anything is handled', async () => {
  await using world = await createWorld();
  await world.insert(1);
  const other = createServer();
  const port = await freePort();
  await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve));
  onTestFinished(() => void other.close());
  const { code, stderr } = await world.cli(['run', '--once', '--http', `127.0.0.1:${port}`]);
  expect(code).toBe(69);
  expect(stderr).toContain(`cannot listen on http://127.0.0.1:${port}`);
  expect(stderr).toContain('another program listens there: end it, or name another port');
  expect(await world.queued()).toBe(1);
});

test.each([
  ['0.0.0.0:0', 'a bearer token is needed: name a file with --http-token-file, or set TAILRACE_HTTP_TOKEN'],
  ['9464', 'say host:port'],
])('--http %s without a token is wrong usage', async (address, message) => {
  await using world = await createWorld();
  const { code, stderr } = await runCli(['run', '--http', address], {
    cwd: world.folder,
    env: { TAILRACE_DATABASE_URL: world.database.url },
  });
  expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(message) });
});

test('without --http nothing listens', async () => {
  await using world = await createWorld();
  await using running = await world.run();
  await world.insert(1);
  await waitUntilDrained(world);
  expect(running.stderr).not.toContain('serving');
});
