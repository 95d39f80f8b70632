// Outside the data path: the demo's stand-in for an application that receives events. It accepts JSON and form POSTs,
// refuses some of both as a busy server does, and knows the ids of what it accepted.

import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

export interface ReceiverOptions {
  /** Share of the requests answered with 503: 0.05 is one in twenty. */
  readonly refusedShare: number;
  /** The same seed refuses the same requests in a row. */
  readonly seed: number;
}

export interface Receiver extends AsyncDisposable {
  /** For example `http://127.0.0.1:40321`. */
  readonly origin: string;
  /** Ids of the events answered with 200, by the path they were posted to. */
  readonly accepted: ReadonlyMap<string, ReadonlySet<string>>;
  /** Requests answered with 503 so far. */
  readonly refused: number;
}

/** Listens on a free port of 127.0.0.1 until it is disposed of. */
export async function startReceiver(options: ReceiverOptions): Promise<Receiver> {
  const accepted = new Map<string, Set<string>>();
  const random = createRandom(options.seed);
  let refused = 0;

  const receive = async (request: IncomingMessage, response: ServerResponse) => {
    const body = await text(request);
    if (random() < options.refusedShare) {
      refused += 1;
      response.writeHead(503, { 'content-type': 'text/plain' }).end('too busy, try again');
      return;
    }
    const path = request.url ?? '/';
    const ids = accepted.get(path) ?? new Set();
    accepted.set(path, ids.add(idOf(request, body)));
    response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
  };
  const server = createServer((request, response) => {
    receive(request, response).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  return {
    origin: `http://127.0.0.1:${port}`,
    accepted,
    get refused() {
      return refused;
    },
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function idOf(request: IncomingMessage, body: string): string {
  if (request.headers['content-type']?.startsWith('application/json')) return String(JSON.parse(body).id);
  return String(new URLSearchParams(body).get('id'));
}

/** Mulberry32: a few lines that give the same numbers in [0, 1) for the same seed. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
