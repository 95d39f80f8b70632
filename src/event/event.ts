// One row of the queue table on its way through the data path: raw PostgreSQL text values beside the shape that
// names them. Nothing here is parsed or converted; whoever writes an event (line, JSON body, form) does that once.

/** How a column's text is written as JSON: digits as they stand, `true`/`false`, or a string. */
export type ValueKind = 'integer' | 'double' | 'boolean' | 'text';

export interface Column {
  readonly name: string;
  readonly kind: ValueKind;
}

/** The columns of one queue table in table order, with the places that the data path asks for by name. -1 = no such column. */
export interface RowShape {
  readonly columns: readonly Column[];
  /** Column name → index into `columns` and `QueuedEvent.values`. */
  readonly indexOf: ReadonlyMap<string, number>;
  readonly idAt: number;
  readonly eventTypeAt: number;
  readonly eventTimeAt: number;
  readonly mailclassAt: number;
  readonly eventUniqueIdAt: number;
  readonly serverIdAt: number;
}

/** PostgreSQL's text output of a column, or null. `true`/`false` arrive as `t`/`f`. */
export type RawValue = string | null;

export interface QueuedEvent {
  /** The row's `id`: decimal digits of a bigint, never a JavaScript number. */
  readonly id: string;
  readonly shape: RowShape;
  /** The values of `shape.columns`, in that order; what a query returned behind them is nobody's. */
  readonly values: readonly RawValue[];
  /** Octets of the row's text in PostgreSQL: what buffers are bounded by. */
  readonly bytes: number;
}

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
