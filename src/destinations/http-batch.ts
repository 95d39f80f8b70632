// Several events in one POST: a JSON array of exactly the objects that single POSTs would send, under one idempotency
// key. Accepted or refused as a whole.

import { createHash } from 'node:crypto';

/** One event, ready to be sent. */
export interface BatchMember {
  /** Its JSON text. */
  readonly body: Buffer;
  /** Its idempotency key. */
  readonly key: string;
}

/** Most octets of one body; a larger event goes alone. What receivers take by default lies below, and a 413 halves it. */
export const MAX_BATCH_BYTES = 4 * 1024 * 1024;

const OPEN = 0x5b;
const COMMA = 0x2c;
const CLOSE = 0x5d;

/** The body of a batch. */
export function batchBody(members: readonly BatchMember[]): Buffer {
  const array = Buffer.allocUnsafe(sizeOf(members));
  let at = 0;
  for (const { body } of members) {
    array[at] = at === 0 ? OPEN : COMMA;
    array.set(body, at + 1);
    at += 1 + body.length;
  }
  array[at] = CLOSE;
  return array;
}

/** With a bracket or comma before each, and the last bracket. */
function sizeOf(members: readonly BatchMember[]): number {
  return members.reduce((sum, { body }) => sum + body.length + 1, 1);
}

/**
 * The key of a batch: hex SHA-256 of its members' keys in the order of the array, with a line feed between them, which
 * stands in no key. The same events in another order are another body, and so another key.
 */
export function batchKey(members: readonly BatchMember[]): string {
  return createHash('sha256')
    .update(members.map(({ key }) => key).join('\n'))
    .digest('hex');
}

/** Cuts members into batches, in order: each of at most `maxEvents` and, unless it is a single one, MAX_BATCH_BYTES. */
export function cutBatches(members: readonly BatchMember[], maxEvents: number): readonly (readonly BatchMember[])[] {
  const batches: BatchMember[][] = [];
  let batch: BatchMember[] = [];
  let bytes = 1;
  for (const member of members) {
    // With the comma or bracket before it.
    const more = member.body.length + 1;
    if (batch.length > 0 && (batch.length === maxEvents || bytes + more > MAX_BATCH_BYTES)) {
      batches.push(batch);
      batch = [];
      bytes = 1;
    }
    batch.push(member);
    bytes += more;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
