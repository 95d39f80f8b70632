// SQL destinations on MySQL and MariaDB: prepared statements over the binary protocol. A batch of `custom_sql` is one
// transaction: on MariaDB a pipeline, on MySQL, which does not promise to bear that, a round trip for each event.
// `sql_insert` sends rows by the hundred.

import type { PrepareStatementInfo, QueryError } from 'mysql2';
import type { SqlTarget } from '../../config/config.ts';
import type { RawValue, ValueKind } from '../../event/event.ts';
import {
  type BoundRow,
  type BoundStatement,
  type BoundValue,
  EVENT_UNIQUE_ID,
  type Insertion,
  isKeyOfEvents,
  type RemoteTable,
  type SqlDriver,
  type SqlSession,
} from './driver.ts';
import { killMysql, type MysqlLine, type MysqlProcess, openMysql } from './mysql-connection.ts';
import { judgeMysqlError } from './mysql-errors.ts';
import {
  canBePipelined,
  createPipelineTrust,
  LOCK_WAIT_TIMEOUT,
  type PipelineTrust,
  pipeline,
  portionsOf,
} from './mysql-pipeline.ts';

/** Rows of one INSERT; a statement has at most 65,535 placeholders. */
const MAX_ROWS = 100;
const MAX_PLACEHOLDERS = 65_535;

/** Below the deadline of a transaction. */
const LOCK_WAIT_SECONDS = 25;
const STRICT = ", SESSION sql_mode = CONCAT_WS(',', NULLIF(@@SESSION.sql_mode, ''), 'STRICT_ALL_TABLES')";

const COLUMNS_SQL = `
  SELECT COLUMN_NAME, DATA_TYPE, EXTRA FROM information_schema.COLUMNS
  WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`;

const FACTS_SQL = `
  SELECT VERSION(), @@max_allowed_packet, id, host FROM information_schema.processlist WHERE id = CONNECTION_ID()`;

const KEYS_SQL = `
  SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS
  WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX`;

/**
 * Creates the driver for MySQL and MariaDB.
 *
 * @param options.strict a value that does not fit is refused whatever the server's default, which may be to cut it off.
 */
export function createMysqlDriver(target: SqlTarget, options: { readonly strict: boolean }): SqlDriver {
  const trust = createPipelineTrust();
  return {
    title: 'MySQL',
    connect: async (stop) => {
      const line = await openMysql(target, stop);
      const session = createSession(line, trust, (process) => killMysql(target, process));
      try {
        await session.prepare(options.strict);
      } catch (error) {
        line.drop();
        throw error;
      }
      return session;
    },
    statement: (pieces) => pieces.join('?'),
    insertStatement,
    bind,
    textOf: (value) => (value === null ? null : String(value)),
    judge: judgeMysqlError,
  };
}

/** Exact integers as BIGINT, so that a comparison is not one of doubles; everything else as the text it is. */
function bind(raw: RawValue, kind: ValueKind): BoundValue {
  if (raw === null) return null;
  if (kind === 'boolean') return raw === 't' ? 1n : 0n;
  return kind === 'integer' ? BigInt(raw) : raw;
}

type Row = readonly unknown[];

/** What a pipeline has to know of a connection. */
interface Facts extends MysqlProcess {
  readonly isMariadb: boolean;
  readonly maxPacket: number;
}

/** A statement that the server has prepared, as mysql2 keeps it; its types know less. */
type Prepared = PrepareStatementInfo & { readonly id: number };

function createSession(line: MysqlLine, trust: PipelineTrust, kill: (process: MysqlProcess) => Promise<void>) {
  const { connection, bigint, isLost, drop } = line;
  let facts: Facts | null = null;
  let autocommit = true;
  let pipelining = false;
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
  const prepared = (sql: string): Promise<Prepared> =>
    new Promise((resolve, reject) => {
      connection.prepare(sql, (error, statement) => (error ? failed(error, reject) : resolve(statement as Prepared)));
    });
  const inTransaction = async (work: () => Promise<void>): Promise<void> => {
    try {
      if (autocommit) await query('START TRANSACTION');
      await work();
      await query('COMMIT');
    } catch (error) {
      // A failed COMMIT too; when the connection is gone, so is the transaction.
      await query('ROLLBACK').catch(drop);
      throw error;
    }
  };
  const readFacts = async (): Promise<Facts> => {
    // What only speaks the protocol may have no such table, and is sent no pipeline.
    const rows = await execute(FACTS_SQL, []).catch((error: QueryError) => {
      if (error.fatal) throw error;
      return [];
    });
    const [[version, maxPacket, id, host] = []] = rows;
    return {
      isMariadb: /mariadb/i.test(String(version)),
      maxPacket: Number(maxPacket),
      id: Number(id),
      host: String(host),
    };
  };
  /** One after the other: what stands behind a failed statement is not sent. */
  const executeInTurn = (sql: string, rows: readonly BoundRow[]): Promise<void> =>
    inTransaction(async () => {
      for (const row of rows) await execute(sql, row);
    });
  const executeTogether = async (sql: string, rows: readonly BoundRow[], maxPacket: number): Promise<void> => {
    // After a deadlock, which ends the transaction, the rest would be committed. From here on each statement begins one
    // by itself, if there is none; a connection whose statements go together does nothing else.
    if (autocommit) await query('SET autocommit = 0');
    autocommit = false;
    await inTransaction(async () => {
      const { id } = await prepared(sql);
      for (const portion of portionsOf(rows, maxPacket)) {
        if (portion.oversized) for (const row of portion.rows) await execute(sql, row);
        else await sendTogether(id, portion.rows);
      }
    });
  };
  const sendTogether = async (statementId: number, rows: readonly BoundRow[]): Promise<void> => {
    // A single one is an execution like any other, and proves nothing.
    pipelining = rows.length > 1;
    try {
      await pipeline(connection, statementId, rows);
      if (pipelining && !isLost()) trust.kept();
    } catch (error) {
      const { fatal, errno } = error as QueryError;
      if (fatal && pipelining) trust.broken();
      // What stands behind it would wait as long, one after the other.
      if (errno === LOCK_WAIT_TIMEOUT && pipelining) giveUp();
      if (fatal) drop();
      throw error;
    } finally {
      pipelining = false;
    }
  };
  /** The server would work on at what it was sent. */
  const giveUp = (): void => {
    if (isLost()) return;
    drop();
    if (facts !== null) void kill(facts);
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
    async executeEach(sql, rows) {
      if (!canBePipelined(sql)) return executeInTurn(sql, rows);
      facts ??= await readFacts();
      const together = facts.isMariadb && (rows.length === 1 || trust.take());
      return together ? executeTogether(sql, rows, facts.maxPacket) : executeInTurn(sql, rows);
    },
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
    destroy: () => {
      if (!pipelining || isLost()) return drop();
      trust.broken();
      giveUp();
    },
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
