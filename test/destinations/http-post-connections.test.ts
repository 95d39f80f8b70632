// FAULTS H2 and H5: deadlines, connections that break or go stale; and no socket left behind.

import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, test } from 'vitest';
import { type Answer, createHttpReceiver, inTurn } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { httpPost, NEVER, sampleEvent } from './samples.ts';

const FORMATS = ['json', 'form'] as const;
const events = (count: number) => Array.from({ length: count }, (_, id) => sampleEvent({ id: String(id) }));

/** Somebody who takes connections and says nothing, not even hello. */
async function silentServer() {
  const server = createServer((socket) => socket.resume().on('error', () => {})).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Not a pipe: an address of TCP has a port.
  const { port } = server.address() as AddressInfo;
  return { port, server, [Symbol.asyncDispose]: async () => void server.close() };
}

describe.each(FORMATS)('the deadline of a %s event', (format) => {
  /** Longer than this process stands still on a busy machine: else it is not the wait in question that is cut short. */
  const timeoutMs = 1_000;
  const within = async (work: () => Promise<string | null>): Promise<string | null> => {
    const startedAt = performance.now();
    const error = await work();
    expect(performance.now() - startedAt).toBeGreaterThan(timeoutMs - 20);
    return error;
  };

  test('ends the wait for headers', async () => {
    await using receiver = await createHttpReceiver({ kind: 'hang' });
    await using destination = httpPost(receiver.url(), { format, timeoutMs });
    const place = `127.0.0.1:${receiver.port}`;
    const error = `no complete answer from ${place} within 1000 ms: stopped while waiting for an answer`;
    expect(await within(() => destination.errorOf())).toBe(error);
    await waitFor(() => receiver.openConnections === 0);
  });

  test('ends the connecting, the TLS handshake included', async () => {
    await using silent = await silentServer();
    await using destination = httpPost(`https://127.0.0.1:${silent.port}/`, { format, timeoutMs });
    expect(await within(() => destination.errorOf())).toMatch(/within 1000 ms: stopped while connecting$/);
    await waitFor(async () => (await connectionsOf(silent.server)) === 0);
  });

  test('counts no wait for a free connection', async () => {
    await using receiver = await createHttpReceiver({ body: 'ok', delayMs: 400 });
    await using destination = httpPost(receiver.url(), { format, timeoutMs, concurrency: 1 });
    expect(await destination.deliver(events(4), NEVER)).toEqual(events(4).map(() => ({ ok: true })));
  });
});

test('a connection in the making is gone as soon as its event is aborted or the destination closed', async () => {
  await using silent = await silentServer();
  await using destination = httpPost(`https://127.0.0.1:${silent.port}/`, { timeoutMs: 60_000 });
  const abort = new AbortController();
  const aborted = destination.deliver(events(3), { signal: abort.signal });
  const closed = destination.deliver(events(3), NEVER);
  await waitFor(async () => (await connectionsOf(silent.server)) === 6);
  abort.abort();
  expect((await aborted).map(({ ok }) => ok)).toEqual([false, false, false]);
  await waitFor(async () => (await connectionsOf(silent.server)) === 3);
  await destination.close();
  expect((await closed).map(({ ok }) => ok)).toEqual([false, false, false]);
  await waitFor(async () => (await connectionsOf(silent.server)) === 0);
});

test('the deadline of a form event ends a body that drips or never comes', async () => {
  await using receiver = await createHttpReceiver(inTurn({ kind: 'drip', body: 'ok ok ok', everyMs: 400 }));
  await using destination = httpPost(receiver.url(), { format: 'form', timeoutMs: 1_000 });
  expect(await destination.errorOf()).toMatch(/within 1000 ms: stopped while reading the answer$/);
  await waitFor(() => receiver.openConnections === 0);
});

test('an accepted body that does not end costs its connection after a second or 64 KiB', async () => {
  await using receiver = await createHttpReceiver(
    inTurn({ kind: 'endless' }, { kind: 'drip', body: 'x'.repeat(99) }, {}),
  );
  await using destination = httpPost(receiver.url(), { concurrency: 1 });
  for (let n = 0; n < 3; n += 1) expect(await destination.errorOf()).toBeNull();
  expect(receiver.connections).toBe(3);
  await waitFor(() => receiver.openConnections === 1);
});

describe.each(FORMATS)('connections of a %s destination', (format) => {
  test('are used again', async () => {
    await using receiver = await createHttpReceiver({ body: 'ok' });
    await using destination = httpPost(receiver.url(), { format });
    for (let n = 0; n < 5; n += 1) expect(await destination.errorOf()).toBeNull();
    expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 1, 1, 1, 1]);
  });

  test('are at most as many as its concurrency', async () => {
    let open = 0;
    await using receiver = await createHttpReceiver(() => {
      open = Math.max(open, receiver.openConnections);
      return { body: 'ok', delayMs: 5 };
    });
    await using destination = httpPost(receiver.url(), { format, concurrency: 3 });
    await Promise.all([destination.deliver(events(20), NEVER), destination.deliver(events(20), NEVER)]);
    expect(open).toBe(3);
  });

  test('that are idle are at most http_keep_alive', async () => {
    await using receiver = await createHttpReceiver({ body: 'ok', delayMs: 5 });
    await using destination = httpPost(receiver.url(), { format }, { httpKeepAlive: 2 });
    await destination.deliver(events(10), NEVER);
    expect(receiver.connections).toBe(10);
    await waitFor(() => receiver.openConnections === 2);
    await destination.deliver(events(2), NEVER);
    expect(receiver.connections).toBe(10);
  });

  test('carry one request each with http_keep_alive 0', async () => {
    await using receiver = await createHttpReceiver({ body: 'ok' });
    await using destination = httpPost(receiver.url(), { format, concurrency: 2 }, { httpKeepAlive: 0 });
    expect((await destination.deliver(events(6), NEVER)).every(({ ok }) => ok)).toBe(true);
    expect(new Set(receiver.requests.map(({ connection }) => connection)).size).toBe(6);
    expect(receiver.requests[0]?.headers.connection).toBe('close');
    await waitFor(() => receiver.openConnections === 0);
  });

  test('that the receiver closes after each answer cost no failure', async () => {
    await using receiver = await createHttpReceiver({ body: 'ok', headers: { connection: 'close' } });
    await using destination = httpPost(receiver.url(), { format, concurrency: 2 });
    expect((await destination.deliver(events(20), NEVER)).every(({ ok }) => ok)).toBe(true);
    for (let n = 0; n < 5; n += 1) expect(await destination.errorOf()).toBeNull();
  });

  test('that the receiver closed while they were idle cost no failure', async () => {
    await using receiver = await createHttpReceiver({ body: 'ok' });
    await using destination = httpPost(receiver.url(), { format });
    for (let n = 0; n < 20; n += 1) {
      expect(await destination.errorOf()).toBeNull();
      receiver.closeIdleConnections();
    }
  });

  test('are none after close, whatever they were doing', async () => {
    await using receiver = await createHttpReceiver((_, index) =>
      index === 0 ? { body: 'ok' } : index === 1 ? { kind: 'hang' } : { kind: 'drip', body: 'x'.repeat(99) },
    );
    const destination = httpPost(receiver.url(), { format });
    await destination.errorOf();
    const under = destination.deliver(events(3), NEVER);
    await receiver.waitForRequests(4);
    await destination.close();
    await waitFor(() => receiver.openConnections === 0);
    expect(await under).toHaveLength(3);
  });
});

describe.each(FORMATS)('a reset of a %s event', (format) => {
  test('before the answer, on a connection that was in use before, is tried once more under the same key', async () => {
    await using receiver = await createHttpReceiver((_, index) =>
      index === 1 ? { kind: 'reset', when: 'before-headers' } : { body: 'ok' },
    );
    await using destination = httpPost(receiver.url(), { format });
    expect(await destination.errorOf(sampleEvent({ id: '1' }))).toBeNull();
    expect(await destination.errorOf(sampleEvent({ id: '2' }))).toBeNull();
    const seen = receiver.requests.map(({ headers, connection }) => [headers['idempotency-key'], connection]);
    expect(seen).toEqual([
      ['1', 1],
      ['2', 1],
      ['2', 2],
    ]);
    expect(receiver.requests[1]?.body).toBe(receiver.requests[2]?.body);
  });

  test('before the answer is a failure when it happens again', async () => {
    await using receiver = await createHttpReceiver(inTurn({ body: 'ok' }, { kind: 'reset', when: 'before-headers' }));
    await using destination = httpPost(receiver.url(), { format });
    expect(await destination.errorOf()).toBeNull();
    expect(await destination.errorOf()).toBe(
      `127.0.0.1:${receiver.port} closed the connection while waiting for an answer`,
    );
    expect(receiver.requests).toHaveLength(3);
  });

  test('before the answer on a new connection is a failure at once', async () => {
    await using receiver = await createHttpReceiver({ kind: 'reset', when: 'before-headers' });
    await using destination = httpPost(receiver.url(), { format });
    expect(await destination.errorOf()).toMatch(/closed the connection/);
    expect(receiver.requests).toHaveLength(1);
  });
});

test.each(FORMATS)(
  'no event and no connection of a %s destination is lost among faults of all kinds',
  async (format) => {
    const faults: readonly Answer[] = [
      { kind: 'reset', when: 'before-headers' },
      { kind: 'reset', when: 'mid-body' },
      { kind: 'cut-off' },
      { kind: 'hang' },
      { kind: 'endless' },
      { status: 500, body: 'no' },
      { body: 'ok', headers: { connection: 'close' } },
    ];
    const good: Answer = { body: 'ok' };
    await using receiver = await createHttpReceiver((_, index) =>
      index % 3 ? good : (faults[(index / 3) % faults.length] ?? good),
    );
    await using destination = httpPost(
      receiver.url(),
      { format, concurrency: 5, timeoutMs: 1_000 },
      { httpKeepAlive: 2 },
    );
    const results = await destination.deliver(events(300), NEVER);
    expect(results.filter(({ ok }) => ok).length).toBeGreaterThan(200);
    expect(results.filter(({ ok }) => !ok).length).toBeGreaterThan(20);
    receiver.script({ body: 'ok', delayMs: 5 });
    expect((await destination.deliver(events(20), NEVER)).every(({ ok }) => ok)).toBe(true);
    await waitFor(() => receiver.openConnections <= 2);
    await destination.close();
    await waitFor(() => receiver.openConnections === 0);
  },
);

test('a form event whose connection breaks within the answer is not sent again by itself', async () => {
  await using receiver = await createHttpReceiver(inTurn({ body: 'ok' }, { kind: 'reset', when: 'mid-body' }));
  await using destination = httpPost(receiver.url(), { format: 'form' });
  expect(await destination.errorOf()).toBeNull();
  expect(await destination.errorOf()).toMatch(/while reading the answer$/);
  expect(receiver.requests).toHaveLength(2);
});

function connectionsOf(server: ReturnType<typeof createServer>): Promise<number> {
  return new Promise((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
}
