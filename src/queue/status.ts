// What `tailrace status` says, read from PostgreSQL alone: it works whether a processor runs or not.

import type { LaneState } from '../flow/lane-report.ts';
import { checkSchema, QUEUE_TABLE } from './schema.ts';
import { numbers, type Session } from './session.ts';
import { agesSql, DESTINATIONS_SQL, LEFT_SQL, oldestSql, queuedSql } from './sql/status.ts';
import { readQueueTable } from './table.ts';
import { readWriters, type Writer, worstOf } from './writers.ts';

/** Counting more rows than this would cost seconds; `queued` then says "at least". */
const MAX_COUNTED = 1_000_000;

/** All states, from bad to good. */
export const DESTINATION_STATES = [
  'disabled',
  'paused',
  'open',
  'asked_to_wait',
  'rate_limited',
  'parked',
  'retrying',
  'ok',
] as const satisfies readonly DestinationState[];

/**
 * The first that applies. `paused`: by `tailrace pause`. `disabled`: by the configuration of the running process, else of
 * the last one. `open` (it keeps failing and is probed), `asked_to_wait` (Retry-After) and `rate_limited` are the running process's word. `retrying`: events failed and are
 * tried again. `parked`: nothing is tried again by itself, a person has to look.
 */
export type DestinationState = 'paused' | Exclude<LaneState, 'ok'> | 'retrying' | 'parked' | 'ok';

export interface DestinationStatus {
  readonly destination: string;
  readonly state: DestinationState;
  /** Seconds until the state ends or is tried to (the next probe of `open`); null = it does not end by itself. */
  readonly until_seconds: number | null;
  readonly waiting: number;
  readonly retrying: number;
  readonly parked: number;
  /** Age of its oldest undelivered event by event_time; null = none, or the event bears no time. */
  readonly oldest_seconds: number | null;
  /** Seconds to the next attempt of an event that failed; negative = due since. null = none failed. */
  readonly next_attempt_seconds: number | null;
  /** Events delivered per second over the last minute; null = no process runs, or it has none such. */
  readonly per_second: number | null;
  /** One line. */
  readonly last_error: string | null;
}

export interface Status {
  /** The process that last became the writer; of several shards the one that is worst off. null = none yet. */
  readonly writer: Writer | null;
  /** The process of each shard; empty where one process has the whole queue. */
  readonly shards: readonly Writer[];
  readonly queued: number;
  /** There are more than `queued` rows; they were not counted further. */
  readonly queued_is_minimum: boolean;
  readonly left: number;
  /** Age of the first row in the queue. */
  readonly oldest_seconds: number | null;
  readonly destinations: readonly DestinationStatus[];
}

/**
 * @param maxCounted rows of the queue are counted up to this many.
 * @throws {TailraceError} those of `readQueueTable` and `checkSchema`.
 */
export async function readStatus(session: Session, maxCounted = MAX_COUNTED): Promise<Status> {
  const table = await readQueueTable(session, QUEUE_TABLE, false);
  await checkSchema(session, table.oid);
  const writers = await readWriters(session, table);
  const running = writers.filter(({ state }) => state === 'running');
  // What a process said that is gone says nothing any more, but for what its configuration says.
  const last = running.length > 0 ? [] : writers;
  const rows = await session.query(DESTINATIONS_SQL, [epochsOf(running), epochsOf(last)]);
  const [left] = await session.query(LEFT_SQL);
  const [queued] = await session.query(queuedSql(table), [maxCounted + 1]);
  const [oldest] = await session.query(oldestSql(table));
  const wanted = [...rows.map((row) => row[5]), oldest?.[0]].filter((id) => id != null);
  const ages = new Map(
    (await session.query(agesSql(table), [numbers(wanted.map(String))])).map(([id, age]) => [id, age]),
  );
  const ageOf = (id: string | null | undefined): number | null =>
    roundedOrNull(id == null ? null : (ages.get(id) ?? null));
  const counted = Number(queued?.[0]);
  return {
    writer: worstOf(writers),
    shards: writers.length > 1 ? writers : [],
    queued: Math.min(counted, maxCounted),
    queued_is_minimum: counted > maxCounted,
    left: Number(left?.[0]),
    oldest_seconds: ageOf(oldest?.[0]),
    destinations: rows
      .map(toDestination)
      .filter(({ id, status }) => id !== '0' || status.parked > 0)
      .map(({ status }) => status),
  };

  function toDestination(row: readonly (string | null)[]): { id: string; status: DestinationStatus } {
    const [id, key, waiting, retrying, parked, oldestId, lastError, next, paused, said, until, perSecond] = row;
    const counts = { waiting: Number(waiting), retrying: Number(retrying), parked: Number(parked) };
    const state = stateOf(paused === 't', said ?? null, counts);
    const isOver = state !== said || until == null;
    return {
      id: String(id),
      status: {
        destination: String(key),
        state,
        until_seconds: isOver ? null : Math.max(0, Math.round(Number(until))),
        ...counts,
        oldest_seconds: ageOf(oldestId),
        next_attempt_seconds: roundedOrNull(next ?? null),
        per_second: perSecond == null ? null : Number(perSecond),
        last_error: lastError == null ? null : lastError.replace(/\s+/g, ' '),
      },
    };
  }
}

function stateOf(
  paused: boolean,
  said: string | null,
  { retrying, parked }: { readonly retrying: number; readonly parked: number },
): DestinationState {
  if (paused) return 'paused';
  if (said === 'disabled' || said === 'open' || said === 'asked_to_wait' || said === 'rate_limited') return said;
  return retrying > 0 ? 'retrying' : parked > 0 ? 'parked' : 'ok';
}

const epochsOf = (writers: readonly Writer[]): string =>
  numbers(writers.flatMap(({ epoch }) => (epoch === null ? [] : [epoch])));

const roundedOrNull = (text: string | null): number | null => (text === null ? null : Math.round(Number(text)));
