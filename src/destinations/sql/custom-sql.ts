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
  const statement = driver.statement(config.pieces);
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
    const { shape } = event;
    checkShape(shape);
    return config.bindList.map((name) => {
      const at = shape.indexOf.get(name);
      return at === undefined
        ? driver.bind(null, 'text')
        : driver.bind(event.value(at), shape.columns[at]?.kind ?? 'text');
    });
  };

  return createSqlDelivery({
    ...options,
    config,
    transact: async (session, part) => {
      try {
        await session.executeEach(statement, part.map(bindRow));
      } catch (error) {
        const known = config.onConflict === 'accept' && part.length === 1;
        if (!known || driver.judge(error).verdict !== 'conflict') throw error;
      }
      return { ok: true };
    },
  });
}
