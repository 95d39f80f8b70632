// SQL destinations on Microsoft SQL Server. The library, mssql, is not installed with tailrace: whoever has such a
// destination installs it. Each statement is an sp_executesql with typed parameters, whose plan the server keeps.

import type { config as MssqlConfig, Request, Transaction } from 'mssql';
import type { SqlTarget } from '../../config/config.ts';
import type { ValueKind } from '../../event/event.ts';
import { codeOf, messageOf } from '../../lib/errors.ts';
import {
  type BoundRow,
  type BoundStatement,
  EVENT_UNIQUE_ID,
  type Insertion,
  isKeyOfEvents,
  type RemoteTable,
  type SqlDriver,
  type SqlFault,
  type SqlSession,
} from './driver.ts';
import { SqlRefusal, TRANSACTION_DEADLINE_MS } from './sql-delivery.ts';
import { readTlsOptions } from './tls-options.ts';

/** A statement has at most 2,100 parameters, a list of VALUES at most 1,000 rows. */
const MAX_PARAMETERS = 2_000;
const MAX_ROWS = 1_000;

const COLUMNS_SQL = `
  SELECT c.name, t.name, c.is_identity FROM sys.columns AS c JOIN sys.types AS t ON t.user_type_id = c.user_type_id
  WHERE c.object_id = OBJECT_ID(@p1) AND c.is_computed = 0 AND t.name <> N'timestamp' ORDER BY c.column_id`;

const KEYS_SQL = `
  SELECT i.index_id, c.name FROM sys.indexes AS i
  JOIN sys.index_columns AS x ON x.object_id = i.object_id AND x.index_id = i.index_id AND x.is_included_column = 0
  JOIN sys.columns AS c ON c.object_id = x.object_id AND c.column_id = x.column_id
  WHERE i.object_id = OBJECT_ID(@p1) AND i.is_unique = 1 AND i.is_disabled = 0 ORDER BY i.index_id, x.key_ordinal`;

type Mssql = typeof import('mssql');
/** What mssql hands to `beforeConnect`: the connection of its own library. */
type TdsConnection = Parameters<NonNullable<MssqlConfig['beforeConnect']>>[0];

/** A value with the type it is sent as; NULL has one too. */
interface TypedValue {
  readonly type: 'BigInt' | 'Bit' | 'NVarChar';
  readonly value: string | bigint | boolean | null;
}

/** Creates the driver for Microsoft SQL Server. */
export function createSqlServerDriver(target: SqlTarget): SqlDriver {
  return {
    title: 'SQL Server',
    connect: (stop) => connect(target, stop),
    statement: (pieces) => pieces.reduce((sql, piece, at) => `${sql}@p${at}${piece}`),
    bind: (raw, kind): TypedValue => ({
      type: typeOf(kind),
      value: raw === null ? null : kind === 'boolean' ? raw === 't' : kind === 'integer' ? BigInt(raw) : raw,
    }),
    insertStatement,
    textOf: (bound) => {
      const { value } = bound as TypedValue; // ours, from `bind`
      return value === null ? null : String(value);
    },
    judge,
  };
}

/** A double goes as text, which the server reads exactly; NaN is then its error, and not the library's. */
function typeOf(kind: ValueKind): TypedValue['type'] {
  return kind === 'integer' ? 'BigInt' : kind === 'boolean' ? 'Bit' : 'NVarChar';
}

async function load(): Promise<Mssql> {
  try {
    return (await import('mssql')).default;
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new SqlRefusal('the package mssql is missing; run `npm install mssql` where tailrace is installed');
  }
}

async function connect(target: SqlTarget, stop: AbortSignal): Promise<SqlSession> {
  const [mssql, tls] = await Promise.all([load(), target.tls && readTlsOptions(target.tls)]);
  stop.throwIfAborted();
  const connections = new Set<TdsConnection>();
  let lost = false;
  const pool = new mssql.ConnectionPool({
    server: target.host ?? '',
    ...(target.instance === null && { port: target.port }),
    database: target.database,
    user: target.username.reveal(),
    password: target.password?.reveal() ?? '',
    connectionTimeout: TRANSACTION_DEADLINE_MS,
    requestTimeout: TRANSACTION_DEADLINE_MS,
    pool: { min: 0, max: 1 },
    // A round trip for each transaction; a connection that has ended is known as such without it.
    validateConnection: false,
    options: {
      encrypt: tls !== null,
      trustServerCertificate: tls?.rejectUnauthorized === false,
      ...(tls?.ca && { cryptoCredentialsDetails: { ca: tls.ca } }),
      ...(target.instance !== null && { instanceName: target.instance }),
      appName: 'tailrace',
      abortTransactionOnError: false,
    },
    beforeConnect: (connection) => {
      connections.add(connection);
      connection.on('end', () => connections.delete(connection));
    },
  });
  const drop = (): void => {
    lost = true;
    for (const connection of connections) connection.close();
    pool.close().catch(() => undefined);
  };
  pool.on('error', () => {
    lost = true;
  });
  stop.addEventListener('abort', drop, { once: true });
  try {
    await pool.connect();
    stop.throwIfAborted();
  } catch (error) {
    drop();
    throw error;
  } finally {
    stop.removeEventListener('abort', drop);
  }
  return createSession(mssql, () => pool.transaction(), {
    isLost: () => lost,
    drop,
    close: () => pool.close().catch(() => undefined),
  });
}

interface Line {
  readonly isLost: () => boolean;
  readonly drop: () => void;
  readonly close: () => Promise<void>;
}

function createSession(mssql: Mssql, newTransaction: () => Transaction, line: Line): SqlSession {
  const types = { BigInt: mssql.BigInt, Bit: mssql.Bit, NVarChar: mssql.NVarChar(mssql.MAX) };
  const run = async (request: Request, sql: string, values: BoundRow): Promise<unknown[][]> => {
    for (const [at, value] of values.entries()) {
      const typed = value as TypedValue; // ours, from `bind`
      request.input(`p${at + 1}`, types[typed.type], typed.value);
    }
    request.arrayRowMode = true;
    return (await request.query(sql)).recordset ?? [];
  };
  const inTransaction = async <T>(work: (transaction: Transaction) => Promise<T>): Promise<T> => {
    const transaction = newTransaction();
    try {
      await transaction.begin();
      const result = await work(transaction);
      await transaction.commit();
      return result;
    } catch (error) {
      // Nothing to roll back: it was not begun, or the server has done it by itself, as after a deadlock.
      await transaction.rollback().catch((failure) => {
        if (isOfConnection(error) || !/^(?:EABORT|ENOTBEGUN)$/.test(codeOf(failure) ?? '')) line.drop();
      });
      throw error;
    }
  };
  const ask = (sql: string, value: TypedValue): Promise<unknown[][]> =>
    inTransaction((transaction) => run(transaction.request(), sql, [value]));

  return {
    get usable() {
      return !line.isLost();
    },
    executeEach: (sql, rows) =>
      inTransaction(async (transaction) => {
        for (const row of rows) await run(transaction.request(), sql, row);
      }),
    insert: (insertion, rows) =>
      inTransaction(async (transaction) => {
        const most = Math.min(MAX_ROWS, Math.floor(MAX_PARAMETERS / insertion.columns.length));
        for (let at = 0; at < rows.length; at += most) {
          const some = rows.slice(at, at + most);
          const { sql, values } = insertStatement(insertion, some);
          await run(transaction.request(), sql, values);
        }
      }),
    async readTable(parts): Promise<RemoteTable | null> {
      const name = parts.map(quote).join('.');
      const columns = await ask(COLUMNS_SQL, { type: 'NVarChar', value: name });
      if (columns.length === 0) return null;
      const keys = new Map<unknown, string[]>();
      for (const [key, column] of await ask(KEYS_SQL, { type: 'NVarChar', value: name })) {
        keys.set(key, [...(keys.get(key) ?? []), String(column)]);
      }
      return {
        name,
        columns: columns.map(([column, type, identity]) => ({
          name: String(column),
          type: String(type),
          automatic: identity === true,
        })),
        uniqueKeys: [...keys.values()].map((names) => ({ columns: names, predicate: null })),
      };
    },
    has: async (table, id) =>
      (await ask(`SELECT TOP (1) 1 FROM ${table.name} WHERE ${EVENT_UNIQUE_ID} = @p1`, id as TypedValue)).length > 0,
    destroy: line.drop,
    close: line.close,
  };
}

const quote = (name: string): string => `[${name.replaceAll(']', ']]')}]`;

const insertStatement = (insertion: Insertion, rows: readonly BoundRow[]): BoundStatement => ({
  sql: insertSql(insertion, rows.length),
  values: rows.flat(),
});

/** Passes over events that are there already; two writers at once can still meet, and then it is error 2627. */
function insertSql({ table, columns, skipKnown }: Insertion, rows: number): string {
  const names = columns.map(({ name }) => quote(name)).join(', ');
  const values = Array.from(
    { length: rows },
    (_, row) => `(${columns.map((_column, at) => `@p${row * columns.length + at + 1}`).join(', ')})`,
  );
  const id = columns.find(({ name }) => isKeyOfEvents({ columns: [name], predicate: null }));
  const unless =
    skipKnown && id
      ? ` WHERE NOT EXISTS (SELECT 1 FROM ${table.name} AS t WHERE t.${quote(id.name)} = v.${quote(id.name)})`
      : '';
  return `INSERT INTO ${table.name} (${names}) SELECT ${names} FROM (VALUES ${values.join(', ')}) AS v (${names})${unless}`;
}

const CONFLICTS = new Set([2601, 2627]);
/**
 * About the data: it does not convert (241 to 248, 295, 296, 8114, 8115, 8169), does not fit (220, 232, 8152, 2628), is
 * NULL (515), breaks a constraint (547), is divided by zero (8134), is no instance of its type (8023), no JSON (13609).
 * From 50000 on the numbers are those that a procedure raises itself.
 */
const OF_THE_EVENT = new Set([
  220, 232, 241, 242, 244, 245, 248, 295, 296, 512, 515, 547, 2628, 8016, 8023, 8114, 8115, 8134, 8152, 8169, 13609,
]);
const FIRST_OF_THE_USER = 50_000;
/** No such column, no such table. */
const OUTDATED = new Set([207, 208]);

function judge(error: unknown): SqlFault {
  const number = (error as { readonly number?: unknown }).number; // an own error has none
  const message = messageOf(error);
  const code = codeOf(error);
  if (typeof number !== 'number' || number === 0 || isOfConnection(error)) {
    return { verdict: 'destination', message, ...(code !== undefined && { status: code }) };
  }
  const ofTheEvent = OF_THE_EVENT.has(number) || number >= FIRST_OF_THE_USER;
  return {
    verdict: CONFLICTS.has(number) ? 'conflict' : ofTheEvent ? 'event' : 'destination',
    status: number,
    message,
    outdated: OUTDATED.has(number),
  };
}

/** Codes of the library for what happened to the connection, not to a statement. */
function isOfConnection(error: unknown): boolean {
  return /^(?:ESOCKET|ECONNCLOSED|ETIMEOUT|ELOGIN|ENOTOPEN|EINSTLOOKUP|ECONNRESET)$/.test(codeOf(error) ?? '');
}
