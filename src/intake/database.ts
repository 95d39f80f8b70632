// The intake's PostgreSQL: some connections that insert, one that reads the switches and adds the counts. When anything
// breaks, all of them are given up and made anew until that works; meanwhile there is no store, and nothing is taken in.

import { delay } from '../lib/delay.ts';
import { codeOf, messageOf, TailraceError } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import { createNudge } from '../lib/nudge.ts';
import { openStore, QUERY_TIMEOUT_MS, type Store, type StoreOptions } from './store.ts';

export interface DatabaseOptions extends Omit<StoreOptions, 'onLost'> {
  readonly logger: Logger;
}

export interface Database {
  /** null: PostgreSQL is away. */
  readonly store: Store | null;
  /** Gives a store up that failed; another one is opened as soon as that works. */
  giveUp(store: Store, error: unknown): void;
  /** Adds what was counted and closes. Call it when nothing is under way any more. */
  close(): Promise<void>;
}

const RETRY_MS = 250;
/** At the end PostgreSQL may hang; whoever waits for it has been sent away by then. */
const CLOSE_PATIENCE_MS = 1_000;
/** Counts of what was recorded and suppressed are added so often. */
const FLUSH_EVERY_MS = 1_000;
/** Outages that are said one by one within the interval of the throttle. */
const OUTAGES_SAID = 4;

/**
 * Opens the store, or goes on trying when PostgreSQL is away.
 *
 * @throws {TailraceError} what is wrong with this database: `TABLE_MISSING`, `SWITCHES_MISSING`, …
 */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { logger } = options;
  const ending = new AbortController();
  const nudge = createNudge();
  let outages = 0;
  let isSaid = true;
  const warn = createThrottle((fields, message) => {
    isSaid = true;
    logger.warn(fields, message);
  });
  const missing = new Set<string>();
  let store: Store | null = null;

  const open = async (): Promise<void> => {
    const broken = new TailraceError('DATABASE_UNAVAILABLE', 'the connection to PostgreSQL broke');
    let lost = false;
    let opened: Store | null = null;
    const onLost = (): void => {
      lost = true;
      if (opened !== null) giveUp(opened, broken);
    };
    opened = await openStore({ ...options, onLost });
    if (!lost) {
      store = opened;
      return;
    }
    await opened.close();
    throw broken;
  };

  const giveUp = (failed: Store, error: unknown): void => {
    if (store !== failed) return;
    store = null;
    isSaid = false;
    outages += 1;
    // Each is said when it begins and when it ends, but not for ever that of a server which takes connections and no rows.
    warn(
      { error: messageOf(error), code: codeOf(error) },
      'cannot record in PostgreSQL; requests are answered with 503 until it works again',
      `outage ${outages % OUTAGES_SAID}`,
    );
    failed.close(QUERY_TIMEOUT_MS).catch(() => undefined);
    nudge.nudge();
  };

  /** Once for each. */
  const sayMissing = ({ missingColumns }: Store): void => {
    const columns = [...missingColumns].filter((name) => !missing.has(name));
    if (columns.length === 0) return;
    for (const name of columns) missing.add(name);
    logger.warn({ columns }, 'the queue table lacks columns that events have values for; these are not stored');
  };

  const follow = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      if (store === null) {
        const failure = await open().then(
          () => null,
          (error: unknown) => ({ error }),
        );
        if (failure === null) {
          if (isSaid) logger.info('recording in PostgreSQL again');
        } else {
          const { error } = failure;
          warn(
            { error: messageOf(error), code: codeOf(error) },
            'cannot record in PostgreSQL; requests are answered with 503 until it works again',
          );
          await delay(RETRY_MS, ending.signal);
        }
      } else {
        await nudge.wait(FLUSH_EVERY_MS, ending.signal);
        const current: Store | null = store;
        await current?.flush().catch((error: unknown) => giveUp(current, error));
        if (current) sayMissing(current);
      }
    }
  };

  await open().catch((error: unknown) => {
    if (codeOf(error) !== 'DATABASE_UNAVAILABLE') throw error;
    logger.warn(
      { error: messageOf(error), code: codeOf(error) },
      'PostgreSQL is not there yet; requests are answered with 503 until it is',
    );
  });
  const following = follow();

  return {
    get store() {
      return store;
    },
    giveUp,
    async close() {
      ending.abort();
      await following;
      const last = store;
      store = null;
      const patience = new AbortController();
      await Promise.race([last?.flush().catch(() => undefined), delay(CLOSE_PATIENCE_MS, patience.signal)]);
      patience.abort();
      await last?.close(CLOSE_PATIENCE_MS);
    },
  };
}
