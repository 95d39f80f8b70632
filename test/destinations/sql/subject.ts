// What the tests of the SQL destinations share: a table on a server, and destinations that point to it.

import type { CustomSqlConfig, SqlInsertConfig } from '../../../src/config/config.ts';
import { createDestination } from '../../../src/destinations/create-destination.ts';
import type { Destination } from '../../../src/destinations/destination.ts';
import { createCustomSql } from '../../../src/destinations/sql/custom-sql.ts';
import { createMysqlDriver } from '../../../src/destinations/sql/mysql.ts';
import { createPostgresqlDriver } from '../../../src/destinations/sql/postgresql.ts';
import { createSqlInsert } from '../../../src/destinations/sql/sql-insert.ts';
import { createSqlServerDriver } from '../../../src/destinations/sql/sql-server.ts';
import { loadGood } from '../../config/config-file.ts';

/** A database that the tests may do anything to. */
export interface SqlWorld {
  readonly server: 'postgresql' | 'mysql';
  readonly url: string;
  query(sql: string): Promise<Record<string, unknown>[]>;
  /** A connection that can hold locks. */
  hold(sql: string): Promise<AsyncDisposable>;
}

export interface Warning {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface SqlDestination extends Destination, AsyncDisposable {
  readonly warnings: readonly Warning[];
}

/** Makes a destination as the configuration file would. */
export async function sqlDestination(
  settings: object,
  options: { readonly deadlineMs?: number } = {},
): Promise<SqlDestination> {
  const { routes } = await loadGood({
    event_destinations: [{ matches: { all: true }, destination: settings }],
  });
  const config = routes[0]?.destination as CustomSqlConfig | SqlInsertConfig; // what the caller asked for
  const warnings: Warning[] = [];
  const log = { warn: (fields: Warning['fields'], message: string) => warnings.push({ fields, message }) };
  const destination = create(config, log, options);
  return { ...destination, warnings, [Symbol.asyncDispose]: () => destination.close() };
}

function create(
  config: CustomSqlConfig | SqlInsertConfig,
  log: { warn(fields: object, message: string): void },
  { deadlineMs }: { readonly deadlineMs?: number },
): Destination {
  if (deadlineMs === undefined) {
    return createDestination(config, {
      config: { httpKeepAlive: 1, httpUserAgent: 'x', expandJsonColumns: [] },
      key: 'sql',
      logger: log as Parameters<typeof createDestination>[1]['logger'],
    });
  }
  const { target } = config;
  const driver = {
    mysql: () => createMysqlDriver(target, { strict: config.type === 'sql_insert' }),
    postgresql: () => createPostgresqlDriver(target),
    'sql-server': () => createSqlServerDriver(target),
  }[target.server]();
  const options = { driver, log: log as Parameters<typeof createDestination>[1]['logger'], deadlineMs };
  return config.type === 'custom_sql' ? createCustomSql(config, options) : createSqlInsert(config, options);
}

/** The seeds' table, as far as the sample events reach, with a key that tells events apart. */
export function tableSql(server: SqlWorld['server'], name = 'events', key = 'UNIQUE'): string {
  const [id, double] =
    server === 'mysql' ? ['BIGINT AUTO_INCREMENT PRIMARY KEY', 'DOUBLE'] : ['BIGSERIAL PRIMARY KEY', 'FLOAT8'];
  const quote = server === 'mysql' ? '`' : '"';
  return `CREATE TABLE ${name} (
    id ${id}, event_type VARCHAR(30), event_time INT, email VARCHAR(60), bounce_text TEXT, studio_is_unique BOOLEAN,
    ${quote}timestamp${quote} ${double}, headers TEXT, server_id VARCHAR(255), event_unique_id VARCHAR(255) ${key})`;
}
