// A shadow run: what this tailrace would do with the queue that another processor empties. It reads along, writes the
// lines to a file of its own and counts what would be delivered; it sends nothing, and PostgreSQL refuses it to write.

import type { Config } from '../config/config.ts';
import { delay } from '../lib/delay.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import { ShadowFile } from '../log-file/shadow-file.ts';
import { type Glance, Onlooker } from '../queue/onlooker.ts';
import { Session } from '../queue/session.ts';
import { matchesOf } from '../router/match.ts';

const ERROR_PAUSE_MS = 1_000;
const REPORT_INTERVAL_MS = 60_000;
const READ_ONLY_SQL = 'SET default_transaction_read_only = on';

export interface ShadowOptions {
  readonly config: Config;
  readonly database: string | undefined;
  /** A new file for the lines; null: only count. */
  readonly file: string | null;
  /** End when all that is in the queue now was looked at. */
  readonly once: boolean;
  readonly logger: Logger;
  readonly stop: AbortSignal;
}

export interface ShadowSummary {
  /** Events seen, each once. */
  readonly read: number;
  /** Their lines in the shadow file. */
  readonly logged: number;
  /** Rows above `max_event_bytes`, which a processor would park. */
  readonly too_large: number;
  /** Ids since the start whose rows were never seen: deleted between two looks, rolled back, or not ours. */
  readonly not_seen: number;
  /** In the order of the configuration; under `continue` an event counts at each of its destinations. */
  readonly destinations: readonly { readonly destination: string; readonly type: string; readonly events: number }[];
}

/**
 * Looks on until told to stop, or once.
 *
 * @throws {TailraceError} `SHADOW_LOG_FILE`, `BUSY`, `LOG_FILE_…`; `DATABASE_UNAVAILABLE` or `QUEUE_TABLE_…` at the first look (later
 * ones are tried again), the server's error then too.
 */
export async function runShadow(options: ShadowOptions): Promise<ShadowSummary> {
  const { config, once, logger, stop } = options;
  const complain = createThrottle((fields, message) => logger.error(fields, message));
  const onlooker = new Onlooker();
  const count = new Count(config);
  let session: Session | null = await openReadOnly(options.database);
  let file: ShadowFile | null = null;
  let reportedMs = performance.now();
  let hasLooked = false;
  try {
    file = options.file === null ? null : await ShadowFile.create(options.file, config);
    while (!stop.aborted) {
      try {
        session ??= await openReadOnly(options.database);
        let found = false;
        for await (const glance of onlooker.look(session, config)) {
          found = true;
          await file?.append(glance.events, config);
          count.add(glance, file !== null);
        }
        hasLooked = true;
        if (!found && once) break;
        if (!found) await delay(config.pollIntervalMs, stop);
      } catch (error) {
        if (stop.aborted) break;
        if (once || !hasLooked || codeOf(error)?.startsWith('LOG_FILE_')) throw error;
        complain(
          { error: messageOf(error), code: codeOf(error) },
          'cannot read the queue; trying again until it works',
        );
        await session?.close();
        session = null;
        await delay(ERROR_PAUSE_MS, stop);
      }
      if (performance.now() - reportedMs > REPORT_INTERVAL_MS) {
        reportedMs = performance.now();
        logger.info(count.summary(onlooker.notSeen), 'shadow run so far');
      }
    }
    return count.summary(onlooker.notSeen);
  } finally {
    await file?.close();
    await session?.close();
  }
}

/** Whatever we send: nothing in the database changes. */
async function openReadOnly(database: string | undefined): Promise<Session> {
  const session = await Session.open({ database, applicationName: 'tailrace --dry-run' });
  await session.query(READ_ONLY_SQL);
  return session;
}

class Count {
  readonly #routes: Config['routes'];
  readonly #events: number[];
  #read = 0;
  #logged = 0;
  #tooLarge = 0;

  constructor({ routes }: Config) {
    this.#routes = routes;
    this.#events = routes.map(() => 0);
  }

  add({ events, tooLarge }: Glance, isLogged: boolean): void {
    this.#read += events.length;
    this.#tooLarge += tooLarge;
    if (isLogged) this.#logged += events.length;
    for (const { eventType, mailclass } of events) {
      for (const at of matchesOf(this.#routes, eventType, mailclass)) this.#events[at] = (this.#events[at] ?? 0) + 1;
    }
  }

  summary(notSeen: number): ShadowSummary {
    const sums = new Map<string, { destination: string; type: string; events: number }>();
    // Two entries may go to one destination.
    for (const [at, { key, destination }] of this.#routes.entries()) {
      const sum = sums.get(key) ?? { destination: key, type: destination.type, events: 0 };
      sum.events += this.#events[at] ?? 0;
      sums.set(key, sum);
    }
    return {
      read: this.#read,
      logged: this.#logged,
      too_large: this.#tooLarge,
      not_seen: notSeen,
      destinations: [...sums.values()],
    };
  }
}
