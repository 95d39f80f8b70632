// Where the events of `tailrace explain` come from: a row of the queue, a line of the log files, a range of a file's
// lines, or JSON objects on standard input, each on a line or spread over several as `jq` prints them.

import type { ExplainedEvent } from '../../dry-run/explanation.ts';
import type { Column } from '../../event/event.ts';
import { createLineReader, type LineReader, OWN_COLUMNS } from '../../event/from-line.ts';
import { messageOf, TailraceError } from '../../lib/errors.ts';
import { findEvents, whyUnreadable } from '../../log-file/find-event.ts';
import { filesOf } from '../../log-file/log-family.ts';
import { readOnly } from '../../queue/read-only.ts';
import { fetchRows } from '../../queue/rows.ts';
import type { Session } from '../../queue/session.ts';
import type { QueueTable } from '../../queue/table.ts';
import { Tracer } from '../../queue/trace.ts';
import { openInputFile } from '../../recording/input-file.ts';
import type { InputRecord } from '../../recording/input-record.ts';
import { readInput } from '../../recording/read-input.ts';

/** Where an event was found. */
export type Source =
  | { readonly from: 'queue' }
  | { readonly from: 'file'; readonly file: string; readonly line: number }
  | { readonly from: 'stdin'; readonly line: number };

export type Found = { readonly source: Source } & (
  | { readonly explained: ExplainedEvent }
  | { readonly problem: string }
);

/** Lines of a file, both ends included, from 1. */
export interface LineRange {
  readonly first: number;
  readonly last: number;
}

/** Most characters of an object that is spread over several lines. */
const MAX_SPREAD = 1024 * 1024;

/**
 * Looks a row up.
 *
 * @returns null when the queue does not have it. @throws {TailraceError} `EVENT_NOT_OURS`.
 */
export function findInQueue(session: Session, table: QueueTable, id: string): Promise<Found | null> {
  return readOnly(session, async () => {
    const traced = (await (await Tracer.create(session)).trace([id])).get(id);
    if (traced?.row == null || traced.row.processed) return null;
    if (!traced.row.ours) {
      throw new TailraceError(
        'EVENT_NOT_OURS',
        `the event ${id} has another destination_id than 1: it is not tailrace's, and stays untouched`,
      );
    }
    const source = { from: 'queue' } as const;
    if (traced.tooLarge) {
      return {
        source,
        problem: 'it is parked as too large: neither logged nor delivered until max_event_bytes is raised',
      };
    }
    const [event] = await fetchRows(session, table, [id]);
    return event ? { source, explained: { event, hasId: true, standings: traced.destinations } } : null;
  });
}

/**
 * Looks for the line of an event in a log file and in what it was renamed to; the last one that is found.
 *
 * @throws {TailraceError} `INPUT_NOT_READABLE` when it is in none, and one could not be read.
 */
export async function findInLogs(filename: string, id: string, columns: readonly Column[]): Promise<Found | null> {
  const read = createLineReader(columns);
  const unreadable: string[] = [];
  for (const file of (await filesOf(filename)).toReversed()) {
    const why = await whyUnreadable(file);
    if (why !== null) unreadable.push(why);
    const line = (await findEvents(file, { ids: [id], uniqueId: null })).findLast(({ kind }) => kind === 'line');
    if (line === undefined) continue;
    // Its text once more: what was found is parsed, and has lost the digits of large numbers.
    for await (const found of readFileLines(file, { first: line.line, last: line.line }, read)) return found;
  }
  if (unreadable.length === 0) return null;
  throw new TailraceError(
    'INPUT_NOT_READABLE',
    `the event ${id} is in no file that can be read: ${unreadable.join('; ')}`,
  );
}

/** Reads a range of a file's lines, gzipped or not. @throws {TailraceError} `INPUT_NOT_READABLE`. */
export async function* readFileLines(file: string, range: LineRange, read: LineReader): AsyncGenerator<Found> {
  await using input = await openInputFile(file);
  try {
    for await (const records of readInput(input.chunks(), 'jsonl')) {
      for (const record of records) {
        if (record.line < range.first) continue;
        if (record.line > range.last) return;
        yield toFound(record, { from: 'file', file, line: record.line }, read);
      }
    }
  } catch (cause) {
    if (cause instanceof TailraceError) throw cause;
    throw new TailraceError('INPUT_NOT_READABLE', `${file} cannot be read to its end: ${messageOf(cause)}`, { cause });
  }
}

/** Reads objects from standard input. */
export async function* readStdin(stdin: AsyncIterable<Buffer>, read: LineReader): AsyncGenerator<Found> {
  for await (const record of joined(stdin)) {
    yield toFound(record, { from: 'stdin', line: record.line }, read);
  }
}

/** Puts objects together that begin with a lone `{` and end with a lone `}`. */
async function* joined(stdin: AsyncIterable<Buffer>): AsyncGenerator<InputRecord> {
  let open: { readonly line: number; text: string } | null = null;
  for await (const records of readInput(stdin, 'auto')) {
    for (const record of records) {
      const { line, text } = record;
      if (open === null && text.trim() === '{') {
        open = { line, text };
        continue;
      }
      if (open === null) {
        yield record;
        continue;
      }
      open.text += `\n${text}`;
      // One that stands inside is indented.
      if (text.trimEnd() !== '}' && open.text.length < MAX_SPREAD) continue;
      yield open;
      open = null;
    }
  }
  if (open !== null) yield open;
}

function toFound(record: InputRecord, source: Source, read: LineReader): Found {
  if (record.problem !== undefined) return { source, problem: `it is an event that cannot be read: ${record.problem}` };
  const made = read(record.text);
  if ('problem' in made) return { source, problem: made.problem };
  return { source, explained: { event: made.event, hasId: made.hasId, standings: [] } };
}

/** The columns that an event from a file is read with. */
export const columnsOf = (table: QueueTable | null): readonly Column[] => table?.shape.columns ?? OWN_COLUMNS;
