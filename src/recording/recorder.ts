// Recording, the way into the queue: records from a reader, checked and completed, stored in batches. A bad event is
// rejected alone and handed to `onRejected`; everything else is stored. What `record` has counted is committed.
//
//   input ─▶ checked, chunk by chunk ─▶ batch ─▶ switches ─▶ one transaction: rows, counts, position in the input
//
// While PostgreSQL stores a batch the next one is read and checked, and no more than that: this is what holds the source
// back.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { deriveBadAddress } from './bad-address.ts';
import { BEGINNING, type Checkpoint } from './checkpoint.ts';
import type { CopyClient } from './connection.ts';
import { createCopyWriter } from './copy-rows.ts';
import { inBatches } from './in-batches.ts';
import { type InputRecord, type InputRecords, LineRecord } from './input-record.ts';
import { type EncodedRow, INSERT_WRITER, type RowWriter } from './insert-rows.ts';
import { createNormalizer, type NormalizeOptions, type Row } from './normalize.ts';
import { createPlainRows } from './plain-rows.ts';
import { readTableColumns, takesCopy } from './queue-table.ts';
import { storeRows } from './store-rows.ts';
import { createTally } from './switch-tally.ts';
import type { Switches } from './switches.ts';

/** Bounds of one transaction: few round trips and commits, and little to halve when one event in it is bad. */
const MAX_BATCH_EVENTS = 5_000;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
const MAX_WAIT_MS = 200;
/** Less than a millisecond's work: PostgreSQL stores in three what fits into the socket, and waits for more then. */
const EVENTS_A_TURN = 64;

export interface RecorderOptions extends NormalizeOptions {
  /** What is switched off is not recorded, only counted. undefined: everything is recorded. */
  readonly switches?: Switches;
  /** A hard `bounce_all` brings a `bounce_bad_address` with it. */
  readonly derivesBadAddress?: boolean;
  /** Called one at a time, before the batch is committed. */
  readonly onRejected: (record: InputRecord, error: string) => Promise<void>;
  /** Called after each batch. */
  readonly onProgress?: (counts: RecordingCounts) => void;
}

export interface RecordingCounts {
  /** Events that are committed in the queue table. */
  readonly recorded: number;
  /** How many of those are derived from another one. */
  readonly derived: number;
  readonly rejected: number;
  /** Event type → how many good events of it were not recorded, since it is switched off. */
  readonly suppressed: ReadonlyMap<string, number>;
  /** Line of the last event that is recorded, rejected or suppressed, in the input under way; 0 before the first. */
  readonly line: number;
}

/** An event of the input, checked: on its way into the table, or rejected. */
type Checked = Accepted | Rejected;

interface Accepted {
  readonly record: InputRecord;
  readonly type: string;
  readonly ofStudio: boolean;
  readonly row: EncodedRow;
  /** It is no event of the input but comes of the one before. */
  readonly isDerived: boolean;
  readonly error: null;
}

interface Rejected {
  readonly record: InputRecord;
  readonly isDerived: false;
  readonly error: string;
}

export interface Recorder {
  /** Counts over all inputs so far. */
  readonly counts: RecordingCounts;
  /** Columns that events had values for and that the table lacks. */
  readonly missingColumns: ReadonlySet<string>;
  /**
   * Records all events of one input.
   *
   * @param checkpoint where to begin in it, and what keeps the position; undefined: at its beginning.
   * @throws what the input, the database or `onRejected` throws; of the batch under way it is then not known whether it is stored.
   */
  record(input: InputRecords, checkpoint?: Checkpoint): Promise<void>;
}

/**
 * Creates a recorder for the table `events` that a connected client sees. Nobody else may use the client meanwhile.
 *
 * @throws {TailraceError} `TABLE_MISSING`.
 */
export async function createRecorder(client: CopyClient, options: RecorderOptions): Promise<Recorder> {
  const { switches, derivesBadAddress = false } = options;
  const columns = await readTableColumns(client);
  const normalizer = createNormalizer(columns, options);
  const copyWriter = (await takesCopy(client)) ? createCopyWriter(columns) : null;
  const writer: RowWriter<CopyClient, EncodedRow> = copyWriter ?? INSERT_WRITER;
  const plainRows = copyWriter && createPlainRows(columns, copyWriter, { ...options, derivesBadAddress });
  let counts: RecordingCounts = { recorded: 0, derived: 0, rejected: 0, suppressed: new Map(), line: 0 };

  /** Puts a record behind those that are checked. Objects are few here: each is looked at by two collections or three. */
  const check = (record: InputRecord, into: Checked[]): void => {
    const plain = record instanceof LineRecord && plainRows ? plainRows.read(record) : null;
    if (plain !== null) {
      const { type, ofStudio, row } = plain;
      into.push({ record, type, ofStudio, row, isDerived: false, error: null });
      return;
    }
    const result =
      record.problem === undefined ? normalizer.normalize(record.text) : { ok: false as const, error: record.problem };
    if (!result.ok) {
      into.push({ record, isDerived: false, error: result.error });
      return;
    }
    const { ofStudio } = result;
    const add = (row: Row, isDerived: boolean): void => {
      const type = row.get('event_type') ?? '';
      into.push({ record, type, ofStudio, row: writer.encode(row), isDerived, error: null });
    };
    add(result.row, false);
    const derived = derivesBadAddress ? deriveBadAddress(result.row) : null;
    if (derived) add(derived, true);
  };

  /** Stores one batch; counts it when it is committed. */
  const store = async (batch: readonly Checked[], records: number, checkpoint?: Checkpoint): Promise<void> => {
    await switches?.refresh();
    const tally = switches && createTally(switches);
    const accepted: Accepted[] = [];
    const rejected: Rejected[] = [];
    for (const each of batch) {
      if (each.error !== null) rejected.push(each);
      else if (tally === undefined || tally.passes(each)) accepted.push(each);
    }
    for (const { record, error } of rejected) await options.onRejected(record, error);
    const refused: Accepted[] = [];
    const line = batch.at(-1)?.record.line ?? counts.line;
    const rows = accepted.map(({ row }) => row);
    await storeRows(client, rows, writer, async (refusals) => {
      for (const { at, error } of refusals) {
        const each = accepted[at] as Accepted; // `at` is an index into the rows
        refused.push(each);
        await options.onRejected(each.record, each.isDerived ? `its bounce_bad_address: ${error}` : error);
      }
      if (switches !== undefined) {
        tally?.note(switches, refused);
        await switches.flush();
      }
      await checkpoint?.store(client, { records, line });
    });
    counts = {
      recorded: counts.recorded + accepted.length - refused.length,
      derived: counts.derived + numberDerived(accepted) - numberDerived(refused),
      rejected: counts.rejected + rejected.length + refused.length,
      suppressed: tally?.suppressed(counts.suppressed) ?? counts.suppressed,
      line,
    };
    letGo(batch, refused.length > 0);
    options.onProgress?.(counts);
  };

  /** Everything of a batch is committed and out of the socket; after a refusal that is not sure of the rows. */
  const letGo = (batch: readonly Checked[], keepsRows: boolean): void => {
    for (const each of batch) {
      if (each.record instanceof LineRecord && !each.isDerived) each.record.letGo();
      if (each.error === null && !keepsRows) writer.letGo?.(each.row);
    }
  };

  return {
    get counts() {
      return counts;
    },
    get missingColumns() {
      return new Set([...normalizer.missingColumns, ...(plainRows?.missingColumns ?? [])]);
    },

    async record(input, checkpoint) {
      const { records: skipped, line } = checkpoint?.start ?? BEGINNING;
      counts = { ...counts, line };
      const batches = inBatches(checkedFrom(input, skipped, check), {
        maxItems: MAX_BATCH_EVENTS,
        maxBytes: MAX_BATCH_BYTES,
        maxWaitMs: MAX_WAIT_MS,
        bytesOf: ({ record, isDerived }) =>
          isDerived ? 0 : record instanceof LineRecord ? record.end - record.start : record.text.length,
      });
      let records = skipped;
      let storing = Promise.resolve();
      try {
        for (;;) {
          const next = batches.next();
          next.catch(() => {});
          const { done, value: batch } = await Promise.race([next, failureOf(storing)]);
          if (done) break;
          await storing;
          records += batch.reduce((sum, each) => sum + (isDoneWith(each) ? 1 : 0), 0);
          storing = store(batch, records, checkpoint);
          storing.catch(() => {});
        }
      } finally {
        // Not waited for: it may itself be waiting for a pipe that says nothing more.
        batches.return(undefined).catch(() => {});
        await storing;
      }
    },
  };
}

/** Settles only if the work fails: a batch that does is noticed while the input is silent, too. */
function failureOf(work: Promise<void>): Promise<never> {
  return work.then(() => new Promise(() => {}));
}

/** Checked some at a time: in between PostgreSQL gets what is on its way to it, and its answers are heard. */
async function* checkedFrom(
  input: InputRecords,
  skipped: number,
  check: (record: InputRecord, into: Checked[]) => void,
): AsyncGenerator<Checked[]> {
  let toSkip = skipped;
  for await (const records of input) {
    const rest = toSkip > 0 ? records.slice(toSkip) : records;
    toSkip = Math.max(0, toSkip - records.length);
    const checked: Checked[] = [];
    for (const [at, record] of rest.entries()) {
      if (at > 0 && at % EVENTS_A_TURN === 0) await nextTurn();
      check(record, checked);
    }
    if (checked.length > 0) yield checked;
  }
}

/** Whether it is one record of the input less: not a bad one that the input breaks off in, which is looked at again when the input has grown. */
function isDoneWith({ record, isDerived, error }: Checked): boolean {
  return !isDerived && (error === null || record.isLast !== true);
}

function numberDerived(rows: readonly Accepted[]): number {
  return rows.reduce((sum, { isDerived }) => sum + (isDerived ? 1 : 0), 0);
}
