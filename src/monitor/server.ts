// The routes of `run --http`: metrics, health, the page and what it asks for. Nothing here is on the data path; what
// goes wrong here is answered, said, and nothing else.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { createHttpServer, type HttpServer } from '../http/http-server.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import type { Metrics } from '../metrics/registry.ts';
import { type Access, refusalOf } from './access.ts';
import type { PageFile } from './page-files.ts';
import { REASONS, type Readiness } from './readiness.ts';

/** Further ones are closed at once. */
const MAX_CONNECTIONS = 200;

/** The page takes nothing from elsewhere, and is shown in no frame. */
const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

/** Why a destination could not be paused, by code, and what to do. */
const REFUSALS: Readonly<Record<string, { readonly status: number; readonly hint: string }>> = {
  DESTINATION_UNKNOWN: { status: 404, hint: '' },
  '42501': { status: 403, hint: '; grant UPDATE on tailrace.destination to the role of this process' },
};

export interface MonitorServerOptions extends Access {
  readonly files: readonly PageFile[];
  readonly metrics: Metrics;
  readonly readiness: () => Promise<Readiness>;
  /** What the page shows. @param after as of `pageState`. */
  readonly state: (after: number) => Promise<object>;
  /** `tailrace pause` and `resume`. @throws {TailraceError}, or PostgreSQL's error. */
  readonly setPaused: (destination: string, paused: boolean) => Promise<void>;
  /** An error that is a bug. */
  readonly onBug: (error: unknown) => void;
}

/** Creates the server; it does not listen yet. */
export function createMonitorServer(options: MonitorServerOptions): HttpServer {
  const server = createHttpServer({
    maxConnections: MAX_CONNECTIONS,
    onBadPath: (reply) => problem(reply, 400, 'bad_request', 'The path of the request is not well formed.'),
  });
  const { app } = server;
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    const refusal = refusalOf(request, options);
    if (refusal === null) return;
    if (refusal.status === 401) reply.header('www-authenticate', 'Bearer');
    return problem(reply, refusal.status, refusal.error, refusal.message);
  });
  app.setNotFoundHandler((_request, reply) =>
    problem(reply, 404, 'not_found', 'There are GET /, /metrics, /healthz and /readyz.'),
  );
  app.setErrorHandler((error, _request, reply) => {
    const { statusCode } = error as { readonly statusCode?: number };
    if (statusCode !== undefined && statusCode < 500)
      return problem(reply, statusCode, 'bad_request', messageOf(error));
    options.onBug(error);
    return problem(reply, 500, 'internal', 'This is a bug; the diagnostics of tailrace say more.');
  });
  addHealth(app, options);
  app.get('/metrics', async (_request, reply) =>
    reply.header('content-type', options.metrics.contentType).send(await options.metrics.text()),
  );
  for (const { path, contentType, bytes } of options.files) {
    app.get(path, (_request, reply) => reply.header('content-type', contentType).send(bytes));
  }
  app.get('/api/state', async (request, reply) => json(reply, 200, await options.state(afterOf(request))));
  for (const [path, paused] of [
    ['/api/pause', true],
    ['/api/resume', false],
  ] as const) {
    app.post(path, async (request, reply) => {
      const destination = parameterOf(request, 'destination');
      if (destination === null) return problem(reply, 400, 'bad_request', 'Name one with ?destination=.');
      try {
        await options.setPaused(destination, paused);
      } catch (error) {
        const { status, hint } = REFUSALS[codeOf(error) ?? ''] ?? { status: 503, hint: '' };
        return problem(reply, status, 'refused', `${messageOf(error)}${hint}`);
      }
      return json(reply, 200, { destination, paused });
    });
  }
  return server;
}

function addHealth(app: FastifyInstance, { readiness }: MonitorServerOptions): void {
  app.get('/healthz', (_request, reply) => json(reply, 200, { status: 'ok' }));
  app.get('/readyz', async (_request, reply) => {
    const { role, reasons } = await readiness();
    const messages = reasons.map((reason) => REASONS[reason]);
    return json(reply, reasons.length === 0 ? 200 : 503, {
      status: reasons.length === 0 ? 'ready' : 'not ready',
      role,
      reasons,
      ...(messages.length > 0 ? { message: messages.join(' ') } : {}),
    });
  });
}

/** -1: the page has nothing yet. */
function afterOf(request: FastifyRequest): number {
  const after = Number(parameterOf(request, 'after') ?? -1);
  return Number.isSafeInteger(after) ? after : -1;
}

function parameterOf({ query }: FastifyRequest, name: string): string | null {
  const value =
    typeof query === 'object' && query !== null ? Object.entries(query).find(([key]) => key === name) : null;
  return typeof value?.[1] === 'string' && value[1] !== '' ? value[1] : null;
}

function problem(reply: FastifyReply, status: number, error: string, message: string): FastifyReply {
  return json(reply, status, { error, message });
}

function json(reply: FastifyReply, status: number, body: object): FastifyReply {
  return reply.code(status).header('content-type', 'application/json; charset=utf-8').send(JSON.stringify(body));
}
