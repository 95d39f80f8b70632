// What the HTTP servers of ours have in common: the time and room that a client gets, answers to what is no HTTP, an
// orderly end. The routes are their own.

import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyReply, fastify } from 'fastify';
import { codeOf } from '../lib/errors.ts';

/** A client has so long for its headers, and for its whole request. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** A connection on which nothing happens is closed; longer than PostgreSQL may take for an answer. */
const SILENCE_TIMEOUT_MS = 60_000;
const TIMEOUTS_LOOKED_AT_MS = 1_000;
const MAX_HEADER_BYTES = 16 * 1024;

export interface HttpServerOptions {
  /** Further ones are closed at once. */
  readonly maxConnections: number;
  /** Answers a request whose path is not well formed. */
  readonly onBadPath: (reply: FastifyReply) => void;
}

export interface HttpServer {
  /** Reads no body by itself. */
  readonly app: FastifyInstance;
  /** Takes no more connections, waits for the answers under way; after `patienceMs` it closes what is left. */
  stop(patienceMs: number): Promise<void>;
}

/** Creates a server without routes; it does not listen yet. */
export function createHttpServer({ maxConnections, onBadPath }: HttpServerOptions): HttpServer {
  const app = fastify({
    connectionTimeout: SILENCE_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    http: {
      headersTimeout: HEADERS_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUTS_LOOKED_AT_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    return503OnClosing: false, // ours is in JSON as the others are
    clientErrorHandler: answerBrokenRequest,
    // Of the framework's own errors only this one comes before a route is found.
    frameworkErrors: (_error, _request, reply) => onBadPath(reply),
  });
  app.server.maxConnections = maxConnections;
  // Bodies are read by the handlers, which count what they hold.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  return {
    app,
    async stop(patienceMs) {
      const timer = setTimeout(() => app.server.closeAllConnections(), patienceMs);
      await app.close();
      clearTimeout(timer);
    },
  };
}

/** What is no HTTP, or does not come in time: there is no request and no reply yet. */
function answerBrokenRequest(error: Error, socket: Socket): void {
  if (codeOf(error) === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, name, message] =
    codeOf(error) === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? ['408 Request Timeout', 'timeout', 'The request did not come in time.']
      : codeOf(error) === 'HPE_HEADER_OVERFLOW'
        ? ['431 Request Header Fields Too Large', 'headers_too_large', 'The headers are too large.']
        : ['400 Bad Request', 'bad_request', 'This is not HTTP.'];
  const body = JSON.stringify({ error: name, message });
  const headers = `content-type: application/json; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close`;
  socket.end(`HTTP/1.1 ${status}\r\n${headers}\r\n\r\n${body}`);
}
