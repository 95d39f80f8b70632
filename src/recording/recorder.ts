// Recording, the way into the queue: records from a reader, checked and completed, inserted in batches. A bad event is
// rejected alone and handed to `onRejected`; everything else is stored. What `record` has counted is committed.

import { inBatches } from './in-batches.ts';
import type { InputRecord } from './input-record.ts';
import { insertRows } from './insert-rows.ts';
import { createNormalizer, type NormalizeOptions, type Row } from './normalize.ts';
import { type QueryClient, readTableColumns } from './queue-table.ts';

/** Bounds of one INSERT: few round trips, and little to halve when one event in it is bad. */
const MAX_BATCH_EVENTS = 1_000;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
const MAX_WAIT_MS = 200;

export interface RecorderOptions extends NormalizeOptions {
  /** Called in no particular order, one at a time. */
  readonly onRejected: (record: InputRecord, error: string) => Promise<void>;
  /** Called after each batch. */
  readonly onProgress?: (counts: RecordingCounts) => void;
}

export interface RecordingCounts {
  /** Events that are committed in the queue table. */
  readonly recorded: number;
  readonly rejected: number;
  /** Line of the last event that is recorded or rejected, in the input under way; 0 before the first. */
  readonly line: number;
}

export interface Recorder {
  /** Counts over all inputs so far. */
  readonly counts: RecordingCounts;
  /** Columns that events had values for and that the table lacks. */
  readonly missingColumns: ReadonlySet<string>;
  /**
   * Records all events of one input.
   *
   * @throws what the input, the database or `onRejected` throws; of the batch under way it is then not known whether it is stored.
   */
  record(input: AsyncIterable<InputRecord>): Promise<void>;
}

/**
 * Creates a recorder for the table `events` that a connected client sees.
 *
 * @throws {TailraceError} `TABLE_MISSING`.
 */
export async function createRecorder(client: QueryClient, options: RecorderOptions): Promise<Recorder> {
  const normalizer = createNormalizer(await readTableColumns(client), options);
  let recorded = 0;
  let rejected = 0;
  let line = 0;
  const counts = (): RecordingCounts => ({ recorded, rejected, line });

  const reject = async (record: InputRecord, error: string): Promise<void> => {
    rejected += 1;
    await options.onRejected(record, error);
  };

  const store = async (batch: readonly InputRecord[]): Promise<void> => {
    const accepted: InputRecord[] = [];
    const rows: Row[] = [];
    for (const record of batch) {
      const { problem, text } = record;
      const result = problem === undefined ? normalizer.normalize(text) : { ok: false as const, error: problem };
      if (result.ok) {
        accepted.push(record);
        rows.push(result.row);
      } else {
        await reject(record, result.error);
      }
    }
    const refusals = await insertRows(client, rows);
    recorded += rows.length - refusals.length;
    for (const { at, error } of refusals) {
      const record = accepted[at];
      if (record) await reject(record, error);
    }
    line = batch.at(-1)?.line ?? line;
    options.onProgress?.(counts());
  };

  return {
    get counts() {
      return counts();
    },
    missingColumns: normalizer.missingColumns,

    async record(input) {
      line = 0;
      const batches = inBatches(input, {
        maxItems: MAX_BATCH_EVENTS,
        maxBytes: MAX_BATCH_BYTES,
        maxWaitMs: MAX_WAIT_MS,
        bytesOf: ({ text }) => text.length,
      });
      for await (const batch of batches) await store(batch);
    },
  };
}
