// A port for a server that is started later, or again and again, on the same address.

import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below those that the system gives to connections and to port 0, so that nobody gets it meanwhile by chance. */
const FIRST = 20_000;
const COUNT = 12_000;
const TRIES = 100;

/** A port of 127.0.0.1 that nobody listens on now. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < TRIES; tries += 1) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error(`none of ${TRIES} ports from ${FIRST} on is free`);
}
