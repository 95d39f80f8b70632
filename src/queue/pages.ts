// The pages behind the last id read. Under load each is one query; when there is nothing, or when rows stand in the way
// that may not be fetched or are none of ours, it finds out which of these it is and steps on.

import type { Config } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import { MAX_BATCH_EVENTS } from '../flow/batch.ts';
import type { Gaps } from './gaps.ts';
import { excludedKinds, toEvents } from './rows.ts';
import type { Session } from './session.ts';
import type { Shard } from './slots.ts';
import { anyExcludedSql, boundsSql, MAX_ID, MIN_ID, pageSql, peekSql } from './sql/read.ts';
import { alignDown, compareWindow, lesser, Span } from './sweep.ts';
import type { QueueTable } from './table.ts';

/** Ids looked at by one page: bounds what is scanned where rows are not ours. */
const WINDOW = 1n << 17n;
/** Foreign rows behind the last of ours that are looked at again with each poll, in case ours come in between late. */
const LOOK_BACK = 4_096n;
/** While other shards' rows come in, ours are not looked for behind each of them. */
const LEAST_STEP = 1_024n;
/** Before this many ids below the table's end at the start, missing ids are history, not late commits. */
const GAPS_BEFORE_START = 10_000n;

export interface PagePosition {
  /** The last id read and taken downstream; null = nothing read yet. */
  after: string | null;
  /** Ids from here on count as gaps when they are missing. */
  gapsFrom: bigint | null;
  /** The last look at the index found no row at all, ours or not. */
  isTableEmpty: boolean;
}

export interface Page {
  readonly events: readonly QueuedEvent[];
  /** [id, octets] of rows above max_event_bytes. */
  readonly tooLarge: readonly (readonly [string, number])[];
  /** The position once the page has been taken downstream. */
  readonly after: string;
}

/**
 * Reads the next page; null = nothing new.
 *
 * @param idle the last look found nothing: asks the index first whether there is anything at all.
 */
export async function nextPage(
  session: Session,
  table: QueueTable,
  position: PagePosition,
  config: Config,
  gaps: Gaps,
  idle: boolean,
): Promise<Page | null> {
  if (position.after === null) return firstPage(session, table, position, config);
  if (idle && (await readBounds(session, table, position, position.after)) === null) return null;
  const after = BigInt(position.after);
  const upTo = lesser(after + WINDOW, MAX_ID).toString();
  const rows = await session.page(pageSql(table), [position.after, upTo, config.maxEventBytes], MAX_BATCH_EVENTS + 1);
  if (rows.starts.length > 0) {
    position.isTableEmpty = false;
    const events = toEvents(rows, table);
    noteGaps(position, after, events, gaps, table.shard);
    return { events, tooLarge: [], after: events.at(-1)?.id ?? position.after };
  }
  const bounds = await readBounds(session, table, position, position.after);
  if (bounds === null) return null;
  const large = await stepOverLarge(session, table, position.after, upTo, config);
  if (large !== null) return large;
  const step = stepOverForeign(after, BigInt(upTo), bounds, table.shard);
  // Rows of another shard follow on ours all the time, and ours may still come in between.
  if (step !== null && table.shard.of > 1 && position.gapsFrom !== null && after >= position.gapsFrom)
    gaps.addBetween(position.after, (BigInt(step.after) + 1n).toString(), performance.now(), table.shard);
  return step;
}

interface Bounds {
  /** The first id behind the position. */
  readonly next: bigint;
  /** The last id of all. */
  readonly last: bigint;
}

/** What the index has behind an id, ours or not; null = nothing. */
async function readBounds(
  session: Session,
  table: QueueTable,
  position: PagePosition,
  after: string,
): Promise<Bounds | null> {
  const [bounds] = await session.query(boundsSql(table), [after], `bounds ${table.revision}`);
  const [next, last] = bounds ?? [];
  position.isTableEmpty = last == null;
  return next == null || last == null ? null : { next: BigInt(next), last: BigInt(last) };
}

/** Where reading begins: before the lowest id, and past what was settled before, which is skimmed without its text. */
async function firstPage(
  session: Session,
  table: QueueTable,
  position: PagePosition,
  config: Config,
): Promise<Page | null> {
  const bounds = await readBounds(session, table, position, MIN_ID);
  if (bounds === null) return null;
  position.gapsFrom = bounds.last - GAPS_BEFORE_START;
  const after = await skim(session, table, bounds.next, bounds.last, config);
  // The lowest bigint of all has none before it: as a first id it is left to the sweep.
  const before = after - 1n < BigInt(MIN_ID) ? BigInt(MIN_ID) : after - 1n;
  return { events: [], tooLarge: [], after: before.toString() };
}

/** The first id in a window that holds anything unsettled; the end of the table if none does. */
async function skim(session: Session, table: QueueTable, first: bigint, last: bigint, config: Config): Promise<bigint> {
  const kinds = excludedKinds(config.logFile !== null);
  const span = new Span();
  let at = first;
  while (at <= last) {
    const last = lesser(alignDown(at) + span.value - 1n, MAX_ID);
    const [settled] = await session.query(anyExcludedSql(table), [at.toString(), last.toString()]);
    if (settled?.[0] !== 't') return at;
    const started = performance.now();
    const { fresh, end } = await compareWindow(session, table, alignDown(at), last, kinds);
    const next = fresh.find((id) => BigInt(id) >= at);
    if (next !== undefined) return BigInt(next);
    span.learn(performance.now() - started);
    at = end;
  }
  return last + 1n;
}

async function stepOverLarge(
  session: Session,
  table: QueueTable,
  after: string,
  upTo: string,
  config: Config,
): Promise<Page | null> {
  const peeked = await session.query(peekSql(table), [after, upTo], `peek ${table.revision}`);
  const tooLarge: [string, number][] = [];
  for (const [id, bytes] of peeked) {
    if (Number(bytes) <= config.maxEventBytes) break;
    tooLarge.push([String(id), Number(bytes)]);
  }
  const last = tooLarge.at(-1);
  return last ? { events: [], tooLarge, after: last[0] } : null;
}

/** Nothing of ours in the window: steps over it when the table goes on behind it, or keeps a short look-back. */
function stepOverForeign(after: bigint, upTo: bigint, { next, last }: Bounds, shard: Shard): Page | null {
  const lookBack = last - LOOK_BACK;
  const step = next > upTo ? next - 1n : lookBack < upTo ? lookBack : upTo;
  const least = shard.of > 1 ? LEAST_STEP : 1n;
  return step >= after + least ? { events: [], tooLarge: [], after: step.toString() } : null;
}

function noteGaps(
  position: PagePosition,
  after: bigint,
  events: readonly QueuedEvent[],
  gaps: Gaps,
  shard: Shard,
): void {
  const now = performance.now();
  let previous = after;
  for (const { id } of events) {
    const current = BigInt(id);
    if (current !== previous + 1n && position.gapsFrom !== null && previous >= position.gapsFrom) {
      gaps.addBetween(previous.toString(), id, now, shard);
    }
    previous = current;
  }
}
