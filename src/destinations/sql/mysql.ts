// SQL destinations on MySQL and MariaDB: prepared statements over the binary protocol. The server knows no pipelining, so
// a batch of `custom_sql` is a round trip an event inside one transaction; `sql_insert` sends rows by the hundred.

import { isIP } from 'node:net';
import { checkServerIdentity, type TLSSocket } from 'node:tls';
import type { Connection, QueryError } from 'mysql2';
import type { SqlTarget } from '../../config/config.ts';
import type { RawValue, ValueKind } from '../../event/event.ts';
import { messageOf } from '../../lib/errors.ts';
import {
  type BoundRow,
  type BoundStatement,
  type BoundValue,
  EVENT_UNIQUE_ID,
  type Insertion,
  isKeyOfEvents,
  type RemoteTable,
  type SqlDriver,
  type SqlFault,
  type SqlSession,
} from './driver.ts';
import { readTlsOptions } from './tls-options.ts';

/** Rows of one INSERT; a statement has at most 65,535 placeholders. */
const MAX_ROWS = 100;
const MAX_PLACEHOLDERS = 65_535;
/** Each number of rows is a statement of its own, and each is prepared once a connection. */
const MAX_PREPARED = 20;

/** Below the deadline of a transaction. */
const LOCK_WAIT_SECONDS = 25;
const STRICT = ", SESSION sql_mode = CONCAT_WS(',', NULLIF(@@SESSION.sql_mode, ''), 'STRICT_ALL_TABLES')";

const COLUMNS_SQL = `
  SELECT COLUMN_NAME, DATA_TYPE, EXTRA FROM information_schema.COLUMNS
  WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`;

const KEYS_SQL = `
  SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS
  WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX`;

/**
 * Creates the driver for MySQL and MariaDB.
 *
 * @param options.strict a value that does not fit is refused whatever the server's default, which may be to cut it off.
 */
export function createMysqlDriver(target: SqlTarget, options: { readonly strict: boolean }): SqlDriver {
  return {
    title: 'MySQL',
    connect: (stop) => connect(target, options.strict, stop),
    statement: (pieces) => pieces.join('?'),
    insertStatement,
    bind,
    textOf: (value) => (value === null ? null : String(value)),
    judge,
  };
}

/** Exact integers as BIGINT, so that a comparison is not one of doubles; everything else as the text it is. */
function bind(raw: RawValue, kind: ValueKind): BoundValue {
  if (raw === null) return null;
  if (kind === 'boolean') return raw === 't' ? 1n : 0n;
  return kind === 'integer' ? BigInt(raw) : raw;
}

async function connect(target: SqlTarget, strict: boolean, stop: AbortSignal): Promise<SqlSession> {
  const [{ default: mysql }, tls] = await Promise.all([import('mysql2'), target.tls && readTlsOptions(target.tls)]);
  stop.throwIfAborted();
  const connection = mysql.createConnection({
    ...(target.socket === null ? { host: target.host ?? '', port: target.port } : { socketPath: target.socket }),
    user: target.username.reveal(),
    ...(target.password && { password: target.password.reveal() }),
    database: target.database,
    charset: 'utf8mb4',
    ...(tls && { ssl: { ...tls, verifyIdentity: target.tls?.verify === 'full' && !isAddress(target) } }),
    maxPreparedStatements: MAX_PREPARED,
    rowsAsArray: true,
    // `stop` is the deadline.
    connectTimeout: 0,
  });
  let lost = false;
  const lose = (): void => {
    lost = true;
  };
  connection.on('error', lose);
  connection.on('end', lose);
  const drop = (): void => {
    lost = true;
    connection.destroy();
  };
  await new Promise<void>((resolve, reject) => {
    const onStop = (): void => reject(stop.reason);
    stop.addEventListener('abort', onStop, { once: true });
    connection.connect((error) => {
      stop.removeEventListener('abort', onStop);
      if (error) reject(error);
      else resolve();
    });
  }).catch((error) => {
    drop();
    throw error;
  });
  if (target.tls?.verify === 'full' && isAddress(target)) {
    const mismatch = checkAddress(connection, target);
    if (mismatch) {
      drop();
      throw mismatch;
    }
  }
  const session = createSession(connection, mysql.TypedParameter.BIGINT, { isLost: () => lost, drop });
  try {
    await session.prepare(strict);
  } catch (error) {
    drop();
    throw error;
  }
  return session;
}

function isAddress({ host }: SqlTarget): boolean {
  return host !== null && isIP(host) > 0;
}

/** mysql2 holds every certificate of a bare address against `localhost`, so it is told to trust the authority, and the rest is here. */
function checkAddress(connection: Connection, { host }: SqlTarget): Error | undefined {
  // The socket is in mysql2's object, not in its types.
  const { stream } = connection as unknown as { readonly stream: TLSSocket };
  return checkServerIdentity(host ?? '', stream.getPeerCertificate());
}

interface Line {
  readonly isLost: () => boolean;
  readonly drop: () => void;
}

type Row = readonly unknown[];

function createSession(connection: Connection, bigint: (value: bigint) => unknown, { isLost, drop }: Line) {
  /** Before its socket says that it is gone a connection may refuse everything, and would be lent again and again. */
  const failed = (error: QueryError, reject: (error: QueryError) => void): void => {
    if (error.fatal) drop();
    reject(error);
  };
  const query = (sql: string): Promise<void> =>
    new Promise((resolve, reject) => {
      connection.query(sql, (error) => (error ? failed(error, reject) : resolve()));
    });
  const execute = (sql: string, values: BoundRow): Promise<readonly Row[]> =>
    new Promise((resolve, reject) => {
      // Typed values of mysql2 are not in the types of `execute`.
      const typed = values.map((value) => (typeof value === 'bigint' ? bigint(value) : value)) as (string | null)[];
      connection.execute(sql, typed, (error, rows) =>
        error ? failed(error, reject) : resolve(rows as unknown as Row[]),
      );
    });
  /** One after the other: what stood behind a failed statement would run all the same, after a deadlock even outside. */
  const inTransaction = async (work: () => Promise<void>): Promise<void> => {
    await query('START TRANSACTION');
    try {
      await work();
      await query('COMMIT');
    } catch (error) {
      // A failed COMMIT too; when the connection is gone, so is the transaction.
      await query('ROLLBACK').catch(drop);
      throw error;
    }
  };

  return {
    get usable() {
      return !isLost();
    },
    /** The server gives up waiting before we do: nobody tells it that a connection was dropped. */
    prepare: (strict: boolean) =>
      query(
        `SET SESSION innodb_lock_wait_timeout = ${LOCK_WAIT_SECONDS}, SESSION lock_wait_timeout = ${LOCK_WAIT_SECONDS}${strict ? STRICT : ''}`,
      ),
    executeEach: (sql, rows) =>
      inTransaction(async () => {
        for (const row of rows) await execute(sql, row);
      }),
    insert: (insertion, rows) =>
      inTransaction(async () => {
        const most = Math.min(MAX_ROWS, Math.floor(MAX_PLACEHOLDERS / insertion.columns.length));
        for (let at = 0; at < rows.length; at += most) {
          const some = rows.slice(at, at + most);
          const { sql, values } = insertStatement(insertion, some);
          await execute(sql, values);
        }
      }),
    async readTable(parts): Promise<RemoteTable | null> {
      const where = [parts.length > 1 ? (parts[0] ?? null) : null, parts.at(-1) ?? ''];
      const columns = await execute(COLUMNS_SQL, where);
      if (columns.length === 0) return null;
      const keys = new Map<string, string[]>();
      for (const [key, column] of await execute(KEYS_SQL, where)) {
        keys.set(String(key), [...(keys.get(String(key)) ?? []), String(column)]);
      }
      return {
        name: parts.map(quote).join('.'),
        columns: columns
          .filter(([, , extra]) => !/(?:VIRTUAL|STORED|PERSISTENT)/i.test(String(extra)))
          .map(([name, type, extra]) => ({
            name: String(name),
            type: String(type),
            automatic: /auto_increment/i.test(String(extra)),
          })),
        uniqueKeys: [...keys.values()].map((names) => ({ columns: names, predicate: null })),
      };
    },
    has: async (table, id) =>
      (await execute(`SELECT 1 FROM ${table.name} WHERE ${EVENT_UNIQUE_ID} = ? LIMIT 1`, [id])).length > 0,
    destroy: drop,
    close: () => new Promise<void>((resolve) => connection.end(() => resolve())),
  } satisfies SqlSession & { readonly prepare: (strict: boolean) => Promise<void> };
}

const quote = (name: string): string => `\`${name.replaceAll('`', '``')}\``;

const insertStatement = (insertion: Insertion, rows: readonly BoundRow[]): BoundStatement => ({
  sql: insertSql(insertion, rows.length),
  values: rows.flat(),
});

function insertSql({ table, columns, skipKnown }: Insertion, rows: number): string {
  const names = columns.map(({ name }) => quote(name));
  const row = `(${columns.map(() => '?').join(',')})`;
  // Not INSERT IGNORE, which makes warnings of values that do not fit. It passes over a conflict with any key, so it is
  // only for tables on which no other key can be in conflict.
  const id = quote(columns.find(({ name }) => name.toLowerCase() === EVENT_UNIQUE_ID)?.name ?? EVENT_UNIQUE_ID);
  const skip = skipKnown && !hasOtherKey(table, columns) ? ` ON DUPLICATE KEY UPDATE ${id} = ${id}` : '';
  return `INSERT INTO ${table.name} (${names.join(',')}) VALUES ${new Array(rows).fill(row).join(',')}${skip}`;
}

/** A unique key besides that of the events, and not over a number that the server counts up itself. */
function hasOtherKey(table: RemoteTable, columns: Insertion['columns']): boolean {
  const counted = new Set(
    table.columns.filter((column) => column.automatic && !columns.includes(column)).map(({ name }) => name),
  );
  return table.uniqueKeys.some((key) => !isKeyOfEvents(key) && !key.columns.every((name) => counted.has(name)));
}

/** A unique key has it already: the three errors that say so. */
const CONFLICTS = new Set([1062, 1169, 1586]);
/**
 * About the data though their SQLSTATE does not say so: cut off, not of the type, too long, not in a partition, a packet
 * above the server's limit (a smaller part of the batch may pass), not JSON, a CHECK of MariaDB, no such point.
 */
const OF_THE_EVENT = new Set([
  1048, 1153, 1172, 1242, 1264, 1265, 1292, 1300, 1301, 1366, 1367, 1406, 1411, 1416, 1452, 1525, 1526, 1690, 3140,
  3141, 3143, 3144, 3146, 3819, 4025, 4038, 4078,
]);
/** `Column is ambiguous` has the class of integrity errors, and is about the statement. */
const OF_THE_STATEMENT = new Set([1052, 1058, 1136]);
/** No such column, no such table. */
const OUTDATED = new Set([1054, 1146, 1136]);

function judge(error: unknown): SqlFault {
  const { errno, sqlState, code } = error as Partial<QueryError>; // an own error has none of them
  const fromServer = typeof errno === 'number' && errno > 0 && typeof sqlState === 'string' && sqlState !== '';
  const message = messageOf(error);
  if (!fromServer) return { verdict: 'destination', message, ...(code !== undefined && { status: code }) };
  const ofTheEvent = OF_THE_EVENT.has(errno) || (/^(?:22|23|45)/.test(sqlState) && !OF_THE_STATEMENT.has(errno));
  return {
    verdict: CONFLICTS.has(errno) ? 'conflict' : ofTheEvent ? 'event' : 'destination',
    status: errno,
    message,
    outdated: OUTDATED.has(errno),
  };
}
