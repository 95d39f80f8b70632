// Batches whose lines were written late: they are passed on, and so settled, only when it is certain that the lines stand
// in a file. Other batches go their way meanwhile.

import type { Batch, BatchEvent } from '../flow/batch.ts';
import type { Logger } from '../lib/logger.ts';
import type { LateLines } from './late-lines.ts';

export interface HeldBatches {
  readonly size: number;
  /** How many there have been. */
  readonly added: number;
  /** @param onError told what is no fault of the file. */
  add(batch: Batch, late: readonly LateLines[], onError: (error: Error) => void): void;
  /** Resolves when none is held. */
  empty(): Promise<void>;
}

export function createHeldBatches(options: {
  /** Ends the waiting; what is held is not passed on then. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly accept: (late: LateLines) => Promise<void>;
  /** Writes the lines of some events of a batch again; they replace those of an intent. */
  readonly again: (
    events: readonly BatchEvent[],
    batch: Batch,
    replaces: number | undefined,
  ) => Promise<readonly LateLines[]>;
  readonly pass: (batch: Batch) => void;
}): HeldBatches {
  const { signal, log } = options;
  const held = new Set<Promise<void>>();
  let added = 0;

  const see = async (batch: Batch, first: readonly LateLines[]): Promise<void> => {
    const open = [...first];
    try {
      for (let late = open[0]; late !== undefined; late = open[0]) {
        const missing = await late.missing(signal);
        if (missing.length > 0) {
          log.warn(
            { path: late.path, lines: missing.length },
            'lines that were written late to a moved log file are not in what became of it; they are written again',
          );
          const ids = new Set(missing.map((at) => late?.ids[at]));
          const events = batch.events.filter(({ event }) => ids.has(event.id));
          open.push(...(await options.again(events, batch, late.seq ?? undefined)));
        }
        await options.accept(late);
        open.shift();
      }
    } finally {
      for (const late of open) await late.close();
    }
    options.pass(batch);
  };

  return {
    get size() {
      return held.size;
    },
    get added() {
      return added;
    },
    add(batch, late, onError) {
      const seeing = see(batch, late).catch((error: Error) => {
        if (!signal.aborted) onError(error);
      });
      held.add(seeing);
      added += 1;
      void seeing.finally(() => held.delete(seeing));
    },
    async empty() {
      while (held.size > 0) await Promise.all(held);
    },
  };
}
