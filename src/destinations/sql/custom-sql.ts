// The destination that runs an SQL statement for each event (SPEC 6): parameters only, one transaction a batch.

import type { CustomSqlConfig } from '../../config/config.ts';
import { describeSqlTarget } from '../../config/identity.ts';
import type { QueuedEvent, RowShape } from '../../event/event.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Destination } from '../destination.ts';
import type { BoundRow, SqlDriver } from './driver.ts';
import { createSqlDelivery } from './sql-delivery.ts';

export interface SqlDestinationOptions {
  readonly driver: SqlDriver;
  readonly log: Pick<Logger, 'warn'>;
  /** Of one transaction; default 30 s. */
  readonly deadlineMs?: number;
}

/** Creates the driver of one `custom_sql` destination. Nothing is opened before the first delivery. */
export function createCustomSql(config: CustomSqlConfig, options: SqlDestinationOptions): Destination {
  const { driver, log } = options;
  const { sql, bind } = bindStatement(config, driver);
  const missing = new Set<string>();

  /** Says once of a column that this queue table has it not: it is bound as NULL. */
  const checkShape = (shape: RowShape): void => {
    const absent = config.bindList.filter((name) => !shape.indexOf.has(name) && !missing.has(name));
    if (absent.length === 0) return;
    for (const name of absent) missing.add(name);
    log.warn(
      { destination: describeSqlTarget(config.target), columns: absent },
      'the queue table lacks columns that a destination binds; they are NULL',
    );
  };

  const bindRow = (event: QueuedEvent): BoundRow => {
    checkShape(event.shape);
    return bind(event);
  };

  return createSqlDelivery({
    ...options,
    config,
    transact: async (session, part) => {
      try {
        await session.executeEach(sql, part.map(bindRow));
      } catch (error) {
        const known = config.onConflict === 'accept' && part.length === 1;
        if (!known || driver.judge(error).verdict !== 'conflict') throw error;
      }
      return { ok: true };
    },
  });
}

/** The statement as its server gets it, and the values of its placeholders for an event; a column that the row lacks is NULL. */
export function bindStatement(
  { pieces, bindList }: CustomSqlConfig,
  driver: SqlDriver,
): { readonly sql: string; readonly bind: (event: QueuedEvent) => BoundRow } {
  return {
    sql: driver.statement(pieces),
    bind: (event) =>
      bindList.map((name) => {
        const at = event.shape.indexOf.get(name) ?? -1;
        return driver.bind(event.value(at), event.shape.columns[at]?.kind ?? 'text');
      }),
  };
}
