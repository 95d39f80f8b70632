// The key by which a receiver recognises an event that it was sent before: made from the row alone, so that it is the
// same in every attempt, after a restart and in another process too.

import { createHash } from 'node:crypto';
import type { QueuedEvent } from '../event/event.ts';

/** Longer keys are hashed: many receivers keep them in a column of this width, and none takes headers without end. */
const MAX_LENGTH = 255;

/** What may stand in a header value without a doubt (RFC 9110, field-vchar); spaces at either end would be lost. */
const NOT_VISIBLE_ASCII = /[^!-~]/u;

/**
 * `event_unique_id`, else `server_id:id`, else the id (SPEC 6); an empty text counts as missing. Characters that a header
 * cannot carry are written as `%XX` of their UTF-8, so that two keys do not become one.
 */
export function idempotencyKey(event: QueuedEvent): string {
  const { id, shape } = event;
  const uniqueId = event.value(shape.eventUniqueIdAt);
  if (uniqueId) return headerSafe(uniqueId);
  const serverId = event.value(shape.serverIdAt);
  return serverId ? headerSafe(`${serverId}:${id}`) : id;
}

function headerSafe(key: string): string {
  const safe = NOT_VISIBLE_ASCII.test(key) ? percentEncode(key) : key;
  return safe.length <= MAX_LENGTH ? safe : createHash('sha256').update(key).digest('hex');
}

/** Writes everything but visible ASCII as `%XX` of its UTF-8. */
export function percentEncode(text: string): string {
  const octets = (match: string): string =>
    Array.from(Buffer.from(match), (octet) => `%${octet.toString(16).toUpperCase().padStart(2, '0')}`).join('');
  return text.replace(/[^!-~]+/gu, octets);
}
