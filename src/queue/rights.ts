// The right to write: advisory locks on the reading connection say that we may, an epoch row says that nobody came
// after us. Both are held beside the local lock on the log file, which is taken first (QUEUE A2).
//
//   acquired ──▶ held ──▶ in doubt (connection lost: nothing is read or sent) ──▶ held again, same epoch
//                                                                             └─▶ revoked: another process, or another server

import { delay } from '../lib/delay.ts';
import { codeOf, EXIT, isServerError, messageOf, TailraceError } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import {
  assertFinished,
  assertFits,
  assertWritable,
  type Claim,
  type ClaimOptions,
  claim,
  type JournalAt,
  lockSlots,
  type Predecessor,
} from './claim.ts';
import { assertSameBackEnd, assertStillDirect } from './direct.ts';
import { QUEUE_TABLE } from './schema.ts';
import { isSameServer, readServer, type Server } from './server.ts';
import type { Session } from './session.ts';
import { LEAVE_SQL, MOVE_JOURNAL_SQL, SAY_RUNNING_SQL, STILL_OURS_SQL } from './sql/rights.ts';
import { type QueueTable, readQueueTable } from './table.ts';

/** A lock that is taken, or a database that is down, is tried again after this, with jitter. */
const TRY_AGAIN_MS = 1_000;

export interface RightsOptions extends ClaimOptions {
  readonly onWake: () => void;
  readonly logger: Logger;
}

/** Errors after which nothing of this tenure may go on. */
const ENDS = new Set(['REVOKED', 'SERVER_CHANGED', 'CONNECTION_POOLED', 'START_AFRESH']);

/** True when an error ends the right to write, so that no attempt can be repeated under it. */
export const endsTenure = (error: unknown): boolean => ENDS.has(codeOf(error) ?? '');

export class Rights {
  readonly #options: RightsOptions;
  readonly #revoked = new AbortController();
  readonly epoch: string;
  /** Epochs that did not end cleanly, the oldest first: what was in flight then stands in their journals. */
  readonly predecessors: readonly Predecessor[];
  readonly server: Server;
  #session: Session;
  #table: QueueTable;
  #again: Promise<void> | null = null;
  #closed = false;

  private constructor(options: RightsOptions, { session, table, epoch, predecessors, server }: Claim) {
    this.#options = options;
    this.#session = session;
    this.#table = table;
    this.epoch = epoch;
    this.predecessors = predecessors;
    this.server = server;
    this.#watch(session);
  }

  /**
   * Tries once to become the writer.
   *
   * @returns null when another process holds the queue.
   * @throws {TailraceError} those of `claim`.
   */
  static async acquire(options: RightsOptions): Promise<Rights | null> {
    const claimed = await claim(options);
    if (claimed === null) return null;
    const { session } = claimed;
    try {
      await session.listen('tailrace', options.onWake);
      await assertSameBackEnd(session);
      session.lost.throwIfAborted();
      return new Rights(options, claimed);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** The queue table as last read from the catalog. */
  get table(): QueueTable {
    return this.#table;
  }

  /** True while the locks are known to be ours: only then may anything be sent. */
  get held(): boolean {
    return !this.#session.lost.aborted && this.#again === null && !this.revoked.aborted;
  }

  /** Aborts when another process has taken over, or when locks do not hold any more; the reason says which. */
  get revoked(): AbortSignal {
    return this.#revoked.signal;
  }

  /**
   * The reading session; waits while the right to write is in doubt.
   *
   * @throws {TailraceError} `REVOKED`, or the signal's reason.
   */
  async session(signal: AbortSignal): Promise<Session> {
    while (!this.held) {
      signal.throwIfAborted();
      this.revoked.throwIfAborted();
      await delay(20, signal);
    }
    return this.#session;
  }

  /** Reads the catalog again, and makes sure that the locks are ours. @returns true when the table's shape has changed. */
  async refreshTable(session: Session): Promise<boolean> {
    await assertSameBackEnd(session).catch((error) => {
      if (endsTenure(error)) this.#revoked.abort(error);
      throw error;
    });
    const { markProcessed, shard } = this.#options;
    const table = await readQueueTable(session, QUEUE_TABLE, markProcessed(), shard);
    if (table.revision === this.#table.revision) return false;
    this.#table = table;
    return true;
  }

  /**
   * Records where what is in flight is written down from now on; waits until PostgreSQL takes it.
   *
   * @throws {TailraceError} `REVOKED`, or the signal's reason.
   */
  async moveJournal({ id, at }: JournalAt, signal: AbortSignal): Promise<void> {
    await this.#persist(signal, async (session) => void (await session.query(MOVE_JOURNAL_SQL, [this.epoch, id, at])));
  }

  /**
   * Makes sure, before a journal is opened in the middle of a tenure, that nobody of another layout needs it.
   *
   * @throws {TailraceError} `REVOKED`, `START_AFRESH`, or the signal's reason.
   */
  async assertFinished(journal: JournalAt, signal: AbortSignal): Promise<void> {
    await this.#persist(signal, (session) => assertFinished(session, this.#options.shard, journal));
  }

  async #persist(signal: AbortSignal, work: (session: Session) => Promise<void>): Promise<void> {
    const warn = createThrottle((fields, message) => this.#options.logger.warn(fields, message));
    for (;;) {
      const session = await this.session(signal);
      try {
        return await work(session);
      } catch (error) {
        if (endsTenure(error) || !(error instanceof TailraceError || isServerError(error))) throw error;
        warn({ error: messageOf(error) }, 'cannot tell PostgreSQL which log file is used now; trying again');
      }
      await delay(TRY_AGAIN_MS, signal);
      signal.throwIfAborted();
    }
  }

  /**
   * Gives the right back.
   *
   * @param clean nothing is in flight: the next owner has nothing to recover.
   */
  async release(clean: boolean): Promise<void> {
    this.#closed = true;
    if (clean && this.held) await this.#session.query(LEAVE_SQL, [this.epoch]).catch(() => undefined);
    await this.#session.close();
    await this.#again;
  }

  #watch(session: Session): void {
    const onLost = (): void => {
      if (this.#closed || this.revoked.aborted) return;
      this.#again = this.#regain().finally(() => {
        this.#again = null;
      });
    };
    session.lost.addEventListener('abort', onLost, { once: true });
  }

  /** Reconnects and locks again; under the same epoch there is nothing to recover. */
  async #regain(): Promise<void> {
    const { logger, open, onWake } = this.#options;
    const warn = createThrottle((fields, message) => logger.error(fields, message));
    logger.warn(
      { error: messageOf(this.#session.lost.reason) },
      'lost the connection to PostgreSQL; nothing is read or sent until it is back',
    );
    while (!this.#closed) {
      try {
        const session = await open();
        try {
          await assertWritable(session);
          await assertStillDirect(session, open);
          if (!isSameServer(await readServer(session), this.server)) throw serverChanged();
          const isLocked = await lockSlots(session, this.#table);
          // Behind the locks: in front of them another process may come and go before we get them.
          const [ours] = await session.query(STILL_OURS_SQL, [this.epoch]);
          if (ours?.[0] !== 't')
            throw new TailraceError('REVOKED', 'another tailrace process has taken over this queue', {
              exitCode: EXIT.tryAgain,
            });
          if (isLocked) {
            await session.query(SAY_RUNNING_SQL, [this.#table.oid, this.epoch]);
            // Nobody kept other layouts out while we were away.
            await assertFits(session, this.#table, null);
            await session.listen('tailrace', onWake);
            await this.refreshTable(session);
            // Without a pause from here on: a session lost or given back meanwhile would never be noticed.
            session.lost.throwIfAborted();
            if (this.#closed) return await session.close();
            this.#session = session;
            this.#watch(session);
            logger.info('connected to PostgreSQL again, still the writer');
            return;
          }
          await session.close();
        } catch (error) {
          await session.close();
          throw error;
        }
      } catch (error) {
        if (endsTenure(error) || codeOf(error) === 'SHARD_LAYOUT') return this.#revoked.abort(error);
        warn({ error: messageOf(error) }, 'cannot get back to PostgreSQL; trying again every second');
      }
      await delay(TRY_AGAIN_MS * (0.2 + 0.8 * Math.random()), this.revoked);
    }
  }
}

const serverChanged = (): TailraceError =>
  new TailraceError('SERVER_CHANGED', 'another PostgreSQL server answers now; starting afresh with what it knows', {
    exitCode: EXIT.tryAgain,
  });
