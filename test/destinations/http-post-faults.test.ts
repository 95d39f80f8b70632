// FAULTS H2, H3 and H6, the ways of receivers that a server of HTTP cannot be scripted to: each is a failed delivery in
// time, with a reason, and leaves no connection.

import { once } from 'node:events';
import { type AddressInfo, createServer, type LookupFunction, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import { httpPost, NEVER, sampleEvent } from './samples.ts';

interface RawServer extends AsyncDisposable {
  readonly port: number;
  readonly openConnections: number;
}

/** A server that calls `answer` with the first octets of each request, and again with whatever follows. */
async function rawServer(answer: (socket: Socket, first: boolean) => void): Promise<RawServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    let first = true;
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    socket.on('data', () => {
      answer(socket, first);
      first = false;
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    // Not a pipe: an address of TCP has a port.
    port: (server.address() as AddressInfo).port,
    get openConnections() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Writes pieces of an answer as long as somebody reads. */
function repeat(socket: Socket, piece: () => string, everyMs: number): void {
  const timer = setInterval(() => {
    if (socket.destroyed) clearInterval(timer);
    else if (!socket.writableNeedDrain) socket.write(piece());
  }, everyMs);
}

test.each(['json', 'form'] as const)(
  'headers of a %s answer that drip are cut short by the deadline',
  async (format) => {
    await using server = await rawServer((socket, first) => {
      if (!first) return;
      socket.write('HTTP/1.1 200 OK\r\n');
      repeat(socket, () => 'x-a: b\r\n', 20);
    });
    await using destination = httpPost(`http://127.0.0.1:${server.port}/`, { format, timeoutMs: 1_000 });
    expect(await destination.errorOf()).toMatch(/within 1000 ms: stopped while waiting for an answer$/);
    await waitFor(() => server.openConnections === 0);
  },
);

test('announcements of an answer without end are cut short by the deadline', async () => {
  await using server = await rawServer((socket, first) => {
    if (first) repeat(socket, () => 'HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n'.repeat(100), 5);
  });
  await using destination = httpPost(`http://127.0.0.1:${server.port}/`, { timeoutMs: 1_000 });
  expect(await destination.errorOf()).toMatch(/within 1000 ms: stopped while waiting for an answer$/);
  await waitFor(() => server.openConnections === 0);
});

test('a form answer with trailers without end is no acceptance', async () => {
  await using server = await rawServer((socket, first) => {
    if (!first) return;
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n');
    repeat(socket, () => 'x-a: b\r\n'.repeat(1_000), 1);
  });
  await using destination = httpPost(`http://127.0.0.1:${server.port}/`, { format: 'form', timeoutMs: 2_000 });
  expect(await destination.errorOf()).toMatch(/too large$|within 2000 ms/);
  await waitFor(() => server.openConnections === 0);
});

test('a 413 that comes before the body was sent is seen, and the batch cut in halves', async () => {
  const refuse = 'HTTP/1.1 413 Content Too Large\r\ncontent-length: 7\r\nconnection: close\r\n\r\ntoo big';
  await using server = await rawServer((socket, first) => {
    if (first) socket.end(refuse);
  });
  const url = `http://127.0.0.1:${server.port}/`;
  await using destination = httpPost(url, { batch: { maxEvents: 4, maxWaitMs: 0 } });
  const events = Array.from({ length: 4 }, (_, id) => sampleEvent({ id: String(id), email: 'x'.repeat(250_000) }));
  const results = await destination.deliver(events, NEVER);
  expect(results.map((result) => !result.ok && [result.status, result.blame])).toEqual(
    events.map(() => [413, 'event']),
  );
  await waitFor(() => server.openConnections === 0);
});

test.each([
  ['ENOTFOUND', /^the host name of hooks\.invalid:80 does not exist \(ENOTFOUND\)$/],
  ['EAI_AGAIN', /^the host name of hooks\.invalid:80 cannot be looked up at the moment \(EAI_AGAIN\)$/],
])('a name server that answers %s is a failure, with and without public_only', async (code, expected) => {
  const lookup: LookupFunction = (_, __, callback) =>
    process.nextTick(callback, Object.assign(new Error('no'), { code }), '');
  for (const publicOnly of [false, true]) {
    await using destination = httpPost('http://hooks.invalid/', { publicOnly }, { lookup });
    expect(await destination.errorOf()).toMatch(expected);
  }
});

test('the start of a refused answer is kept for the delivery log, in one line of at most 200 octets', async () => {
  const bodies: readonly (readonly [body: string, expected: string | undefined])[] = [
    ['no such list\r\n\u001b[2J', 'no such list \\x1b[2J'],
    ['', undefined],
    ['ü'.repeat(150), `${'ü'.repeat(100)}`],
    [`x${'ü'.repeat(150)}`, `x${'ü'.repeat(99)}`],
    ['x'.repeat(5_000), 'x'.repeat(200)],
  ];
  let body = '';
  await using server = await rawServer((socket, first) => {
    if (!first) return;
    socket.end(`HTTP/1.1 500 No\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  });
  await using destination = httpPost(`http://127.0.0.1:${server.port}/`);
  for (const [text, expected] of bodies) {
    body = text;
    const [result] = await destination.deliver([sampleEvent()], NEVER);
    expect(result).toMatchObject({ ok: false, status: 500 });
    expect(result?.ok === false && result.answer).toBe(expected);
  }
});
