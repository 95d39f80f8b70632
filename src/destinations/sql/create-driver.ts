// From the target of an SQL destination to the driver of its server.

import type { CustomSqlConfig, SqlInsertConfig } from '../../config/config.ts';
import type { SqlDriver } from './driver.ts';
import { createMysqlDriver } from './mysql.ts';
import { createPostgresqlDriver } from './postgresql.ts';
import { createSqlServerDriver } from './sql-server.ts';

/** Creates the driver of an SQL destination; no library of a server is loaded before the first connection. */
export function createSqlDriver({ type, target }: CustomSqlConfig | SqlInsertConfig): SqlDriver {
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
