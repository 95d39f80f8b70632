// The sweep: an exact comparison of the table with the ledger, window by window, as the safety net under the gap list
// (ids prefetched by a producer, sequences with CACHE, rows put back by hand). No high-water mark is ever the truth.

import { idsOfBits } from '../lib/id-set.ts';
import type { Session } from './session.ts';
import { MAX_ID, MIN_ID, nextIdSql, SWEEP_BLOCKS, sweepSql } from './sql/read.ts';
import type { QueueTable } from './table.ts';

/** Share of the time that sweeping may take. */
const DUTY = 0.01;
/** Shortest rest between two windows. */
const MIN_REST_MS = 1_000;
/** Rest while the table is empty, behind a round that met nothing in the ledger either. */
const EMPTY_REST_MS = 10_000;
/** A window is made to last between these two. */
const SHORT_MS = 20;
const LONG_MS = 100;
const MIN_SPAN = 1n << 10n;
const MAX_SPAN = 1n << 24n;
const FIRST_SPAN = 1n << 16n;

export interface Window {
  /** Ids of rows that no settlement excludes, ascending. */
  readonly fresh: readonly string[];
  /** Ids that the ledger excludes though their row is gone. */
  readonly orphaned: readonly string[];
  /** The first id behind the window. */
  readonly end: bigint;
}

/** Compares the ids from `start` (a multiple of 1,024) to `last`, or as many as a window may return. */
export async function compareWindow(
  session: Session,
  table: QueueTable,
  start: bigint,
  last: bigint,
  kinds: readonly string[],
): Promise<Window> {
  const fresh: string[] = [];
  const orphaned: string[] = [];
  const rows = await session.query(sweepSql(table), [start.toString(), last.toString(), kinds]);
  for (const [block, freshBits, orphanedBits] of rows) {
    for (const id of idsOfBits(String(block), String(freshBits))) fresh.push(id);
    for (const id of idsOfBits(String(block), String(orphanedBits))) orphaned.push(id);
  }
  const lastBlock = rows.at(-1)?.[0];
  const isCut = rows.length === SWEEP_BLOCKS && lastBlock != null;
  return { fresh, orphaned, end: isCut ? (BigInt(lastBlock) + 1n) << 10n : last + 1n };
}

export const lesser = (a: bigint, b: bigint): bigint => (a < b ? a : b);

/** The block's first id: windows begin and end on whole blocks. */
export const alignDown = (id: bigint): bigint => (id >> 10n) << 10n;

/** How far apart the ids of the next window may lie, learnt from how long the last ones took. */
export class Span {
  #span = FIRST_SPAN;

  get value(): bigint {
    return this.#span;
  }

  /** @param tookMs how long a window of this span took. */
  learn(tookMs: number): void {
    if (tookMs > LONG_MS && this.#span > MIN_SPAN) this.#span >>= 1n;
    else if (tookMs < SHORT_MS && this.#span < MAX_SPAN) this.#span <<= 1n;
  }
}

export class Sweep {
  readonly #span = new Span();
  #at: bigint | null = null;
  #restUntilMs: number;
  #emptyUntilMs = 0;

  /** @param nowMs the first window comes one rest later: what there is at the start is read page by page. */
  constructor(nowMs: number) {
    this.#restUntilMs = nowMs + MIN_REST_MS;
  }

  /**
   * Compares the next window if its rest is over, else null. Goes round and round over the ids up to `last`, the last
   * one that was read page by page, stepping over stretches where neither the table nor the ledger has anything.
   *
   * @param isTableEmpty as the look at its index a moment ago had it: then no row can have come late.
   */
  async next(
    session: Session,
    table: QueueTable,
    kinds: readonly string[],
    last: bigint,
    nowMs: number,
    isTableEmpty = false,
  ): Promise<Window | null> {
    if (nowMs < this.#restUntilMs || (isTableEmpty && nowMs < this.#emptyUntilMs)) return null;
    const started = performance.now();
    const [next] = await session.query(
      nextIdSql(table),
      [this.#at === null ? MIN_ID : this.#at.toString()],
      `next_id ${table.revision}`,
    );
    const start = next?.[0] ? alignDown(BigInt(next[0])) : null;
    if (start === null || start > last) {
      if (start === null && this.#at === null) this.#emptyUntilMs = started + EMPTY_REST_MS;
      this.#at = null;
      this.#rest(started);
      return null;
    }
    const window = await compareWindow(session, table, start, lesser(start + this.#span.value - 1n, MAX_ID), kinds);
    this.#span.learn(performance.now() - started);
    this.#at = window.end > MAX_ID ? null : window.end;
    this.#rest(started);
    return { ...window, fresh: window.fresh.filter((id) => BigInt(id) <= last) };
  }

  #rest(started: number): void {
    const now = performance.now();
    this.#restUntilMs = now + Math.max(MIN_REST_MS, (now - started) * (1 / DUTY - 1));
  }
}
