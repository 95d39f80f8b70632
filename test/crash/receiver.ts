// Where events are delivered to: accepts, refuses or redirects by path, and remembers of each accepted event only how
// often it came and under which keys, so that a long run does not fill the memory.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../helpers/wait-for.ts';
import { checksumOf } from './events.ts';

export interface Received {
  readonly keys: Set<string>;
  readonly checksums: Set<number>;
  times: number;
}

export interface Receiver extends AsyncDisposable {
  /** Requests on `/accept`, by event id. */
  readonly accepted: ReadonlyMap<string, Received>;
  /** Milliseconds before each answer; 0 at first. */
  delayMs: number;
  /** Waits until nobody is connected and every request is dealt with. */
  idle(): Promise<void>;
  url(path: '/accept' | '/refuse' | '/redirect' | '/never'): string;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a receiver on a free port. */
export async function createReceiver(): Promise<Receiver> {
  const accepted = new Map<string, Received>();
  const onRequest = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk);
    if (receiver.delayMs > 0) await sleep(receiver.delayMs);
    if (message.url === '/redirect') {
      response.writeHead(307, { location: receiver.url('/accept') }).end();
      return;
    }
    if (message.url !== '/accept') {
      response.writeHead(500).end();
      return;
    }
    note(accepted, String(message.headers['idempotency-key']), JSON.parse(Buffer.concat(chunks).toString()));
    response.writeHead(200).end();
  };
  let underWay = 0;
  const server = createServer((message, response) => {
    underWay += 1;
    onRequest(message, response)
      .catch(() => message.socket.destroy())
      .finally(() => {
        underWay -= 1;
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // TCP has a port
  const receiver: Receiver = {
    accepted,
    delayMs: 0,
    idle: () =>
      waitFor(async () => underWay === 0 && (await connectionsOf(server)) === 0, { what: 'an idle receiver' }).then(
        () => undefined,
      ),
    url: (path) => `http://127.0.0.1:${port}${path}`,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
    },
  };
  return receiver;
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

function note(accepted: Map<string, Received>, key: string, body: Readonly<Record<string, unknown>>): void {
  const id = String(body.id);
  const received = accepted.get(id) ?? { keys: new Set(), checksums: new Set(), times: 0 };
  received.keys.add(key);
  received.checksums.add(checksumOf(body));
  received.times += 1;
  accepted.set(id, received);
}
