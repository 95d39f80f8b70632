// Begins to listen. A Unix socket that a killed process left behind is taken away first, one that answers is not.

import { lstat, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { codeOf, EXIT, messageOf, TailraceError } from '../lib/errors.ts';
import { type ListenAddress, printAddress } from './listen-address.ts';

/** What to do next, by the system's code. */
const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: '; another program listens there: end it, or name another port',
  EADDRNOTAVAIL: '; this machine does not have that address',
  EACCES: '; ports below 1024 and the folders of others need rights that this account has not',
};

/**
 * Listens on an address.
 *
 * @returns the address, with the port that was chosen when it was 0.
 * @throws {TailraceError} `LISTEN_FAILED`.
 */
export async function listen(app: FastifyInstance, address: ListenAddress): Promise<ListenAddress> {
  try {
    if (address.kind === 'unix') {
      // What Node makes of a missing folder is EACCES.
      if (!(await stat(dirname(address.path)).catch(() => null)))
        throw new Error(`${dirname(address.path)} is not there`);
      await removeDeadSocket(address.path);
      await app.listen({ path: address.path });
      return address;
    }
    await app.listen({ host: address.host, port: address.port });
    const bound = app.server.address();
    return typeof bound === 'object' && bound !== null ? { ...address, port: bound.port } : address;
  } catch (cause) {
    const message = `cannot listen on ${printAddress(address)}: ${messageOf(cause)}${HINTS[codeOf(cause) ?? ''] ?? ''}`;
    throw new TailraceError('LISTEN_FAILED', message, { exitCode: EXIT.unavailable, cause });
  }
}

/** Only what refuses connections: another file, or the socket of a living process, makes `listen` fail. */
async function removeDeadSocket(path: string): Promise<void> {
  // A connection to any other file is refused as well.
  if (!(await lstat(path).catch(() => null))?.isSocket()) return;
  const isDead = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error) => resolve(codeOf(error) === 'ECONNREFUSED'));
  });
  if (isDead) await rm(path, { force: true });
}
