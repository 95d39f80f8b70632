// The queue's connection over TLS, which reads its bytes in another way (row-tap.ts).

import { type AddressInfo, connect, createServer } from 'node:net';
import { TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { createEvent, createRowShape, QueuedEvent } from '../../src/event/event.ts';
import { Session } from '../../src/queue/session.ts';
import { KEY, VALID } from '../destinations/certificates.ts';
import { createTestDatabase } from '../helpers/postgres.ts';

const SSL_REQUEST_BYTES = 8;

/** Speaks TLS before a server that does not. @returns the server's address behind it. */
async function startTlsProxy(url: string): Promise<string> {
  const { username, password, pathname, searchParams } = new URL(url.replace('@/', '@localhost/'));
  const host = searchParams.get('host') ?? '';
  const port = searchParams.get('port') ?? '5432';
  const server = createServer((client) => {
    client.once('data', (request) => {
      expect(request).toHaveLength(SSL_REQUEST_BYTES);
      client.write('S');
      const secure = new TLSSocket(client, { isServer: true, key: KEY, cert: VALID });
      const upstream = connect(`${host}/.s.PGSQL.${port}`);
      for (const socket of [secure, upstream]) socket.on('error', () => client.destroy());
      secure.pipe(upstream).pipe(secure);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const own = (server.address() as AddressInfo).port;
  return `postgresql://${username}:${password}@127.0.0.1:${own}${pathname}?sslmode=no-verify`;
}

test('pages and other answers come over TLS as well', async () => {
  await using database = await createTestDatabase();
  const session = await Session.open({ database: await startTlsProxy(database.url), applicationName: 'test' });
  const shape = createRowShape([
    { name: 'id', kind: 'integer' },
    { name: 'event_type', kind: 'text' },
  ]);
  const sql = `SELECT i, repeat('é', i % 700) FROM generate_series(1, 2000) i`;
  for (let round = 0; round < 3; round += 1) {
    const { bytes, starts } = await session.page(sql, [], 2_001);
    const events = starts.map((at) => new QueuedEvent(shape, bytes, at));
    expect(events).toHaveLength(2_000);
    for (const [at, event] of events.entries()) {
      const expected = createEvent(shape, [String(at + 1), 'é'.repeat((at + 1) % 700)]);
      expect([event.id, event.value(1)]).toEqual([expected.id, expected.value(1)]);
    }
    expect(await session.query('SELECT ssl FROM (SELECT 7 AS ssl) x')).toEqual([['7']]);
  }
  await session.close();
});
