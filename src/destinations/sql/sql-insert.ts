// The destination that adds each event as a row to a table of another database: the seeds' "Queue Table in Remote
// Database". It fills the columns that both tables have; what the remote one has is read from its catalog on first use,
// and again when the server says that it has changed.

import type { SqlInsertConfig } from '../../config/config.ts';
import { describeSqlTarget } from '../../config/identity.ts';
import type { QueuedEvent, RowShape } from '../../event/event.ts';
import type { DeliveryResult, Destination } from '../destination.ts';
import type { SqlDestinationOptions } from './custom-sql.ts';
import type { Insertion, RemoteTable, SqlSession } from './driver.ts';
import { bindToColumns, isEventUniqueId, planInsertion } from './insertion.ts';
import { createSqlDelivery, SqlRefusal } from './sql-delivery.ts';

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
    const { insertion, lacking, hasKey } = planInsertion(config, table, shapes);
    if (lacking.length > 0) {
      sayOnce(`lacking ${lacking.join(' ')}`, () =>
        log.warn({ ...place, columns: lacking }, 'the remote table lacks event columns; they are not delivered to it'),
      );
    }
    if (!hasKey && config.onConflict === 'accept') {
      sayOnce('key', () =>
        log.warn(place, 'the remote table has no unique key on event_unique_id; a repeated delivery adds a second row'),
      );
    }
    return insertion;
  };

  const transact = async (session: SqlSession, part: readonly QueuedEvent[]): Promise<DeliveryResult> => {
    const shapes = [...new Set(part.map(({ shape }) => shape))];
    const insertion = insertionOf(await tableOf(session), shapes);
    const rows = part.map((event) => bindToColumns(driver, event, insertion.columns));
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
