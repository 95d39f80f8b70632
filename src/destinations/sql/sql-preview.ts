// The statement that an SQL destination would run for an event. A `custom_sql` is known without asking anybody; the INSERT
// of an `sql_insert` depends on what columns the remote table has, and that is looked up only when it is asked for.

import type { CustomSqlConfig, SqlInsertConfig } from '../../config/config.ts';
import type { QueuedEvent } from '../../event/event.ts';
import type { Previewer, StatementPreview } from '../preview.ts';
import { bindStatement } from './custom-sql.ts';
import type { BoundRow, RemoteTable, SqlDriver } from './driver.ts';
import { bindToColumns, planInsertion, wantedColumns } from './insertion.ts';
import { describeServer, describeSqlErrors } from './sql-delivery.ts';

/** For connecting and the look at the catalog. */
const LOOK_DEADLINE_MS = 10_000;

export interface SqlPreviewOptions {
  readonly driver: SqlDriver;
  /** Connects to the remote database and reads its catalog, nothing else. */
  readonly look: boolean;
}

/** Creates what previews the statements of one `custom_sql` destination. */
export function createCustomSqlPreview(config: CustomSqlConfig, { driver }: SqlPreviewOptions): Previewer {
  const { sql, bind } = bindStatement(config, driver);
  return async (event) => ({
    ...head(config, driver),
    sql,
    table: null,
    parameters: parametersOf(driver, config.bindList, bind(event)),
    notes: config.bindList
      .filter((name) => !event.shape.indexOf.has(name))
      .map((name) => `the event has no column ${name}: it is NULL`),
  });
}

/** Creates what previews the INSERTs of one `sql_insert` destination. */
export function createSqlInsertPreview(config: SqlInsertConfig, { driver, look }: SqlPreviewOptions): Previewer {
  const describe = describeSqlErrors({ config, driver });
  let remote: Promise<RemoteTable | null> | null = null;
  return async (event) => {
    if (!look) return unseen(config, driver, event, ['which of these columns the remote table has is not looked up']);
    remote ??= readRemote(config, driver);
    try {
      const table = await remote;
      if (table === null) return unseen(config, driver, event, ['there is no such table that this user may see']);
      return seen(config, driver, event, table);
    } catch (error) {
      return unseen(config, driver, event, [`it would fail now: ${describe(error).error}`]);
    }
  };
}

async function readRemote(config: SqlInsertConfig, driver: SqlDriver): Promise<RemoteTable | null> {
  const deadline = AbortSignal.timeout(LOOK_DEADLINE_MS);
  const late = new Promise<never>((_, reject) => {
    deadline.addEventListener('abort', () => reject(new Error(`no answer within ${LOOK_DEADLINE_MS / 1000} s`)));
  });
  const session = await Promise.race([driver.connect(deadline), late]);
  try {
    return await Promise.race([session.readTable(config.table), late]);
  } finally {
    session.destroy();
  }
}

function seen(config: SqlInsertConfig, driver: SqlDriver, event: QueuedEvent, table: RemoteTable): StatementPreview {
  const { insertion, lacking, hasKey } = planInsertion(config, table, [event.shape]);
  const row = bindToColumns(driver, event, insertion.columns);
  const names = insertion.columns.map(({ name }) => name);
  const lost = lacking.filter((name) => event.value(event.shape.indexOf.get(name) ?? -1) !== null);
  return {
    ...head(config, driver),
    sql: driver.insertStatement(insertion, [row]).sql,
    table: config.table.join('.'),
    parameters: parametersOf(driver, names, row),
    notes: [
      ...(lost.length > 0 ? [`the remote table has no column for ${lost.join(', ')}: not delivered to it`] : []),
      ...(hasKey
        ? []
        : ['the remote table has no unique key on event_unique_id: a repeated delivery adds a second row']),
    ],
  };
}

/** As far as it is known without the remote table. */
function unseen(
  config: SqlInsertConfig,
  driver: SqlDriver,
  event: QueuedEvent,
  notes: readonly string[],
): StatementPreview {
  const names = wantedColumns(config, [event.shape]);
  const columns = names.map((name) => ({ name, type: '', automatic: false }));
  const row = bindToColumns(driver, event, columns);
  return {
    ...head(config, driver),
    sql: null,
    table: config.table.join('.'),
    parameters: parametersOf(driver, names, row),
    notes,
  };
}

const head = (config: CustomSqlConfig | SqlInsertConfig, driver: SqlDriver) =>
  ({ kind: 'statement', server: describeServer({ config, driver }) }) as const;

const parametersOf = (driver: SqlDriver, names: readonly string[], row: BoundRow): StatementPreview['parameters'] =>
  names.map((column, at) => ({ column, value: driver.textOf(row[at] ?? null) }));
