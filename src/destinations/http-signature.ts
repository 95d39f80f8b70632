// Signatures of requests as Standard Webhooks has them, which receivers verify with a library in their language:
// https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

import { createHmac } from 'node:crypto';
import type { Secret } from '../lib/secret.ts';

const PREFIX = 'whsec_';

/** Gives the headers that sign a request, names and values in turn. */
export type Signer = (id: string, body: Buffer, nowMs: number) => readonly string[];

/**
 * Creates the signer of one destination. The id is the idempotency key, so it is the same in every attempt; the time
 * is that of the attempt, since receivers refuse old ones.
 *
 * @param secrets `whsec_<base64>`, at least one; the request is signed with each, so that a receiver that knows either
 *   the old or the new one accepts it.
 */
export function createSigner(secrets: readonly Secret[]): Signer {
  const keys = secrets.map((secret) => Buffer.from(secret.reveal().slice(PREFIX.length), 'base64'));
  return (id, body, nowMs) => {
    const timestamp = String(Math.floor(nowMs / 1000));
    const signatures = keys.map((key) => {
      const hmac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body);
      return `v1,${hmac.digest('base64')}`;
    });
    return ['webhook-id', id, 'webhook-timestamp', timestamp, 'webhook-signature', signatures.join(' ')];
  };
}
