// A receiver of POSTs on a free port of 127.0.0.1 that keeps what it was sent and answers as its script says, the ways
// of bad receivers (FAULTS H1 to H5) included. `await using receiver = await createHttpReceiver(...)`.

import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync, gzipSync } from 'node:zlib';
import { waitFor } from './wait-for.ts';

export interface ReceivedRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Decompressed when it came compressed with gzip. */
  readonly body: string;
  /** Octets of the body as it came. */
  readonly bodyBytes: number;
  /** Which connection it came on: 1 is the receiver's first. */
  readonly connection: number;
}

/** What the receiver does with one request. */
export type Answer =
  | {
      readonly kind?: 'answer';
      /** 200 unless given. */
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Buffer;
      /** Waited before the headers. */
      readonly delayMs?: number;
    }
  /** Headers at once, then the body one octet a time. */
  | { readonly kind: 'drip'; readonly status?: number; readonly body: string; readonly everyMs?: number }
  /** A body as fast as it is read, without end. */
  | { readonly kind: 'endless'; readonly status?: number }
  /** A small body that unpacks to `bytes`. */
  | { readonly kind: 'gzip-bomb'; readonly status?: number; readonly bytes: number }
  | { readonly kind: 'header-flood'; readonly count: number }
  /** RST; `mid-body` after one octet of the body. */
  | { readonly kind: 'reset'; readonly status?: number; readonly when: 'before-headers' | 'after-headers' | 'mid-body' }
  /** An orderly end of the connection before the body that the headers announce. */
  | { readonly kind: 'cut-off'; readonly status?: number }
  | { readonly kind: 'hang' }
  /** Octets that need not be HTTP. */
  | { readonly kind: 'raw'; readonly text: string };

/** Chooses the answer; `index` counts requests from 0. */
export type Script = (request: ReceivedRequest, index: number) => Answer;

export interface HttpReceiver extends AsyncDisposable {
  readonly port: number;
  readonly requests: readonly ReceivedRequest[];
  /** How many connections were ever made. */
  readonly connections: number;
  /** How many are open. */
  readonly openConnections: number;
  url(path?: string): string;
  /** Changes what the next requests are answered. */
  script(next: Script | Answer): void;
  waitForRequests(count: number): Promise<void>;
  /** Closes connections on which no request is under way, as receivers do with idle ones. */
  closeIdleConnections(): void;
  /** Closes everything, safe to call twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface HttpReceiverOptions {
  /** PEM; the URL is then https. */
  readonly tls?: {
    readonly key: string;
    readonly cert: string;
    /** Asks for a certificate of this authority, and refuses who has none. */
    readonly clientCa?: string;
  };
}

/** Starts a receiver. */
export async function createHttpReceiver(
  first: Script | Answer = {},
  options: HttpReceiverOptions = {},
): Promise<HttpReceiver> {
  let script = first;
  const requests: ReceivedRequest[] = [];
  const sockets = new Map<Socket, number>();
  let connections = 0;

  const onRequest = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of message) chunks.push(chunk);
    const sent = Buffer.concat(chunks);
    const received = {
      method: message.method ?? '',
      url: message.url ?? '',
      headers: message.headers,
      body: (message.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent).toString(),
      bodyBytes: sent.length,
      connection: numberOf(message),
    };
    requests.push(received);
    await answer(response, typeof script === 'function' ? script(received, requests.length - 1) : script);
  };
  const numberOf = ({ socket }: IncomingMessage): number => sockets.get(socket) ?? 0;
  const listener = (message: IncomingMessage, response: ServerResponse): void => {
    // A client may leave at any time.
    onRequest(message, response).catch(() => message.socket.destroy());
  };
  // Idle connections stay, unless a test closes them.
  const { tls } = options;
  const server = tls
    ? createTlsServer({ ...tls, ...(tls.clientCa && { ca: tls.clientCa, requestCert: true }) }, listener)
    : createServer(listener);
  server.keepAliveTimeout = 0;
  server.on(options.tls ? 'secureConnection' : 'connection', (socket: Socket) => {
    connections += 1;
    sockets.set(socket, connections);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Not a pipe: an address of TCP has a port.
  const { port } = server.address() as AddressInfo;

  const close = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets.keys()) socket.destroy();
    await closed;
  };
  return {
    port,
    requests,
    get connections() {
      return connections;
    },
    get openConnections() {
      return sockets.size;
    },
    url: (path = '/hook') => `${options.tls ? 'https' : 'http'}://127.0.0.1:${port}${path}`,
    script: (next) => {
      script = next;
    },
    waitForRequests: async (count) => {
      await waitFor(() => requests.length >= count, { what: `${count} requests` });
    },
    closeIdleConnections: () => server.closeIdleConnections(),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Answers in turn; the last one goes on for ever. */
export function inTurn(...answers: readonly Answer[]): Script {
  return (_, index) => answers[Math.min(index, answers.length - 1)] ?? {};
}

/** Answers with `otherwise` with probability `p`, the same requests for the same seed. */
export function failingWithProbability(p: number, seed: number, otherwise: Answer, accept: Answer = {}): Script {
  const random = seededRandom(seed);
  return () => (random() < p ? otherwise : accept);
}

async function answer(response: ServerResponse, how: Answer): Promise<void> {
  const socket = response.socket;
  if (!socket) return;
  const status = ('status' in how && how.status) || 200;
  switch (how.kind) {
    case undefined:
    case 'answer':
      if (how.delayMs) await delay(how.delayMs);
      response.writeHead(status, how.headers).end(how.body ?? '');
      return;
    case 'drip':
      response.writeHead(status);
      response.flushHeaders();
      for (const octet of how.body) {
        await delay(how.everyMs ?? 1000, undefined, { ref: false });
        if (socket.destroyed) return;
        response.write(octet);
      }
      response.end();
      return;
    case 'endless':
      response.writeHead(status);
      await pipeline(endless(), response);
      return;
    case 'gzip-bomb':
      response.writeHead(status, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(how.bytes)));
      return;
    case 'header-flood':
      await pipeline(headerFlood(how.count), socket);
      return;
    case 'reset': {
      const start = `HTTP/1.1 ${status} Any\r\ncontent-length: 2\r\n\r\n`;
      if (how.when === 'before-headers') socket.resetAndDestroy();
      else
        socket.write(how.when === 'mid-body' ? `${start}o` : start, () => setImmediate(() => socket.resetAndDestroy()));
      return;
    }
    case 'cut-off':
      socket.end(`HTTP/1.1 ${status} Any\r\ncontent-length: 2\r\n\r\no`);
      return;
    case 'hang':
      return;
    case 'raw':
      socket.end(how.text);
      return;
  }
}

function* endless(): Generator<string> {
  for (;;) yield 'x'.repeat(16_384);
}

function* headerFlood(count: number): Generator<string> {
  yield 'HTTP/1.1 200 OK\r\n';
  for (let n = 0; n < count; n += 1) yield `x-${n}: y\r\n`;
  yield 'content-length: 2\r\n\r\nok';
}

/** mulberry32: small, and the same everywhere. */
function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
