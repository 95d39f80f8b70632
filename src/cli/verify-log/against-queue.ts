// `tailrace verify-log --database`: holds the log against the queue. Which events have their line is asked
// before the files are looked for: they stand in them already, since a line is on disk before the state knows of it.

import { type IdBitmap, idOf, placeOf } from '../../lib/id-bitmap.ts';
import { type FaultKind, type Finding, Findings } from '../../log-file/verify/faults.ts';
import { locate } from '../../log-file/verify/locate.ts';
import type { Verified } from '../../log-file/verify/verify-files.ts';
import { LogState } from '../../queue/log-state.ts';
import type { Session } from '../../queue/session.ts';

/** The clocks of those who make events may be ahead by so much. */
const CLOCK_SLACK_S = 3_600;
/** Rows whose lines are compared one by one. */
const MOST_COMPARED = 100_000;
const MOST_EXAMPLES = 5;

/** What was held against the queue. */
export interface QueueReport {
  readonly table: string;
  /** Events that have their line and are still in the queue, as the state says. */
  readonly logged: number;
  /** How many of those were found in the files. */
  readonly found: number;
  /** Those not found were judged: the file that is written now is among the files, and rows bear times. */
  readonly judged: boolean;
  /** Rows that look new and have a line: in flight, most often. */
  readonly unsettled: number;
  readonly unsettledExamples: readonly string[];
  /** A processor runs, or has crashed: it is normal that some rows are not settled. */
  readonly inFlight: boolean;
  readonly findings: readonly Finding[];
  readonly counts: ReadonlyMap<FaultKind, number>;
}

/** Compares what was asked before the files were read with what stands in them, and with the queue as it is now. */
export async function compareWithQueue(
  session: Session,
  logged: IdBitmap,
  verified: Verified,
  options: { readonly most: number; readonly isLive: boolean },
): Promise<QueueReport> {
  const state = await LogState.open(session);
  const findings = new Findings(options.most);
  const firstUs = verified.files.map(({ file }) => file.firstUs).find((us) => us !== null) ?? null;
  const judged = options.isLive && state.hasTimes && firstUs !== null;
  if (judged) {
    const since = firstUs / 1e6 + CLOCK_SLACK_S;
    for await (const { id, eventType, eventTime } of state.rowsSince(without(logged, verified.seen), since)) {
      const happened = new Date(eventTime * 1_000).toISOString().slice(0, 19);
      findings.add('line_missing', () => ({
        file: null,
        line: null,
        column: null,
        eventId: id,
        message: `event ${id} (${eventType}, ${happened}Z) is noted as logged and still in the queue, but none of these files has its line`,
      }));
    }
  }
  const writers = await state.writers();
  const doubtful = await unreadWithLine(state, verified.seen);
  // Else a processor has them in hand, or the next start finds them in the journal.
  const isAtRest = writers.length > 0 && writers.every((writer) => writer.state === 'stopped');
  if (isAtRest) await compareRows(state, doubtful, verified, findings);
  return {
    table: state.table,
    logged: logged.size,
    found: sizeOfBoth(logged, verified.seen),
    judged,
    unsettled: doubtful.size,
    unsettledExamples: take(doubtful.ids(), MOST_EXAMPLES).map(String),
    inFlight: !isAtRest,
    findings: findings.kept,
    counts: findings.counts,
  };
}

async function unreadWithLine(state: LogState, seen: IdBitmap): Promise<IdBitmap> {
  const blocks = seen.blocks();
  const [from, to] = [blocks[0] ?? 0, blocks.at(-1) ?? -1];
  return state.unread({ from: idOf(from, 0), to: idOf(to, 1_023) }, (id) => {
    const { block, bit } = placeOf(id);
    return seen.has(block, bit);
  });
}

/** Rows that would be logged anew: those whose line bears their unique id are the same event. */
async function compareRows(state: LogState, doubtful: IdBitmap, verified: Verified, findings: Findings): Promise<void> {
  if (doubtful.size === 0) return;
  const uniqueIds = await state.uniqueIds(take(doubtful.ids(), MOST_COMPARED));
  await locate(verified.files, doubtful, ({ eventId, uniqueId, file, line }) => {
    if (uniqueId === null || uniqueIds.get(eventId) !== uniqueId) return;
    const message = `event ${eventId} has this line, and a row in ${state.table} that looks as if it had none`;
    findings.add('row_came_back', () => ({ file, line, column: null, eventId, message }));
  });
}

function* without(ids: IdBitmap, others: IdBitmap): Generator<bigint> {
  for (const block of ids.blocks()) {
    for (let bit = 0; bit < 1_024; bit += 1) if (ids.has(block, bit) && !others.has(block, bit)) yield idOf(block, bit);
  }
}

function sizeOfBoth(ids: IdBitmap, others: IdBitmap): number {
  let size = ids.size;
  for (const _ of without(ids, others)) size -= 1;
  return size;
}

function take<T>(values: Iterable<T>, most: number): T[] {
  const taken: T[] = [];
  for (const value of values) {
    if (taken.length === most) break;
    taken.push(value);
  }
  return taken;
}
