// Random hexadecimal text for ids that somebody is given by the thousand: one call of the generator for many of them,
// since a call costs as much as all the rest that is done to an event's fields.

import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 8 * 1024;

/** Creates a source of `bytes` random bytes each time it is called, as twice as many lower-case digits. */
export function createRandomHex(bytes: number): () => string {
  const pool = Buffer.alloc(Math.floor(POOL_BYTES / bytes) * bytes);
  let used = pool.length;
  return () => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    used += bytes;
    return pool.toString('hex', used - bytes, used);
  };
}
