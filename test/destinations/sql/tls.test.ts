// TLS to a database: what is on is verified, and nothing goes out in clear text when it is asked for.

import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Mariadb, requireMariadb, startMariadb } from '../../helpers/mariadb.ts';
import { createTestDatabase } from '../../helpers/postgres.ts';
import { AUTHORITY, KEY, VALID, WRONG_HOST } from '../certificates.ts';
import { NEVER, sampleEvent } from '../samples.ts';
import { sqlDestination } from './subject.ts';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tailrace-tls-'));
  for (const [name, text] of Object.entries({ ca: AUTHORITY, key: KEY, valid: VALID, wrong: WRONG_HOST })) {
    await writeFile(join(folder, `${name}.pem`), `${text}\n`, { mode: 0o600 });
  }
  await chmod(folder, 0o755);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The error of one delivery through `SELECT 1`, or null. */
async function errorOf(db_dsn: string): Promise<string | null> {
  await using destination = await sqlDestination({ type: 'custom_sql', db_dsn, sql: 'SELECT 1' });
  const [result] = await destination.deliver([sampleEvent()], NEVER);
  return result && !result.ok ? result.error : null;
}

describe.skipIf(!requireMariadb()).each(['valid', 'wrong'])('a MariaDB with a %s certificate', (certificate) => {
  let mariadb: Mariadb;
  let url = '';
  beforeAll(async () => {
    const file = (name: string) => join(folder, `${name}.pem`);
    mariadb = await startMariadb([
      `--ssl-cert=${file(certificate)}`,
      `--ssl-key=${file('key')}`,
      '--require-secure-transport=ON',
    ]);
    url = (await mariadb.createDatabase()).url;
  }, 120_000);
  afterAll(async () => {
    await mariadb?.[Symbol.asyncDispose]();
  });

  test('is trusted as far as it can be verified', async () => {
    const ca = join(folder, 'ca.pem');
    const full = await errorOf(`${url}?ssl=true&ssl-ca=${ca}`);
    if (certificate === 'valid') expect(full).toBeNull();
    else expect(full).toMatch(/does not match certificate/i);
    expect(await errorOf(`${url}?ssl-mode=VERIFY_CA&ssl-ca=${ca}`)).toBeNull();
    expect(await errorOf(`${url}?ssl=true`)).toMatch(/certificate/);
    expect(await errorOf(`${url}?ssl-mode=no-verify`)).toBeNull();
    expect(await errorOf(url)).toMatch(/Access denied|secure/);
    expect(await errorOf(`${url}?ssl-ca=${ca}.missing`)).toContain(`${ca}.missing`);
  });
});

/** PostgreSQL behind TLS: answers the request for it as the server does, and passes on what it deciphers. */
async function createTlsFront(socketPath: string, cert: string): Promise<{ readonly port: number } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', (request) => {
      // SSLRequest; whoever speaks in clear text is cut off.
      if (request.length !== 8 || request.readUInt32BE(4) !== 80877103) {
        socket.destroy();
        return;
      }
      socket.write('S');
      const plain = new TLSSocket(socket, { isServer: true, cert, key: KEY });
      pipeline(plain, connect(socketPath), plain, () => undefined);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port, // TCP has a port
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

test.each(['valid', 'wrong'])(
  'a PostgreSQL with a %s certificate is trusted as far as it can be verified',
  async (which) => {
    const ca = join(folder, 'ca.pem');
    await using database = await createTestDatabase();
    const socketFolder = new URL(database.url.replace('@/', '@localhost/')).searchParams.get('host');
    await using front = await createTlsFront(`${socketFolder}/.s.PGSQL.5432`, which === 'valid' ? VALID : WRONG_HOST);
    const url = `postgresql://postgres@127.0.0.1:${front.port}/${database.name}`;
    const full = await errorOf(`${url}?sslmode=verify-full&sslrootcert=${ca}`);
    if (which === 'valid') expect(full).toBeNull();
    else expect(full).toMatch(/does not match certificate/i);
    expect(await errorOf(`${url}?sslmode=verify-ca&sslrootcert=${ca}`)).toBeNull();
    expect(await errorOf(`${url}?sslmode=require`)).toMatch(/certificate/);
    expect(await errorOf(`${url}?sslmode=no-verify`)).toBeNull();
    expect(await errorOf(url)).not.toBeNull();
  },
);
