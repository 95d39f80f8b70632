// Which columns an event fills in a table of another database, and with what: worked out from the two tables alone, so
// that `tailrace explain` shows the INSERT that a delivery sends.

import type { SqlInsertConfig } from '../../config/config.ts';
import type { QueuedEvent, RowShape } from '../../event/event.ts';
import {
  type BoundRow,
  EVENT_UNIQUE_ID,
  type Insertion,
  isKeyOfEvents,
  type RemoteColumn,
  type RemoteTable,
  type SqlDriver,
} from './driver.ts';
import { SqlRefusal } from './sql-delivery.ts';

/** Of the row, not of the event: `id` is the remote table's own, `processed` is our mark. Filled only when named. */
const ONLY_WHEN_NAMED = new Set(['id', 'processed']);
/** Says nothing about the event: nobody misses it. */
const OF_THE_QUEUE = 'destination_id';

export interface PlannedInsertion {
  readonly insertion: Insertion;
  /** Columns of the events that the remote table has not. */
  readonly lacking: readonly string[];
  /** The remote table tells events apart by their event_unique_id, and it is among the columns. */
  readonly hasKey: boolean;
}

/** The columns of the events that are wanted: those that the configuration names, else all but the row's own. */
export function wantedColumns({ columns }: SqlInsertConfig, shapes: readonly RowShape[]): readonly string[] {
  return [...new Set(columns ?? shapes.flatMap(namesOf))];
}

/**
 * Holds the columns of the events against those of the remote table.
 *
 * @throws {SqlRefusal} when it lacks one that the configuration names, or has none of them.
 */
export function planInsertion(
  config: SqlInsertConfig,
  table: RemoteTable,
  shapes: readonly RowShape[],
): PlannedInsertion {
  const name = config.table.join('.');
  const byName = new Map(table.columns.map((column) => [column.name.toLowerCase(), column]));
  const columns: RemoteColumn[] = [];
  const lacking: string[] = [];
  for (const wanted of wantedColumns(config, shapes)) {
    // MySQL and SQL Server compare names without case; PostgreSQL's queue columns are lower case anyway.
    const column = byName.get(wanted.toLowerCase());
    if (column) columns.push(column);
    else if (config.columns || wanted !== OF_THE_QUEUE) lacking.push(wanted);
  }
  if (lacking.length > 0 && config.columns) {
    throw new SqlRefusal(`the table ${name} has no column ${lacking.join(', ')}, which "columns" names`);
  }
  if (columns.length === 0) throw new SqlRefusal(`the table ${name} has none of the event columns`);
  const hasKey = table.uniqueKeys.some(isKeyOfEvents) && columns.some(isEventUniqueId);
  return { insertion: { table, columns, skipKnown: hasKey && config.onConflict === 'accept' }, lacking, hasKey };
}

/** The values of an event for these columns. */
export function bindToColumns(
  driver: Pick<SqlDriver, 'bind'>,
  event: QueuedEvent,
  columns: readonly RemoteColumn[],
): BoundRow {
  const { shape } = event;
  return columns.map((column) => {
    const at = shape.indexOf.get(column.name) ?? shape.indexOf.get(column.name.toLowerCase()) ?? -1;
    return driver.bind(event.value(at), shape.columns[at]?.kind ?? 'text', column);
  });
}

/** Whether it is the column that tells events apart. */
export function isEventUniqueId({ name }: RemoteColumn): boolean {
  return name.toLowerCase() === EVENT_UNIQUE_ID;
}

function namesOf({ columns }: RowShape): string[] {
  return columns.map(({ name }) => name).filter((name) => !ONLY_WHEN_NAMED.has(name));
}
