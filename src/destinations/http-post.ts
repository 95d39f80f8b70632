// The destination that POSTs each event, or a batch of them, to a URL (SPEC 6). It gives one result per event and keeps
// nothing: when to try again is the lane's business, and the same event goes out with the same body and idempotency key
// every time.

import type { LookupFunction } from 'node:net';
import type { Config, HttpPostConfig } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import { messageOf } from '../lib/errors.ts';
import { bisect } from './bisect.ts';
import type { DeliveryResult, Destination } from './destination.ts';
import { isGone, judgeAnswer } from './http-answer.ts';
import { cutBatches } from './http-batch.ts';
import { HttpConnections } from './http-connections.ts';
import { createConnector } from './http-connector.ts';
import { HttpExchange } from './http-exchange.ts';
import { createHttpMessages, type MadeRequest } from './http-messages.ts';
import type { HttpRequest } from './http-request.ts';
import { createHttpTarget } from './http-target.ts';
import { ABORTED, ExchangesBySignal } from './http-under-way.ts';

export interface HttpPostOptions extends Pick<Config, 'httpKeepAlive' | 'httpUserAgent' | 'expandJsonColumns'> {
  /** Told once when the receiver says that its address is gone for good (410), and again only after an acceptance. */
  readonly onGone?: (error: string) => void;
  /** Node's own unless a test gives one. */
  readonly lookup?: LookupFunction;
}

type OnResult = (result: DeliveryResult) => void;

const CLOSED = 'the destination is closed';

/**
 * Creates the driver of one `http_post` destination. Connections are opened when first needed, at most
 * `destination.concurrency` of them.
 *
 * @throws {TailraceError} CONFIG_INVALID when the URL is not an http or https URL.
 */
export function createHttpPost(destination: HttpPostConfig, options: HttpPostOptions): Destination {
  const { format, timeoutMs, concurrency, batch } = destination;
  const target = createHttpTarget(destination);
  const connect = createConnector({ ...destination, proxy: target.proxy, ...lookupOf(options) });
  const connections = new HttpConnections({
    origin: target.origin,
    concurrency,
    keepAlive: options.httpKeepAlive,
    connect,
  });
  const settings = { connections, timeoutMs, bodyDecides: format === 'form', place: target.place };
  const messages = createHttpMessages(destination, target, options);
  const underWay = new ExchangesBySignal();
  let closed = false;
  let gone = false;

  const refusal = (signal: AbortSignal): string | null => (closed ? CLOSED : signal.aborted ? ABORTED : null);

  const send = (request: HttpRequest, signal: AbortSignal, onResult: OnResult): void => {
    const exchange = new HttpExchange(settings, request, (end) => {
      underWay.delete(exchange, signal);
      const result: DeliveryResult =
        'answer' in end ? judgeAnswer(end.answer, format, target) : { ok: false, error: target.scrub(end.error) };
      if (!result.ok && isGone(result) && !gone) options.onGone?.(result.error);
      gone = isGone(result) || (gone && !result.ok);
      onResult(result);
    });
    underWay.add(exchange, signal);
    exchange.start();
  };

  const post = (request: MadeRequest, signal: AbortSignal, onResult: OnResult): void => {
    if (!(request instanceof Promise)) {
      send(request, signal, onResult);
      return;
    }
    request.then(
      (ready) => {
        // Only an exchange hears of what happens while it is under way.
        const error = refusal(signal);
        if (error === null) send(ready, signal, onResult);
        else onResult({ ok: false, error });
      },
      (error) => onResult({ ok: false, error: `the body could not be compressed: ${messageOf(error)}` }),
    );
  };

  const deliverSingly = (events: readonly QueuedEvent[], signal: AbortSignal): Promise<readonly DeliveryResult[]> =>
    new Promise((resolve) => {
      const results: DeliveryResult[] = new Array(events.length);
      let missing = events.length;
      if (missing === 0) resolve(results);
      events.forEach((event, at) => {
        post(messages.single(event), signal, (result) => {
          results[at] = result;
          missing -= 1;
          if (missing === 0) resolve(results);
        });
      });
    });

  const deliverBatches = async (events: readonly QueuedEvent[], signal: AbortSignal, maxEvents: number) => {
    const batches = cutBatches(events.map(messages.member), maxEvents).map((members) =>
      bisect(members, (part) => {
        const error = refusal(signal);
        if (error !== null) return Promise.resolve({ ok: false, error });
        return new Promise((resolve) => post(messages.batch(part), signal, resolve));
      }),
    );
    return (await Promise.all(batches)).flat();
  };

  return {
    outcome: 'delivered',
    maxBatchEvents: batch?.maxEvents ?? 1,
    deliver: (events, { signal }) => {
      const error = refusal(signal);
      if (error !== null) return Promise.resolve(events.map(() => ({ ok: false, error })));
      return batch ? deliverBatches(events, signal, batch.maxEvents) : deliverSingly(events, signal);
    },
    close: async () => {
      closed = true;
      underWay.abortAll('the destination was closed before it answered');
      await connections.close();
    },
  };
}

function lookupOf({ lookup }: HttpPostOptions): Pick<HttpPostOptions, 'lookup'> {
  return lookup ? { lookup } : {};
}
