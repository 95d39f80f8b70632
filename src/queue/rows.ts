// Fetches rows by id and filters what any read path found: the one door into the data path. Sizes are asked before
// text is fetched, so that memory is bounded whatever stands in the table.

import { QueuedEvent } from '../event/event.ts';
import { type BatchEvent, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, toBatchEvent } from '../flow/batch.ts';
import { FRESH } from '../flow/standing.ts';
import { blockOf, IdSet, splitId } from '../lib/id-set.ts';
import type { Ask, InFlight } from './in-flight.ts';
import type { RowPage } from './row-tap.ts';
import { numbers, type Session } from './session.ts';
import { EXCLUDED_SQL, rowsSql, sizesSql } from './sql/read.ts';
import { readStandings } from './standings.ts';
import type { QueueTable } from './table.ts';

/** Ids whose rows were looked for, sorted by what was found. */
export interface Found {
  /** Chunks of at most 2,000 ids and 4 MiB, to be fetched one at a time. */
  readonly chunks: readonly (readonly string[])[];
  /** [id, octets] of rows above the limit. */
  readonly tooLarge: readonly (readonly [string, number])[];
  /** No row (of ours) has this id. */
  readonly missing: readonly string[];
}

/** Asks which of the ids are there and how large they are. */
export async function findRows(
  session: Session,
  table: QueueTable,
  ids: readonly string[],
  maxEventBytes: number,
): Promise<Found> {
  const sizes = new Map(
    (await session.query(sizesSql(table), [numbers(ids)], `sizes ${table.revision}`)).map(([id, bytes]) => [
      String(id),
      Number(bytes),
    ]),
  );
  const chunks: string[][] = [];
  const tooLarge: [string, number][] = [];
  let chunk: string[] = [];
  let chunkBytes = 0;
  for (const [id, bytes] of sizes) {
    if (bytes > maxEventBytes) {
      tooLarge.push([id, bytes]);
      continue;
    }
    if (chunk.length > 0 && (chunk.length >= MAX_BATCH_EVENTS || chunkBytes + bytes > MAX_BATCH_BYTES)) {
      chunks.push(chunk);
      chunk = [];
      chunkBytes = 0;
    }
    chunk.push(id);
    chunkBytes += bytes;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return { chunks, tooLarge, missing: ids.filter((id) => !sizes.has(id)) };
}

/** Fetches the rows of one chunk. */
export async function fetchRows(session: Session, table: QueueTable, ids: readonly string[]): Promise<QueuedEvent[]> {
  return toEvents(await session.page(rowsSql(table), [numbers(ids)], ids.length + 1), table);
}

/** Rows of `pageSql` or `rowsSql`. */
export function toEvents({ bytes, starts }: RowPage, { shape }: QueueTable): QueuedEvent[] {
  return starts.map((at) => new QueuedEvent(shape, bytes, at));
}

/** Ledger kinds that keep an event from being read as new: with its line, or parked unread; without a log file, settled. */
export const excludedKinds = (hasLogFile: boolean): readonly string[] => (hasLogFile ? ['L', 'X'] : ['L', 'X', 'S']);

/** `1` in PostgreSQL's text of a bit string. */
const ONE = 49;

/**
 * The one filter of every path that reads new events: not in flight, not settled since the query was sent, not excluded
 * by the ledger as asked now, after the rows arrived. What passes is in flight from here on.
 *
 * @param events in the order of their ids.
 * @param ask opened before the query that found them was sent.
 */
export async function admitNew(
  session: Session,
  events: readonly QueuedEvent[],
  ask: Ask,
  inFlight: InFlight,
  hasLogFile: boolean,
): Promise<BatchEvent[]> {
  if (events.length === 0) return [];
  const excludes = await readExcluded(session, events, hasLogFile);
  const fresh = events.filter(({ id }) => !excludes.settled(id) && !excludes.unlogged(id));
  const late = events.filter(({ id }) => !excludes.settled(id) && excludes.unlogged(id));
  const standings = await readStandings(
    session,
    late.map(({ id }) => id),
  );
  // From here to the end without a pause: what fails or is taken up meanwhile must not stay in flight.
  const admitted = fresh.map((event) => toBatchEvent(event, FRESH, false));
  for (const event of late) {
    const standing = standings.get(event.id);
    if (standing && !standing.logged) admitted.push(toBatchEvent(event, standing, true));
  }
  const unseen = admitted.filter(({ event }) => !ask.seen(event.id));
  for (const { event } of unseen) inFlight.add(event.id);
  return unseen;
}

/** What the ledger says of the events; only their own blocks are asked for, however far apart they lie. */
async function readExcluded(session: Session, events: readonly QueuedEvent[], hasLogFile: boolean) {
  const blocks = new Set(events.map(({ id }) => blockOf(id)));
  const settled = new Map<string, string[]>();
  const unlogged = new Map<string, string[]>();
  for (const [kind, block, bits] of await session.query(EXCLUDED_SQL, [numbers([...blocks])], 'excluded')) {
    // With a log file, what was settled without one still needs its line, and nothing else.
    const target = kind === 'S' && hasLogFile ? unlogged : settled;
    target.set(String(block), [...(target.get(String(block)) ?? []), String(bits)]);
  }
  const has = (bits: ReadonlyMap<string, readonly string[]>, id: string): boolean => {
    if (bits.size === 0) return false;
    const { block, bit } = splitId(id);
    return bits.get(block)?.some((each) => each.charCodeAt(bit) === ONE) === true;
  };
  return { settled: (id: string) => has(settled, id), unlogged: (id: string) => has(unlogged, id) };
}

/** Which of the ids are in the queue and not settled: their lines were written, PostgreSQL does not know it yet. */
export async function unsettledOf(session: Session, table: QueueTable, ids: readonly string[]): Promise<IdSet> {
  const open = new IdSet();
  for (let at = 0; at < ids.length; at += MAX_BATCH_EVENTS) {
    const some = ids.slice(at, at + MAX_BATCH_EVENTS);
    const present = await session.query(sizesSql(table), [numbers(some)], `sizes ${table.revision}`);
    const standings = await readStandings(session, some);
    for (const [id] of present) {
      const standing = standings.get(String(id));
      if (!standing?.logged && !standing?.tooLarge) open.add(String(id));
    }
  }
  return open;
}
