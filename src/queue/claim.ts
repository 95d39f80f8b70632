// Becoming the writer of a queue, or of one shard of it: the locks of its slots, all or none, then a new epoch. What an
// earlier process left unfinished is found here. What had our very slots is inherited by the epoch; what ran in another
// layout is brought in before, under the locks of all its slots: they may fall to several processes, and its log file
// to another one.

import { setTimeout as sleep } from 'node:timers/promises';
import { EXIT, TailraceError } from '../lib/errors.ts';
import { assertDirect, assertSameBackEnd, assertStillDirect } from './direct.ts';
import { assertPrivileges } from './privileges.ts';
import { checkSchema, QUEUE_TABLE } from './schema.ts';
import { readServer, type Server } from './server.ts';
import { numbers, type Session } from './session.ts';
import { describeShard, nameOf, parseSlots, type Shard, shardOf, slotsOf } from './slots.ts';
import {
  BROUGHT_IN_SQL,
  ENTER_ALONE_SQL,
  ENTER_SQL,
  LIVING_SQL,
  LOCK_FREE_SLOTS_SQL,
  LOCK_SLOTS_SQL,
  REVOKE_SQL,
  SAY_RUNNING_SQL,
  TIDY_WRITERS_SQL,
  TRY_BRINGING_IN_SQL,
  UNFINISHED_SQL,
  UNLOCK_SLOTS_SQL,
} from './sql/rights.ts';
import { type QueueTable, readQueueTable } from './table.ts';

/** Longer than an attempt of another process to begin. */
const PATIENCE_MS = 5_000;
const POLL_MS = 20;

/** Which journal holds what is in flight, and where: recovery of the next owner looks there. */
export interface JournalAt {
  readonly id: string;
  /** `host:folder`; nothing behind the colon without a log file. */
  readonly at: string;
}

/** An epoch that was not left clean, as the next owner finds it. */
export interface Predecessor {
  readonly epoch: string;
  readonly journal: string;
  readonly journalAt: string;
  /** Those of its slots that nobody has left clean since. */
  readonly slots: readonly number[];
}

export interface ClaimOptions {
  readonly open: () => Promise<Session>;
  readonly shard: Shard;
  readonly journal: JournalAt;
  readonly markProcessed: () => boolean;
  /**
   * Brings in what epochs of another layout left unfinished, or of our own beside another log file, and marks them clean;
   * the locks of all their slots are held. What has our very slots it may leave to be inherited.
   *
   * @param whole the queue table with the events of all shards.
   * @returns false when a journal is in use: nothing is changed then, and it is to be tried again.
   */
  readonly bringIn: (session: Session, whole: QueueTable, left: readonly Predecessor[]) => Promise<boolean>;
}

export interface Claim {
  readonly session: Session;
  readonly table: QueueTable;
  readonly epoch: string;
  /** Epochs that did not end cleanly, the oldest first: what was in flight then stands in their journals. */
  readonly predecessors: readonly Predecessor[];
  readonly server: Server;
}

/**
 * Tries once to become the writer.
 *
 * @returns null when another process holds the slots.
 * @throws {TailraceError} `DATABASE_UNAVAILABLE`, `CONNECTION_POOLED`, `RIGHTS_MISSING`, `SHARD_LAYOUT`, `SHARD_LOG_FILE`, those of
 * `checkSchema`, `readQueueTable` and `bringIn`.
 */
export async function claim(options: ClaimOptions): Promise<Claim | null> {
  const session = await options.open();
  try {
    const { shard, open, markProcessed } = options;
    const table = await readQueueTable(session, QUEUE_TABLE, markProcessed(), shard);
    await checkSchema(session, table.oid);
    await assertWritable(session);
    await assertPrivileges(session, table, markProcessed());
    // Before the locks, which would stay with the pool.
    await assertStillDirect(session, open);
    const isOurs = (await lockSlots(session, table)) && (await finishOtherLayouts(session, table, options));
    if (!isOurs) {
      await assertFits(session, table, options.journal.id);
      await session.close();
      return null;
    }
    await assertDirect(session, open);
    const server = await readServer(session);
    const { epoch, predecessors } = await enter(session, table, options);
    await assertSameBackEnd(session);
    session.lost.throwIfAborted();
    return { session, table, epoch, predecessors, server };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Locks the slots of the table's shard. @returns false when another process has one of them; none is held then. */
export async function lockSlots(session: Session, { oid, shard }: QueueTable): Promise<boolean> {
  const [got] = await session.query(LOCK_SLOTS_SQL, [oid, numbers(slotsOf(shard))]);
  if (got?.[0] === 't') return true;
  await session.query('SELECT pg_advisory_unlock_all()');
  return false;
}

/** A standby server, or one set read-only, must be noticed before anything is logged (FAULTS B4). */
export async function assertWritable(session: Session): Promise<void> {
  const [state] = await session.query(`SELECT current_setting('transaction_read_only')`);
  if (state?.[0] === 'off') return;
  await session.close();
  throw new TailraceError(
    'DATABASE_UNAVAILABLE',
    'this PostgreSQL server is read-only (a standby, or default_transaction_read_only); point tailrace to the primary',
    {
      exitCode: EXIT.unavailable,
    },
  );
}

/** The processes that run now, but ours. */
async function readLiving(session: Session, { oid }: QueueTable) {
  return (await session.query(LIVING_SQL, [oid])).map(([epoch, slots, journal, journalAt]) => ({
    epoch: String(epoch),
    shard: shardOf(parseSlots(String(slots))),
    journal: String(journal),
    journalAt: String(journalAt),
  }));
}

/**
 * Whether we may run, or stand by, beside those that run.
 *
 * @param journalId of the journal beside our log file; null = there is none.
 * @throws {TailraceError} `SHARD_LAYOUT` (exit 75): processes of another number of shards would leave slots to nobody, or
 * share some. `SHARD_LOG_FILE`: another shard writes to our log file.
 */
export async function assertFits(session: Session, table: QueueTable, journalId: string | null): Promise<void> {
  const { shard } = table;
  const living = await readLiving(session, table);
  const other = living.find((each) => each.shard.of !== shard.of);
  if (other !== undefined) {
    throw new TailraceError(
      'SHARD_LAYOUT',
      `cannot run ${describeShard(shard)} while another process runs ${describeShard(other.shard)} (epoch ${other.epoch}, ${other.journalAt}): all processes of a queue need the same number of shards; stop the others first, or start this one ${other.shard.of === 1 ? 'without --shard' : `with --shard i/${other.shard.of}`}`,
      { exitCode: EXIT.tryAgain },
    );
  }
  const neighbour = living.find((each) => each.journal === journalId && each.shard.index !== shard.index);
  if (neighbour === undefined) return;
  throw new TailraceError(
    'SHARD_LOG_FILE',
    `${describeShard(neighbour.shard)} (${neighbour.journalAt}) writes to the log file of ${describeShard(shard)}; each shard needs one of its own: give this one a configuration with another logfile.filename`,
  );
}

/**
 * A log file whose journal still has what another layout left unfinished may not become ours: it would be lost to those
 * whose slots it belongs to.
 *
 * @throws {TailraceError} `START_AFRESH`: the next claim brings it in.
 */
export async function assertFinished(session: Session, shard: Shard, journal: JournalAt): Promise<void> {
  const left = (await readUnfinished(session)).find(
    (each) => each.journal === journal.id && !isInherited(each, shard, journal),
  );
  if (left === undefined) return;
  throw new TailraceError(
    'START_AFRESH',
    `${describeLeft(left)} did not stop in order and left its journal at ${left.journalAt}; starting afresh to bring it in`,
    { exitCode: EXIT.tryAgain },
  );
}

/** An epoch by its shard, for messages. */
export const describeLeft = ({ epoch, slots }: Predecessor): string => {
  const shard = shardOf(slots);
  return shard.of === 1 ? `the process of epoch ${epoch}` : `shard ${nameOf(shard)} (epoch ${epoch})`;
};

/** Epochs that nobody has finished since, of any shard. */
async function readUnfinished(session: Session): Promise<readonly Predecessor[]> {
  return (await session.query(UNFINISHED_SQL)).map(([epoch, journal, journalAt, slots]) => ({
    epoch: String(epoch),
    journal: String(journal),
    journalAt: String(journalAt),
    slots: parseSlots(String(slots)),
  }));
}

/**
 * Whether the next epoch inherits what was left: from the slots of the shard, all of them and no other; and beside the
 * same log file, since another shard may want the other one. Without shards nobody else does.
 */
function isInherited({ journal, slots }: Predecessor, shard: Shard, own: JournalAt): boolean {
  const isOfOurSlots = slots.join() === slotsOf(shard).join();
  return isOfOurSlots && (shard.of === 1 || journal === own.id);
}

/**
 * What was left unfinished in some of our slots by processes that had others too, or not all of ours, with all that hangs
 * together with it: closed as one, since a clean epoch says of its slots that all before it is finished. Also what stands
 * in the journal beside our own log file.
 */
async function leftByOtherLayouts(
  session: Session,
  shard: Shard,
  journal: JournalAt,
): Promise<{ readonly left: readonly Predecessor[]; readonly slots: readonly number[] }> {
  const all = (await readUnfinished(session)).filter(({ slots }) => slots.length > 0);
  const own = new Set(slotsOf(shard));
  const touches = (slots: ReadonlySet<number>, each: Predecessor): boolean =>
    each.slots.some((slot) => slots.has(slot));
  const first = all.filter(
    (each) => !isInherited(each, shard, journal) && (touches(own, each) || each.journal === journal.id),
  );
  const slots = new Set(first.flatMap((each) => each.slots));
  if (first.length === 0) return { left: [], slots: [] };
  for (let size = -1; size !== slots.size; ) {
    size = slots.size;
    for (const each of all) if (touches(slots, each)) for (const slot of each.slots) slots.add(slot);
  }
  return { left: all.filter((each) => touches(slots, each)), slots: [...slots].filter((slot) => !own.has(slot)) };
}

/**
 * Locks slots of others, who all have them for a moment with each attempt to begin. What is free is kept, and only one
 * process brings in at a time: so it gets them all, however slow the attempts are.
 */
async function lockSoon(session: Session, oid: string, slots: readonly number[]): Promise<boolean> {
  let missing = slots;
  for (const untilMs = performance.now() + PATIENCE_MS; ; ) {
    const got = new Set(
      (await session.query(LOCK_FREE_SLOTS_SQL, [oid, numbers(missing)])).map(([slot]) => Number(slot)),
    );
    missing = missing.filter((slot) => !got.has(slot));
    if (missing.length === 0 || performance.now() > untilMs) return missing.length === 0;
    await sleep(POLL_MS);
  }
}

/** @returns false when it has to wait for somebody else; the session is to be closed then. */
async function finishOtherLayouts(session: Session, table: QueueTable, options: ClaimOptions): Promise<boolean> {
  const { oid, shard } = table;
  const { left, slots } = await leftByOtherLayouts(session, shard, options.journal);
  if (left.length === 0) return true;
  const [alone] = await session.query(TRY_BRINGING_IN_SQL, [oid]);
  if (alone?.[0] !== 't') return false;
  // Who may not run shall change nothing either.
  await assertFits(session, table, options.journal.id);
  if (!(await lockSoon(session, oid, slots))) return false;
  // Between the look and the locks another process may have come and gone.
  const again = await leftByOtherLayouts(session, shard, options.journal);
  if (again.left.map(({ epoch }) => epoch).join() !== left.map(({ epoch }) => epoch).join()) return false;
  const whole = await readQueueTable(session, QUEUE_TABLE, options.markProcessed());
  if (!(await options.bringIn(session, whole, left))) return false;
  await session.query(UNLOCK_SLOTS_SQL, [oid, numbers(slots)]);
  await session.query(BROUGHT_IN_SQL, [oid]);
  return true;
}

/** Begins the epoch. Those who enter do so one after the other, so that of two layouts at once only one comes in. */
async function enter(
  session: Session,
  table: QueueTable,
  { journal }: ClaimOptions,
): Promise<Pick<Claim, 'epoch' | 'predecessors'>> {
  const slots = numbers(slotsOf(table.shard));
  const own = new Set(slotsOf(table.shard));
  await session.query('BEGIN');
  await session.query(ENTER_ALONE_SQL, [table.oid]);
  await assertFits(session, table, journal.id);
  await session.query(REVOKE_SQL, [slots]);
  const predecessors = (await readUnfinished(session)).filter((each) => each.slots.some((slot) => own.has(slot)));
  const [entered] = await session.query(ENTER_SQL, [slots, journal.id, journal.at]);
  const epoch = String(entered?.[0]);
  await session.query(SAY_RUNNING_SQL, [table.oid, epoch]);
  await session.query(TIDY_WRITERS_SQL, [epoch]);
  await session.query('COMMIT');
  return { epoch, predecessors };
}
