// The destination that POSTs each event to a URL (SPEC 6). It gives one result per event and keeps nothing: when to try
// again is the lane's business, and the same event goes out with the same body and idempotency key every time.

import type { Dispatcher } from 'undici';
import type { Config, HttpPostConfig } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import type { DeliveryResult, Destination } from './destination.ts';
import { judgeAnswer } from './http-answer.ts';
import { createHttpBodyBuilder } from './http-body.ts';
import { HttpConnections } from './http-connections.ts';
import { type ExchangeEnd, HttpExchange } from './http-exchange.ts';
import { createHttpTarget, type HttpTarget } from './http-target.ts';
import { idempotencyKey, percentEncode } from './idempotency-key.ts';

export interface HttpPostOptions extends Pick<Config, 'httpKeepAlive' | 'httpUserAgent' | 'expandJsonColumns'> {
  /** Certificates to trust instead of Node's own (PEM). */
  readonly ca?: string;
}

const CONTENT_TYPE = {
  json: 'application/json',
  form: 'application/x-www-form-urlencoded',
} as const;

/**
 * Creates the driver of one `http_post` destination. Connections are opened when first needed, at most
 * `destination.concurrency` of them.
 *
 * @throws {TailraceError} CONFIG_INVALID when the URL is not an http or https URL.
 */
export function createHttpPost(destination: HttpPostConfig, options: HttpPostOptions): Destination {
  const { format, timeoutMs, concurrency } = destination;
  const target = createHttpTarget(destination.url);
  const connections = new HttpConnections({
    origin: target.origin,
    concurrency,
    keepAlive: options.httpKeepAlive,
    connectTimeoutMs: timeoutMs,
    ...(options.ca !== undefined && { ca: options.ca }),
  });
  const settings = { connections, timeoutMs, bodyDecides: format === 'form', place: target.place };
  const bodyOf = createHttpBodyBuilder({ ...destination, expandJsonColumns: options.expandJsonColumns });
  const headers = createHeaders(target, format, options.httpUserAgent);
  const underWay = new ExchangesBySignal();
  let closed = false;

  const post = (event: QueuedEvent, signal: AbortSignal, onResult: (result: DeliveryResult) => void): void => {
    const request: Dispatcher.DispatchOptions = {
      method: 'POST',
      path: target.path,
      headers: [...headers, 'idempotency-key', idempotencyKey(event)],
      body: bodyOf(event),
    };
    const exchange = new HttpExchange(settings, request, (end) => {
      underWay.delete(exchange, signal);
      onResult(resultOf(end, destination, target));
    });
    underWay.add(exchange, signal);
    exchange.start();
  };

  return {
    outcome: 'delivered',
    maxBatchEvents: 1,
    deliver: (events, { signal }) => {
      const refusal = closed ? 'the destination is closed' : signal.aborted ? ABORTED : null;
      if (refusal !== null) return Promise.resolve(events.map(() => ({ ok: false, error: refusal })));
      return new Promise((resolve) => {
        const results: DeliveryResult[] = new Array(events.length);
        let missing = events.length;
        if (missing === 0) resolve(results);
        events.forEach((event, at) => {
          post(event, signal, (result) => {
            results[at] = result;
            missing -= 1;
            if (missing === 0) resolve(results);
          });
        });
      });
    },
    close: async () => {
      closed = true;
      underWay.abortAll('the destination was closed before it answered');
      await connections.close();
    },
  };
}

const ABORTED = 'aborted before the destination answered';

function resultOf(end: ExchangeEnd, { format }: HttpPostConfig, target: HttpTarget): DeliveryResult {
  return 'answer' in end ? judgeAnswer(end.answer, format, target) : { ok: false, error: target.scrub(end.error) };
}

/** Names and values in turn, as undici takes them fastest. */
function createHeaders(target: HttpTarget, format: HttpPostConfig['format'], userAgent: string): readonly string[] {
  return [
    'content-type',
    CONTENT_TYPE[format],
    'user-agent',
    userAgent.split(' ').map(percentEncode).join(' '),
    // A form's answer is compared as it comes, and no answer is worth a decompression bomb.
    'accept-encoding',
    'identity',
    ...(target.authorization === null ? [] : ['authorization', target.authorization]),
  ];
}

/** The exchanges under way by the signal that aborts them: one listener a signal, however many share it. */
class ExchangesBySignal {
  readonly #groups = new Map<AbortSignal, { readonly exchanges: Set<HttpExchange>; readonly onAbort: () => void }>();

  add(exchange: HttpExchange, signal: AbortSignal): void {
    let group = this.#groups.get(signal);
    if (!group) {
      const exchanges = new Set<HttpExchange>();
      const onAbort = (): void => {
        abortNewestFirst(exchanges, ABORTED);
      };
      group = { exchanges, onAbort };
      this.#groups.set(signal, group);
      signal.addEventListener('abort', onAbort);
    }
    group.exchanges.add(exchange);
  }

  delete(exchange: HttpExchange, signal: AbortSignal): void {
    const group = this.#groups.get(signal);
    if (!group) return;
    group.exchanges.delete(exchange);
    if (group.exchanges.size > 0) return;
    signal.removeEventListener('abort', group.onAbort);
    this.#groups.delete(signal);
  }

  abortAll(reason: string): void {
    for (const { exchanges } of this.#groups.values()) abortNewestFirst(exchanges, reason);
  }
}

/** Those that still wait for a connection have to be gone before an older one sets one free. */
function abortNewestFirst(exchanges: ReadonlySet<HttpExchange>, reason: string): void {
  for (const exchange of [...exchanges].reverse()) exchange.abort(reason);
}
