// One row of the queue table on its way through the data path: PostgreSQL's own bytes beside the shape that names their
// columns. Nothing here is parsed or converted; whoever writes an event (line, JSON body, form) does that once.

import { encodeRow, knownTextOf, type RawValue, sizeOf, textOf } from './row-bytes.ts';

export type { RawValue } from './row-bytes.ts';

/** How a column's text is written as JSON: digits as they stand, `true`/`false`, or a string. */
export type ValueKind = 'integer' | 'double' | 'boolean' | 'text';

export interface Column {
  readonly name: string;
  readonly kind: ValueKind;
}

/** The columns of one queue table in table order, with the places that the data path asks for by name. -1 = no such column. */
export interface RowShape {
  readonly columns: readonly Column[];
  /** Column name → index into `columns`, and what `QueuedEvent.value` takes. */
  readonly indexOf: ReadonlyMap<string, number>;
  readonly idAt: number;
  readonly eventTypeAt: number;
  readonly eventTimeAt: number;
  readonly mailclassAt: number;
  readonly eventUniqueIdAt: number;
  readonly serverIdAt: number;
}

export class QueuedEvent {
  /** The row's `id`: decimal digits of a bigint, never a JavaScript number. */
  readonly id: string;
  readonly shape: RowShape;
  /** Octets of the row as it came: what buffers are bounded by. */
  readonly bytes: number;
  /** Where its columns stand, in the order of the shape: of a whole page until it is kept. */
  row: Buffer;
  /** Index of its first column's length in `row`. */
  at: number;
  #kept = false;
  #type: RawValue | undefined;

  /** @param row holds the columns of the shape from `at` on. */
  constructor(shape: RowShape, row: Buffer, at: number) {
    this.shape = shape;
    this.row = row;
    this.at = at;
    this.id = textOf(row, at, shape.idAt) ?? '';
    this.bytes = sizeOf(row, at, shape.columns.length);
  }

  /** The text of one column; null also where the table lacks it (-1). */
  value(column: number): RawValue {
    return column < 0 ? null : textOf(this.row, this.at, column);
  }

  get eventType(): RawValue {
    // Asked for by whoever counts, the log line and the router.
    if (this.#type === undefined) this.#type = knownTextOf(this.row, this.at, this.shape.eventTypeAt);
    return this.#type;
  }

  get mailclass(): RawValue {
    const { mailclassAt } = this.shape;
    return mailclassAt < 0 ? null : knownTextOf(this.row, this.at, mailclassAt);
  }

  /**
   * Takes its bytes out of the page that they came with, before it waits for a destination: one event that waits long
   * would hold megabytes otherwise.
   */
  keep(): void {
    if (this.#kept) return;
    const kept = keepBytes(this.row, this.at, this.bytes);
    this.row = kept.block;
    this.at = kept.at;
    this.#kept = true;
  }

  /** The same for one that goes on waiting: it holds no block either, in which others stood. */
  keepAlone(): void {
    if (this.row.length === this.bytes) return;
    const own = Buffer.allocUnsafeSlow(this.bytes);
    this.row.copy(own, 0, this.at, this.at + this.bytes);
    this.row = own;
    this.at = 0;
    this.#kept = true;
  }

  /** Its page is used for others from now on. */
  forget(): void {
    this.row = FORGOTTEN;
  }
}

/** Kept rows stand one behind the other in blocks: to make a buffer for each takes longer than to copy it. */
const BLOCK_BYTES = 32 * 1024;
let block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
let used = 0;

function keepBytes(row: Buffer, at: number, bytes: number): { readonly block: Buffer; readonly at: number } {
  if (bytes > BLOCK_BYTES / 8) return { block: Buffer.from(row.subarray(at, at + bytes)), at: 0 };
  if (used + bytes > BLOCK_BYTES) {
    block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    used = 0;
  }
  const place = used;
  used += row.copy(block, place, at, at + bytes);
  return { block, at: place };
}

/** To read another event's bytes in the place of one's own must not go unnoticed. */
const FORGOTTEN: Buffer = new Proxy(Buffer.alloc(0), {
  get() {
    throw new Error('a row was read after its page was given back');
  },
});

/** Makes an event of values that did not come from PostgreSQL as bytes, in the order of the shape's columns. */
export const createEvent = (shape: RowShape, values: readonly RawValue[]): QueuedEvent =>
  new QueuedEvent(shape, encodeRow(values.slice(0, shape.columns.length)), 0);

/**
 * Builds the shape of a row from its columns.
 *
 * @throws {Error} when `id` or `event_type` is missing; the caller checks the catalog first and says it better.
 */
export function createRowShape(columns: readonly Column[]): RowShape {
  const indexOf = new Map(columns.map((column, at) => [column.name, at]));
  const at = (name: string): number => indexOf.get(name) ?? -1;
  if (at('id') < 0 || at('event_type') < 0) throw new Error('a row shape needs the columns id and event_type');
  return {
    columns,
    indexOf,
    idAt: at('id'),
    eventTypeAt: at('event_type'),
    eventTimeAt: at('event_time'),
    mailclassAt: at('mailclass'),
    eventUniqueIdAt: at('event_unique_id'),
    serverIdAt: at('server_id'),
  };
}
