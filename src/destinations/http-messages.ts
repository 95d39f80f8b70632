// The POSTs of one destination, ready to be dispatched: what an event, or a batch of them, looks like on the wire. Made in
// one place, so that what `tailrace explain` shows is what a delivery sends.

import type { Config, HttpPostConfig } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import { type BatchMember, batchBody, batchKey } from './http-batch.ts';
import { createHttpBodyBuilder } from './http-body.ts';
import { createHttpRequestBuilder, type HttpRequest } from './http-request.ts';
import type { HttpTarget } from './http-target.ts';
import { idempotencyKey } from './idempotency-key.ts';

/** A request, or the promise of one whose large body is being compressed. */
export type MadeRequest = HttpRequest | Promise<HttpRequest>;

export interface HttpMessages {
  /** The POST of one event on its own. */
  single(event: QueuedEvent): MadeRequest;
  /** An event as it stands in a batch. */
  member(event: QueuedEvent): BatchMember;
  /** The POST of a batch, or of a part of it. */
  batch(members: readonly BatchMember[]): MadeRequest;
}

/** Creates what makes the POSTs of one destination. */
export function createHttpMessages(
  destination: HttpPostConfig,
  target: HttpTarget,
  options: Pick<Config, 'httpUserAgent' | 'expandJsonColumns'>,
): HttpMessages {
  const bodyOf = createHttpBodyBuilder({ ...destination, expandJsonColumns: options.expandJsonColumns });
  const requestOf = createHttpRequestBuilder(destination, target, options.httpUserAgent);
  return {
    single: (event) => requestOf(bodyOf(event), idempotencyKey(event)),
    member: (event) => ({ body: bodyOf(event), key: idempotencyKey(event) }),
    batch: (members) => requestOf(batchBody(members), batchKey(members)),
  };
}
