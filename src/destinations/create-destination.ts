// From the configuration's `destination` to the driver that serves it: the one place that knows all drivers.

import type { Config, DestinationConfig } from '../config/config.ts';
import type { Logger } from '../lib/logger.ts';
import type { Destination } from './destination.ts';
import { createDropFromQueue } from './drop-from-queue.ts';
import { createHttpPost } from './http-post.ts';
import { createLeaveInQueue } from './leave-in-queue.ts';
import { createSqlDriver } from './sql/create-driver.ts';
import { createCustomSql } from './sql/custom-sql.ts';
import { createSqlInsert } from './sql/sql-insert.ts';

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
      return createCustomSql(destination, { driver: createSqlDriver(destination), log: logger });
    case 'sql_insert':
      return createSqlInsert(destination, { driver: createSqlDriver(destination), log: logger });
    case 'drop_from_queue':
      return createDropFromQueue();
    case 'leave_in_queue':
      return createLeaveInQueue();
    default:
      return unknown(destination);
  }
}

function unknown(destination: never): never {
  throw new Error(`no driver for the destination ${JSON.stringify(destination)}`);
}
