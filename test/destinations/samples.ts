// Rows and configurations for the tests of the destinations.

import type { HttpPostConfig } from '../../src/config/config.ts';
import { createHttpPost, type HttpPostOptions } from '../../src/destinations/http-post.ts';
import { type Column, createEvent, createRowShape, type QueuedEvent, type RawValue } from '../../src/event/event.ts';
import { Secret } from '../../src/lib/secret.ts';

export const SHAPE = createRowShape(
  (
    [
      ['id', 'integer'],
      ['event_type', 'text'],
      ['event_time', 'integer'],
      ['email', 'text'],
      ['bounce_text', 'text'],
      ['studio_is_unique', 'boolean'],
      ['timestamp', 'double'],
      ['headers', 'text'],
      ['event_unique_id', 'text'],
      ['server_id', 'text'],
      ['destination_id', 'integer'],
      ['processed', 'boolean'],
    ] as const
  ).map(([name, kind]): Column => ({ name, kind })),
);

/** A row of the table above; columns that are not given are empty. */
export function sampleEvent(values: Readonly<Record<string, RawValue>> = {}): QueuedEvent {
  const row = { id: '1', event_type: 'bounce_all', event_time: '1317305252', destination_id: '1', ...values };
  return createEvent(
    SHAPE,
    SHAPE.columns.map(({ name }) => (row as Readonly<Record<string, RawValue>>)[name] ?? null),
  );
}

export function httpPostConfig(url: string, changes: Partial<HttpPostConfig> = {}): HttpPostConfig {
  return {
    type: 'http_post',
    url: new Secret(url),
    format: 'json',
    columns: 'all',
    timeoutMs: 5000,
    headers: [],
    auth: null,
    signingSecrets: [],
    tls: null,
    compress: false,
    publicOnly: false,
    proxy: null,
    concurrency: 10,
    maxPerSecond: null,
    batch: null,
    retry: { initialMs: 1000, maxMs: 300_000, maxAttempts: null, maxRetryAfterMs: 3_600_000 },
    ...changes,
  };
}

/** A signal that nobody aborts. */
export const NEVER = { signal: new AbortController().signal };

/** A driver that closes itself: `await using destination = httpPost(url)`. */
export function httpPost(url: string, changes: Partial<HttpPostConfig> = {}, options: Partial<HttpPostOptions> = {}) {
  const destination = createHttpPost(httpPostConfig(url, changes), {
    httpKeepAlive: 10,
    httpUserAgent: 'tailrace/0.0.0',
    expandJsonColumns: ['headers'],
    ...options,
  });
  return {
    ...destination,
    /** Delivers one event and gives its error, or null when it was accepted. */
    async errorOf(event: QueuedEvent = sampleEvent()): Promise<string | null> {
      const [result] = await destination.deliver([event], NEVER);
      if (!result) throw new Error('no result');
      return result.ok ? null : result.error;
    },
    [Symbol.asyncDispose]: () => destination.close(),
  };
}
