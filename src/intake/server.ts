// The HTTP side of the intake: routes, who may, limits and timeouts, answers in JSON. Knows nothing of PostgreSQL but
// that events go into `record` and come back committed.

import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { createHttpServer } from '../http/http-server.ts';
import type { TokenCheck } from '../http/tokens.ts';
import { type Receipt, Refused, receiptBody, refusalBody, unavailable } from './answers.ts';
import type { InFlight } from './in-flight.ts';
import { readBody } from './read-body.ts';
import { type EventText, formatOf, splitEvents } from './split-events.ts';

/** Further ones are closed at once. */
const MAX_CONNECTIONS = 4_000;

/** Path → its methods. */
const PATHS: ReadonlyMap<string, string> = new Map([
  ['/events', 'POST'],
  ['/health', 'GET, HEAD'],
]);

export interface ServerOptions {
  readonly maxBodyBytes: number;
  readonly maxEvents: number;
  readonly inFlight: InFlight;
  /** Asked anew for each request: tokens may be changed. */
  readonly isAllowed: TokenCheck;
  /** Whether tokens are asked for: without them requests of a browser are refused. */
  readonly wantsToken: () => boolean;
  /** Records the events of one request; `partial`: the good ones of them. @throws {Refused} */
  readonly record: (events: readonly EventText[], partial: boolean) => Promise<Receipt>;
  /** Whether events can be recorded now. @throws when they cannot. */
  readonly probe: () => Promise<void>;
  /** An error that is a bug. */
  readonly onBug: (error: unknown) => void;
}

export interface IntakeServer {
  readonly app: FastifyInstance;
  /** Takes no more connections and requests, answers those under way; after `patienceMs` it closes what is left. */
  stop(patienceMs: number): Promise<void>;
}

/** Creates the server; it does not listen yet. */
export function createServer(options: ServerOptions): IntakeServer {
  let stopping = false;
  const { app, stop } = createHttpServer({
    maxConnections: MAX_CONNECTIONS,
    onBadPath: (reply) => refuse(reply, new Refused(400, 'bad_request', 'The path of the request is not well formed.')),
  });

  app.addHook('onRequest', async (request, reply) => {
    const refusal = refusalOf(request, options, stopping);
    return refusal === null ? undefined : refuse(reply, refusal);
  });
  app.addHook('onSend', async (_request, reply) => {
    if (stopping) reply.header('connection', 'close');
  });
  app.setNotFoundHandler((request, reply) => refuse(reply, notFound(request)));
  app.setErrorHandler((error, _request, reply) => {
    if (error instanceof Refused) return refuse(reply, error);
    const { statusCode = 500, message } = error as Partial<FastifyError>; // the framework's own: a Content-Type that is none
    if (statusCode >= 400 && statusCode < 500)
      return refuse(reply, new Refused(statusCode, 'bad_request', message ?? ''));
    options.onBug(error);
    return refuse(reply, new Refused(500, 'internal', 'The intake has a bug; its log says more.'));
  });

  app.get('/health', async (_request, reply) => {
    await options.probe();
    return json(reply, 200, '{"status":"ok"}');
  });
  app.post('/events', async (request, reply) => {
    const receipt = await options.inFlight.admit(async (budget) => {
      const partial = partialOf(request.query);
      const format = formatOf(request.headers['content-type']);
      const { maxBodyBytes: maxBytes, maxEvents, inFlight } = options;
      const body = await readBody(request.raw, { maxBytes, budget, unpacking: inFlight.unpacking });
      return await options.record(splitEvents(body, format, maxEvents), partial);
    });
    return json(reply, 202, receiptBody(receipt));
  });

  return {
    app,
    async stop(patienceMs) {
      stopping = true;
      await stop(patienceMs);
    },
  };
}

/** What is known before the body is read. */
function refusalOf(request: FastifyRequest, options: ServerOptions, stopping: boolean): Refused | null {
  if (stopping) return unavailable(false, 'The intake is stopping');
  if (request.is404) return notFound(request);
  if (request.url.startsWith('/health')) return null;
  if (!options.isAllowed(request.headers.authorization)) {
    return new Refused(401, 'unauthorized', 'Send "Authorization: Bearer" with a token of this intake.', {
      headers: { 'www-authenticate': 'Bearer' },
    });
  }
  if (request.headers.origin !== undefined && !options.wantsToken()) {
    // Any page that somebody on this machine looks at could send one.
    return new Refused(403, 'browser', 'Without a token, requests of web pages (with an Origin header) are refused.');
  }
  return null;
}

function notFound({ method, url }: FastifyRequest): Refused {
  const allow = PATHS.get(url.split('?')[0] ?? '');
  if (allow === undefined) return new Refused(404, 'not_found', 'There are POST /events and GET /health.');
  return new Refused(405, 'method_not_allowed', `${method} is not for this path; it takes ${allow}.`, {
    headers: { allow },
  });
}

function partialOf(query: unknown): boolean {
  const given = typeof query === 'object' && query !== null && 'partial' in query ? query.partial : undefined;
  if (given === '1' || given === 'true') return true;
  if (given === undefined || given === '0' || given === 'false') return false;
  throw new Refused(400, 'bad_request', 'The parameter partial is 1 or 0.');
}

function refuse(reply: FastifyReply, refusal: Refused): FastifyReply {
  reply.headers(refusal.headers);
  return json(reply, refusal.status, refusalBody(refusal));
}

function json(reply: FastifyReply, status: number, body: string): FastifyReply {
  return reply.code(status).header('content-type', 'application/json; charset=utf-8').send(body);
}
