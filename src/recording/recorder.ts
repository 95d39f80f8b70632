// Recording, the way into the queue: records from a reader, checked and completed, inserted in batches. A bad event is
// rejected alone and handed to `onRejected`; everything else is stored. What `record` has counted is committed.

import { inBatches } from './in-batches.ts';
import type { InputRecord } from './input-record.ts';
import { insertRows } from './insert-rows.ts';
import { createNormalizer, type NormalizeOptions, type Row } from './normalize.ts';
import { type QueryClient, readTableColumns } from './queue-table.ts';
import type { Switches } from './switches.ts';

/** Bounds of one INSERT: few round trips, and little to halve when one event in it is bad. */
const MAX_BATCH_EVENTS = 1_000;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;
const MAX_WAIT_MS = 200;

export interface RecorderOptions extends NormalizeOptions {
  /** What is switched off is not recorded, only counted. undefined: everything is recorded. */
  readonly switches?: Switches;
  /** Called in no particular order, one at a time. */
  readonly onRejected: (record: InputRecord, error: string) => Promise<void>;
  /** Called after each batch. */
  readonly onProgress?: (counts: RecordingCounts) => void;
}

export interface RecordingCounts {
  /** Events that are committed in the queue table. */
  readonly recorded: number;
  readonly rejected: number;
  /** Event type → how many good events of it were not recorded, since it is switched off. */
  readonly suppressed: ReadonlyMap<string, number>;
  /** Line of the last event that is recorded, rejected or suppressed, in the input under way; 0 before the first. */
  readonly line: number;
}

/** A good event on its way into the table. */
interface Accepted {
  readonly record: InputRecord;
  readonly row: Row;
  readonly ofStudio: boolean;
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
  const { switches } = options;
  const suppressed = new Map<string, number>();
  const counts = (): RecordingCounts => ({ recorded, rejected, suppressed, line });

  const reject = async (record: InputRecord, error: string): Promise<void> => {
    rejected += 1;
    await options.onRejected(record, error);
  };

  /** @returns whether the event is to be recorded; notes it when not. */
  const admits = ({ row, ofStudio }: Accepted): boolean => {
    const type = row.get('event_type') ?? '';
    if (switches === undefined || switches.isOn(type, ofStudio)) return true;
    suppressed.set(type, (suppressed.get(type) ?? 0) + 1);
    switches.count(type, ofStudio, 'suppressed');
    return false;
  };

  const store = async (batch: readonly InputRecord[]): Promise<void> => {
    await switches?.refresh();
    const accepted: Accepted[] = [];
    for (const record of batch) {
      const { problem, text } = record;
      const result = problem === undefined ? normalizer.normalize(text) : { ok: false as const, error: problem };
      if (!result.ok) await reject(record, result.error);
      else if (admits({ ...result, record })) accepted.push({ ...result, record });
    }
    const refusals = await insertRows(
      client,
      accepted.map(({ row }) => row),
    );
    recorded += accepted.length - refusals.length;
    const refused = new Map(refusals.map(({ at, error }) => [at, error]));
    for (const [at, { record, row, ofStudio }] of accepted.entries()) {
      const error = refused.get(at);
      if (error !== undefined) await reject(record, error);
      else switches?.count(row.get('event_type') ?? '', ofStudio, 'recorded');
    }
    // The batch is committed: where to go on is known, even if the counts cannot be written any more.
    line = batch.at(-1)?.line ?? line;
    await switches?.flush();
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
