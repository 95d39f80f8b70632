// Goes over the whole queue, or over a sample of it, without changing anything: each event with what decides about it and
// where it stands. Page by page, each in a short transaction of its own, so that no snapshot holds back the vacuum.

import type { RawValue } from '../event/event.ts';
import { FRESH, type Standing } from '../flow/standing.ts';
import { readOnly } from './read-only.ts';
import type { RawRow, Session } from './session.ts';
import { boundsSql, MIN_ID } from './sql/read.ts';
import { BLOCKS_SQL, SURVEY_PAGE, sampleSql, surveySql } from './sql/survey.ts';
import { readStandings } from './standings.ts';
import { lesser } from './sweep.ts';
import type { QueueTable } from './table.ts';

/** Ids looked at by one page: bounds what is scanned where rows are not ours. */
const WINDOW = 1n << 17n;
/** Blocks of one look into a sample. */
const SAMPLED_BLOCKS = 64;
/** A table of fewer blocks is read whole. */
const LEAST_BLOCKS = 4 * SAMPLED_BLOCKS;

export interface SurveyedEvent {
  readonly eventType: RawValue;
  /** null also where the configuration does not ask for it. */
  readonly mailclass: RawValue;
  /** Seconds since the epoch; null where it is none. */
  readonly eventTime: number | null;
  readonly standing: Standing;
}

export interface SurveyedPage {
  readonly events: readonly SurveyedEvent[];
  /** How much has been looked at by now, 0 to 1. */
  readonly share: number;
}

export interface SurveyOptions {
  /** The configuration asks for mail classes. */
  readonly mailClasses: boolean;
  /** Ends the survey behind the page that is being read. */
  readonly signal: AbortSignal;
}

/** Reads every row that was there when the survey began, in the order of the ids. */
export async function* surveyQueue(
  session: Session,
  table: QueueTable,
  { mailClasses, signal }: SurveyOptions,
): AsyncGenerator<SurveyedPage> {
  const bounds = await readBounds(session, table, MIN_ID);
  if (bounds === null) return;
  const { next: first, last } = bounds;
  for (let after = first - 1n; after < last && !signal.aborted; ) {
    const upTo = lesser(after + WINDOW, last);
    const rows = await readPage(session, surveySql(table, mailClasses), [after.toString(), upTo.toString()]);
    after = rows.length < SURVEY_PAGE ? upTo : BigInt(rows.at(-1)?.id ?? upTo);
    yield { events: rows, share: Number(after - first + 1n) / Number(last - first + 1n) };
    if (rows.length > 0 || after >= last) continue;
    // A stretch without rows, or without rows of ours.
    const behind = await readBounds(session, table, after.toString());
    if (behind === null) return;
    after = lesser(behind.next - 1n, last);
  }
}

/** Whether a sample is worth while: a small table is read faster than it is sampled. */
export async function isWorthSampling(session: Session, table: QueueTable): Promise<boolean> {
  return (await countBlocks(session, table)) >= LEAST_BLOCKS;
}

export interface SampledPage extends SurveyedPage {
  /** Share of the table that has been drawn by now: what was counted, divided by it, is the estimate. */
  readonly fraction: number;
}

/**
 * Draws blocks of the table at random until about `wanted` events are seen. A block may be drawn twice.
 *
 * @param seed makes the same sample of the same table.
 */
export async function* sampleQueue(
  session: Session,
  table: QueueTable,
  { mailClasses, signal, wanted, seed }: SurveyOptions & { readonly wanted: number; readonly seed: number },
): AsyncGenerator<SampledPage> {
  const blocks = await countBlocks(session, table);
  const fraction = SAMPLED_BLOCKS / blocks;
  let seen = 0;
  for (let round = 1; seen < wanted && round * fraction < 1 && !signal.aborted; round += 1) {
    const rows = await readPage(session, sampleSql(table, mailClasses), [fraction * 100, seed + round]);
    seen += rows.length;
    yield { events: rows, share: Math.min(1, Math.max(seen / wanted, round * fraction)), fraction: round * fraction };
  }
}

async function countBlocks(session: Session, { oid }: QueueTable): Promise<number> {
  const [blocks] = await session.query(BLOCKS_SQL, [oid]);
  return Number(blocks?.[0]);
}

async function readBounds(session: Session, table: QueueTable, after: string) {
  const [bounds] = await session.query(boundsSql(table), [after]);
  const [next, last] = bounds ?? [];
  return next == null || last == null ? null : { next: BigInt(next), last: BigInt(last) };
}

/** Rows and what is known of them, of one moment. */
function readPage(
  session: Session,
  sql: string,
  values: readonly unknown[],
): Promise<readonly (SurveyedEvent & { readonly id: string })[]> {
  return readOnly(session, async () => {
    const rows = await session.query(sql, values);
    const standings = new Map<string, Standing>();
    for (let at = 0; at < rows.length; at += SURVEY_PAGE) {
      const ids = rows.slice(at, at + SURVEY_PAGE).map(([id]) => String(id));
      for (const [id, standing] of await readStandings(session, ids)) standings.set(id, standing);
    }
    return rows.map((row) => toSurveyed(row, standings));
  });
}

function toSurveyed([id, eventType, mailclass, eventTime]: RawRow, standings: ReadonlyMap<string, Standing>) {
  return {
    id: String(id),
    eventType: eventType ?? null,
    mailclass: mailclass ?? null,
    eventTime: eventTime == null || !Number.isFinite(Number(eventTime)) ? null : Number(eventTime),
    standing: standings.get(String(id)) ?? FRESH,
  };
}
