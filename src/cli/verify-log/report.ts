// What `tailrace verify-log` prints: each finding with its place, what to do about each kind, and what was verified.

import type { Writable } from 'node:stream';
import { count, many } from '../../lib/quantity.ts';
import { ADVICE, type FaultKind, type Finding } from '../../log-file/verify/faults.ts';
import { timeOf } from '../../log-file/verify/stamps.ts';
import type { Verified, VerifyOptions } from '../../log-file/verify/verify-files.ts';
import type { QueueReport } from './against-queue.ts';

const PROGRESS_MS = 500;
const CLEAR_LINE = '\r\u001b[K';

/** Says how far it is, on a terminal only. */
export function createProgress(
  stderr: Writable & { readonly isTTY?: boolean },
  files: number,
): { readonly tell: NonNullable<VerifyOptions['onProgress']>; readonly clear: () => void } {
  if (stderr.isTTY !== true) return { tell: () => {}, clear: () => {} };
  const started = performance.now();
  let toldMs = started;
  return {
    tell(progress) {
      const now = performance.now();
      if (now - toldMs < PROGRESS_MS) return;
      toldMs = now;
      const perSecond = Math.round(progress.lines / ((now - started) / 1_000));
      stderr.write(
        `${CLEAR_LINE}file ${progress.files + 1} of ${files}: ${many(progress.lines, 'line')}, ${count(perSecond)} a second`,
      );
    },
    clear: () => void stderr.write(CLEAR_LINE),
  };
}

/** For a person. */
export function textReport(verified: Verified, queue: QueueReport | null, most: number): string {
  const findings = allFindings(verified, queue, most);
  const counts = allCounts(verified, queue);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const lines = findings.map((finding) => `${placeOf(finding, queue)}: ${finding.message}`);
  if (total > findings.length) lines.push(`… and ${many(total - findings.length, 'finding')} more`);
  if (total > 0) lines.push('', 'what to do:');
  for (const [kind, found] of counts) lines.push(`  ${kind} (${count(found)}): ${ADVICE[kind]}`);
  if (total > 0) lines.push('');
  lines.push(`${summaryOf(verified)}: ${total === 0 ? 'no findings' : many(total, 'finding')}`);
  for (const note of notesOf(verified, queue)) lines.push(`note: ${note}`);
  return `${lines.join('\n')}\n`;
}

/** For a script. */
export function jsonReport(verified: Verified, queue: QueueReport | null, most: number): string {
  const { gaps, doubles } = verified;
  const counts = allCounts(verified, queue);
  const report = {
    findings: allFindings(verified, queue, most).map(({ kind, file, line, column, eventId, message }) => ({
      kind,
      file,
      line,
      column,
      event_id: eventId,
      message,
      advice: ADVICE[kind],
    })),
    finding_count: [...counts.values()].reduce((sum, count) => sum + count, 0),
    counts: Object.fromEntries(counts),
    lines: verified.lines,
    events: verified.seen.size,
    files: verified.files.map(({ file, lines, bytes, firstUs, lastUs }) => ({
      file: file.path,
      lines,
      bytes,
      first_time: firstUs === null ? null : timeOf(firstUs),
      last_time: lastUs === null ? null : timeOf(lastUs),
    })),
    gaps: {
      count: gaps.count,
      ids: gaps.ids.toString(),
      largest: gaps.largest.map(({ from, to }) => ({ from: from.toString(), to: to.toString() })),
    },
    reused_ids: { count: doubles.reusedIds, examples: doubles.examples, not_compared: doubles.notCompared },
    queue: queue && {
      table: queue.table,
      logged: queue.logged,
      found: queue.found,
      missing_judged: queue.judged,
      unsettled: queue.unsettled,
      unsettled_examples: queue.unsettledExamples,
    },
    notes: notesOf(verified, queue),
  };
  return `${JSON.stringify(report)}\n`;
}

function allFindings(verified: Verified, queue: QueueReport | null, most: number): readonly Finding[] {
  return [...verified.findings, ...(queue?.findings ?? [])].slice(0, most);
}

function allCounts(verified: Verified, queue: QueueReport | null): ReadonlyMap<FaultKind, number> {
  return new Map([...verified.counts, ...(queue?.counts ?? [])]);
}

function placeOf({ file, line, column }: Finding, queue: QueueReport | null): string {
  if (file === null) return queue?.table ?? 'queue';
  return [file, line, column].filter((part) => part !== null).join(':');
}

function summaryOf({ files, lines }: Verified): string {
  const dated = files.filter(({ firstUs }) => firstUs !== null);
  const [first, last] = [dated[0]?.firstUs ?? null, dated.at(-1)?.lastUs ?? null];
  const span = first === null || last === null ? '' : `, written from ${timeOf(first)} to ${timeOf(last)}`;
  return `${many(files.length, 'file')}, ${many(lines, 'line')}${span}`;
}

function* notesOf({ files, gaps, doubles, seen }: Verified, queue: QueueReport | null): Generator<string> {
  const empty = files.filter(({ lines }) => lines === 0);
  if (empty.length > 0)
    yield `${many(empty.length, 'file')} without a line: ${list(empty.map(({ file }) => file.path))}`;
  if (gaps.count > 0) {
    const largest = gaps.largest.map(({ from, to }) => (from === to ? `${from}` : `${from} to ${to}`));
    yield `${many(gaps.count, 'gap')} in the event ids, ${many(gaps.ids, 'id')} in all, the largest: ${largest.join(', ')}. Ids of inserts that were rolled back, of rows that are not for tailrace and of events still to come are not there either`;
  }
  if (doubles.reusedIds > 0) {
    yield `${many(doubles.reusedIds, 'id')} on lines of different events, as after a sequence was set back: ${doubles.examples.join('; ')}`;
  }
  if (doubles.notCompared > 0) {
    yield `${many(doubles.notCompared, 'further id')} on several lines, not looked at one by one: verify again when those above are mended`;
  }
  if (seen.isFull) yield 'the ids are too many or too far apart to be remembered all: not every doubled event was seen';
  if (queue !== null) yield* queueNotesOf(queue);
}

function* queueNotesOf(queue: QueueReport): Generator<string> {
  const { logged, found, judged, unsettled, table } = queue;
  yield `${many(logged, 'event')} in ${table} noted as logged, the lines of ${count(found)} in these files${judged ? '; of the others those were looked for that happened later than an hour after the first line' : ''}`;
  if (!judged && logged > found) {
    yield 'the lines of the others were not looked for: the file that is written now is not among these files, or rows bear no event_time';
  }
  if (unsettled > 0) {
    const why = queue.inFlight
      ? 'a processor has them in hand, or a crash left them to the next start'
      : 'ids that were used before, unless named above';
    yield `${many(unsettled, 'row')} in ${table} not noted as logged, with the id of a line in these files: ${why} (${list(queue.unsettledExamples)})`;
  }
}

const list = (names: readonly string[]): string =>
  names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
