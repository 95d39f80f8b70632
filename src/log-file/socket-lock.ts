// The local lock where there is no flock(1): a listening Unix socket, which is there as long as its process is. A dead
// holder refuses connections; a stopped one still accepts them. The socket's file is never removed, only replaced.

import { randomUUID } from 'node:crypto';
import { rename, stat } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, EXIT, TailraceError } from '../lib/errors.ts';

/** sockaddr_un has room for 107 bytes and a zero; longer names are cut without a word. */
const LONGEST_PATH_BYTES = 107;
/** Two that found a dead holder at once have both put their socket there after this; the last one stays. */
const SETTLE_MS = 200;

export interface HeldLock {
  /** Whether others would find it: its folder may have been removed or replaced since. */
  isInPlace(): Promise<boolean>;
  /** Lets another process have it; safe to call twice. */
  release(): Promise<void>;
}

/**
 * Takes the lock without waiting for its holder.
 *
 * @param directory the lock's own folder.
 * @returns null when a live process holds it.
 * @throws {TailraceError} `LOCK_FAILED` when the path is too long for a socket; else the error of the system call.
 */
export async function acquireSocketLock(directory: string): Promise<HeldLock | null> {
  const path = join(directory, 'lock.sock');
  const ownPath = join(directory, `${randomUUID().slice(0, 8)}.sock`);
  if (Buffer.byteLength(ownPath) > LONGEST_PATH_BYTES) {
    throw new TailraceError(
      'LOCK_FAILED',
      `${ownPath} is too long for a lock without flock(1); install util-linux or use a shorter path`,
      { exitCode: EXIT.unavailable },
    );
  }
  if (await isHeld(directory)) return null;

  const server = createServer((socket) => socket.destroy());
  await listen(server, ownPath);
  server.unref();
  const release = async (): Promise<void> => {
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  try {
    const { ino } = await stat(ownPath);
    await rename(ownPath, path);
    await sleep(SETTLE_MS);
    const isInPlace = async (): Promise<boolean> => (await stat(path).catch(() => null))?.ino === ino;
    if (await isInPlace()) return { isInPlace, release };
  } catch (error) {
    await release();
    throw error;
  }
  await release();
  return null;
}

/** Whether a live process holds the lock of this folder. */
export async function isHeld(directory: string): Promise<boolean> {
  return await new Promise((resolve, reject) => {
    const socket = connect(join(directory, 'lock.sock'));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      const code = codeOf(error);
      if (code === 'ENOENT' || code === 'ECONNREFUSED') resolve(false);
      else if (code === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

async function listen(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
