// What all requests together may hold at a moment, so that a crowd of clients meets a 429 and not a process without
// memory: a number of requests, and the bytes of their bodies, unpacked ones included.

import { busy } from './answers.ts';
import type { ByteBudget } from './read-body.ts';

export interface InFlightLimits {
  readonly maxRequests: number;
  readonly maxBytes: number;
}

export interface InFlight {
  /** Lets a request in for as long as `work` takes. @throws {Refused} 429. */
  admit<T>(work: (budget: ByteBudget) => Promise<T>): Promise<T>;
  /** Runs `work` when one of two places is free. */
  unpacking<T>(work: () => Promise<T>): Promise<T>;
}

/** Bodies that are unpacked side by side: each may become as large as a body may be before that is known. */
const UNPACKING = 2;

export function createInFlight({ maxRequests, maxBytes }: InFlightLimits): InFlight {
  let requests = 0;
  let bytes = 0;
  let unpacking = 0;
  const queue: (() => void)[] = [];

  return {
    async admit(work) {
      if (requests >= maxRequests) throw busy();
      requests += 1;
      let taken = 0;
      try {
        return await work({
          take(more) {
            if (bytes + more > maxBytes) return false;
            bytes += more;
            taken += more;
            return true;
          },
        });
      } finally {
        requests -= 1;
        bytes -= taken;
      }
    },

    async unpacking(work) {
      if (unpacking >= UNPACKING) await new Promise<void>((resolve) => queue.push(resolve));
      else unpacking += 1;
      try {
        return await work();
      } finally {
        // The place goes to the next, or becomes free.
        const next = queue.shift();
        if (next) next();
        else unpacking -= 1;
      }
    },
  };
}
