// From the configuration's `destination` to the driver that serves it: the one place that knows all drivers.

import type { Config, CustomSqlConfig, DestinationConfig, SqlInsertConfig } from '../config/config.ts';
import type { Logger } from '../lib/logger.ts';
import type { Destination } from './destination.ts';
import { createDropFromQueue } from './drop-from-queue.ts';
import { createHttpPost } from './http-post.ts';
import { createLeaveInQueue } from './leave-in-queue.ts';
import { createCustomSql } from './sql/custom-sql.ts';
import type { SqlDriver } from './sql/driver.ts';
import { createMysqlDriver } from './sql/mysql.ts';
import { createPostgresqlDriver } from './sql/postgresql.ts';
import { createSqlInsert } from './sql/sql-insert.ts';
import { createSqlServerDriver } from './sql/sql-server.ts';

/** What a driver needs besides its own settings. */
export interface CreateOptions {
  readonly config: Pick<Config, 'httpKeepAlive' | 'httpUserAgent' | 'expandJsonColumns'>;
  /** What the destination is called. */
  readonly key: string;
  readonly logger: Logger;
}

/**
 * Creates the driver of one destination. Nothing is opened before the first delivery.
 *
 * @throws {TailraceError} CONFIG_INVALID when the URL is not one; the configuration's loader has said it better before.
 */
export function createDestination(destination: DestinationConfig, { config, key, logger }: CreateOptions): Destination {
  switch (destination.type) {
    case 'http_post':
      return createHttpPost(destination, {
        ...config,
        onGone: (error) =>
          logger.error(
            { destination: key, error },
            'a destination says that its address is gone for good; its events wait until you change or remove it',
          ),
      });
    case 'custom_sql':
      return createCustomSql(destination, { driver: sqlDriver(destination), log: logger });
    case 'sql_insert':
      return createSqlInsert(destination, { driver: sqlDriver(destination), log: logger });
    case 'drop_from_queue':
      return createDropFromQueue();
    case 'leave_in_queue':
      return createLeaveInQueue();
    default:
      return unknown(destination);
  }
}

function sqlDriver({ type, target }: CustomSqlConfig | SqlInsertConfig): SqlDriver {
  switch (target.server) {
    case 'postgresql':
      return createPostgresqlDriver(target);
    case 'mysql':
      // What a statement of the user's own relies on is the server's business.
      return createMysqlDriver(target, { strict: type === 'sql_insert' });
    case 'sql-server':
      return createSqlServerDriver(target);
    default:
      return target.server satisfies never;
  }
}

function unknown(destination: never): never {
  throw new Error(`no driver for the destination ${JSON.stringify(destination)}`);
}
