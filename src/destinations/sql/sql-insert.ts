// The destination that adds each event as a row to a table of another database: the seeds' "Queue Table in Remote
// Database". It fills the columns that both tables have; what the remote one has is read from its catalog on first use,
// and again when the server says that it has changed.

import type { SqlInsertConfig } from '../../config/config.ts';
import { describeSqlTarget } from '../../config/identity.ts';
import type { QueuedEvent, RowShape } from '../../event/event.ts';
import type { DeliveryResult, Destination } from '../destination.ts';
import type { SqlDestinationOptions } from './custom-sql.ts';
import {
  type BoundRow,
  EVENT_UNIQUE_ID,
  type Insertion,
  isKeyOfEvents,
  type RemoteColumn,
  type RemoteTable,
  type SqlSession,
} from './driver.ts';
import { createSqlDelivery, SqlRefusal } from './sql-delivery.ts';

/** Of the row, not of the event: `id` is the remote table's own, `processed` is our mark. Filled only when named. */
const ONLY_WHEN_NAMED = new Set(['id', 'processed']);
/** Says nothing about the event: nobody misses it. */
const OF_THE_QUEUE = 'destination_id';

/** Creates the driver of one `sql_insert` destination. Nothing is opened before the first delivery. */
export function createSqlInsert(config: SqlInsertConfig, options: SqlDestinationOptions): Destination {
  const { driver, log } = options;
  const place = { destination: describeSqlTarget(config.target), table: config.table.join('.') };
  const said = new Set<string>();
  let remote: RemoteTable | null = null;

  const tableOf = async (session: SqlSession): Promise<RemoteTable> => {
    remote ??= await session.readTable(config.table);
    if (remote === null) {
      throw new SqlRefusal(`there is no table ${place.table} that this user may see; create it or correct "table"`);
    }
    return remote;
  };

  const sayOnce = (key: string, say: () => void): void => {
    if (!said.has(key)) say();
    said.add(key);
  };

  const insertionOf = (table: RemoteTable, shapes: readonly RowShape[]): Insertion => {
    const wanted = [...new Set(config.columns ?? shapes.flatMap(namesOf))];
    const byName = new Map(table.columns.map((column) => [column.name.toLowerCase(), column]));
    const columns: RemoteColumn[] = [];
    const lacking: string[] = [];
    for (const name of wanted) {
      // MySQL and SQL Server compare names without case; PostgreSQL's queue columns are lower case anyway.
      const column = byName.get(name.toLowerCase());
      if (column) columns.push(column);
      else if (config.columns || name !== OF_THE_QUEUE) lacking.push(name);
    }
    if (lacking.length > 0 && config.columns) {
      throw new SqlRefusal(`the table ${place.table} has no column ${lacking.join(', ')}, which "columns" names`);
    }
    if (columns.length === 0) throw new SqlRefusal(`the table ${place.table} has none of the event columns`);
    if (lacking.length > 0) {
      sayOnce(`lacking ${lacking.join(' ')}`, () =>
        log.warn({ ...place, columns: lacking }, 'the remote table lacks event columns; they are not delivered to it'),
      );
    }
    const hasKey = table.uniqueKeys.some(isKeyOfEvents) && columns.some(isEventUniqueId);
    if (!hasKey && config.onConflict === 'accept') {
      sayOnce('key', () =>
        log.warn(place, 'the remote table has no unique key on event_unique_id; a repeated delivery adds a second row'),
      );
    }
    return { table, columns, skipKnown: hasKey && config.onConflict === 'accept' };
  };

  const bindRow = (event: QueuedEvent, columns: readonly RemoteColumn[]): BoundRow =>
    columns.map((column) => {
      const { shape } = event;
      const at = shape.indexOf.get(column.name) ?? shape.indexOf.get(column.name.toLowerCase()) ?? -1;
      return driver.bind(event.value(at), shape.columns[at]?.kind ?? 'text', column);
    });

  const transact = async (session: SqlSession, part: readonly QueuedEvent[]): Promise<DeliveryResult> => {
    const shapes = [...new Set(part.map(({ shape }) => shape))];
    const insertion = insertionOf(await tableOf(session), shapes);
    const rows = part.map((event) => bindRow(event, insertion.columns));
    try {
      await session.insert(insertion, rows);
    } catch (error) {
      const { verdict, outdated } = driver.judge(error);
      if (outdated) remote = null;
      // Which key it was the server does not say in a form to rely on: a row with the same event_unique_id is the event.
      const known = verdict === 'conflict' && insertion.skipKnown && part.length === 1;
      const id = rows[0]?.[insertion.columns.findIndex(isEventUniqueId)] ?? null;
      if (!known || id === null || !(await session.has(insertion.table, id))) throw error;
    }
    return { ok: true };
  };

  return createSqlDelivery({ ...options, config, transact });
}

function namesOf({ columns }: RowShape): string[] {
  return columns.map(({ name }) => name).filter((name) => !ONLY_WHEN_NAMED.has(name));
}

function isEventUniqueId({ name }: RemoteColumn): boolean {
  return name.toLowerCase() === EVENT_UNIQUE_ID;
}
