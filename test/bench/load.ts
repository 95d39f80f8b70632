// A steady load: events of the mix inserted one a transaction, so many a second, each with the time at which its COMMIT was
// answered.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Queue, Queues } from './queue.ts';

const TICK_MS = 1;
const RECONNECT_MS = 100;

export interface Load {
  /** By id: nanoseconds of the clock of `process.hrtime`, at which the producer knew that it is committed. */
  readonly committedAtNs: ReadonlyMap<string, number>;
  /** Ids by event_unique_id, which is the Idempotency-Key. */
  readonly idOfKey: ReadonlyMap<string, string>;
  /** Events whose COMMIT may or may not have happened: their connection broke. */
  readonly uncertain: number;
  /** Drops an event from both maps. */
  forget(key: string, id: string): void;
  /** Ends the load; resolves when nothing is under way any more. */
  end(): Promise<void>;
}

export interface LoadOptions {
  readonly queue: Queue;
  readonly queues: Queues;
  readonly perSecond: number;
  /** What waits for an answer at most. */
  readonly connections: number;
}

/** Begins at once. */
export async function startLoad({ queue, queues, perSecond, connections }: LoadOptions): Promise<Load> {
  const committedAtNs = new Map<string, number>();
  const idOfKey = new Map<string, string>();
  const began = performance.now();
  let given = 0;
  let uncertain = 0;
  let ending = false;
  const connect = async (): Promise<pg.Client> => {
    for (;;) {
      const client = new pg.Client({ connectionString: queue.url, application_name: 'bench load' });
      client.on('error', () => undefined);
      try {
        await client.connect();
        return client;
      } catch (error) {
        if (ending) throw error;
        await sleep(RECONNECT_MS);
      }
    }
  };
  const work = async (first: pg.Client): Promise<void> => {
    let client = first;
    while (!ending) {
      // The next event is due at its time, however long the last one took.
      if (given >= ((performance.now() - began) / 1000) * perSecond) {
        await sleep(TICK_MS);
        continue;
      }
      given += 1;
      try {
        const query = { ...queues.insert, values: queues.insertParams(given) };
        const { rows } = await client.query<{ id: string; key: string }>(query);
        const now = Number(process.hrtime.bigint());
        for (const { id, key } of rows) {
          committedAtNs.set(id, now);
          idOfKey.set(key, id);
        }
      } catch {
        uncertain += 1;
        await client.end().catch(() => undefined);
        client = await connect();
      }
    }
    await client.end().catch(() => undefined);
  };
  const clients = await Promise.all(Array.from({ length: connections }, connect));
  const working = Promise.all(clients.map(work));
  working.catch(() => undefined); // `end` hears of it
  return {
    committedAtNs,
    idOfKey,
    get uncertain() {
      return uncertain;
    },
    forget(key, id) {
      committedAtNs.delete(id);
      idOfKey.delete(key);
    },
    async end() {
      ending = true;
      await working;
    },
  };
}
