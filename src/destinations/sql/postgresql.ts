// SQL destinations on PostgreSQL: values go as text, in the form in which the queue's own PostgreSQL printed them, and
// the server reads them as the types of its columns. A batch is two round trips, however many events it has.

import pg from 'pg';
import type { SqlTarget } from '../../config/config.ts';
import { codeOf, isServerError, messageOf } from '../../lib/errors.ts';
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
import { createPipeline } from './postgresql-pipeline.ts';
import { readTlsOptions } from './tls-options.ts';

const { escapeIdentifier } = pg;

/** The columns that may be written: not generated ones, and no identity that is always the server's own. */
const COLUMNS_SQL = `
  SELECT attname, format_type(atttypid, -1), atthasdef OR attidentity <> ''
  FROM pg_attribute
  WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attidentity <> 'a'
  ORDER BY attnum`;

/** Keys that ON CONFLICT can name: valid, over plain columns, checked at once. The shortest first. */
const KEYS_SQL = `
  SELECT json_agg(attname ORDER BY n), pg_get_expr(indpred, indrelid)
  FROM pg_index, unnest(indkey::int2[]) WITH ORDINALITY AS key(attnum, n)
  JOIN pg_attribute USING (attnum)
  WHERE indrelid = to_regclass($1) AND attrelid = indrelid AND n <= indnkeyatts
    AND indisunique AND indisvalid AND indimmediate AND indexprs IS NULL
  GROUP BY indexrelid, indrelid, indpred
  ORDER BY count(*), indexrelid`;

/** Every value as PostgreSQL's text. */
const RAW_TEXT = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;

/** Creates the driver for PostgreSQL. */
export function createPostgresqlDriver(target: SqlTarget): SqlDriver {
  return {
    title: 'PostgreSQL',
    connect: (stop) => connect(target, stop),
    statement: (pieces) => pieces.reduce((sql, piece, at) => `${sql}$${at}${piece}`),
    // `t` into a column of numbers is refused by the server; 1 is what a receiver means.
    bind: (raw, kind, column) =>
      kind === 'boolean' && raw !== null && column && /^(smallint|integer|bigint|numeric)$/.test(column.type)
        ? String(Number(raw === 't'))
        : raw,
    insertStatement,
    // Texts, from `bind`.
    textOf: (value) => value as string | null,
    judge,
  };
}

async function connect(target: SqlTarget, stop: AbortSignal): Promise<SqlSession> {
  const tls = target.tls && (await readTlsOptions(target.tls));
  stop.throwIfAborted();
  const client = new pg.Client({
    host: target.host ?? target.socket ?? '',
    port: target.port,
    database: target.database,
    user: target.username.reveal(),
    // A function, since pg would else look into PGPASSWORD and ~/.pgpass, which are for the queue's own database.
    password: () => target.password?.reveal() ?? '',
    ssl:
      tls === null ? false : { ...tls, ...(target.tls?.verify === 'ca' && { checkServerIdentity: () => undefined }) },
    application_name: 'tailrace destination',
    keepAlive: true,
  });
  let lost = false;
  const lose = (): void => {
    lost = true;
  };
  client.on('error', lose);
  client.on('end', lose);
  // The types do not know the socket; without it a silent server holds `connect` for ever.
  const { connection } = client as unknown as { connection: { readonly stream: { destroy(): void } } };
  const drop = (): void => {
    lose();
    connection.stream.destroy();
  };
  stop.addEventListener('abort', drop, { once: true });
  try {
    await client.connect();
  } catch (error) {
    drop();
    throw error;
  } finally {
    stop.removeEventListener('abort', drop);
  }
  return createSession(client, {
    isLost: () => lost,
    lose,
    drop: (cancels) => (cancels ? dropAndCancel(client, target, drop) : drop()),
  });
}

interface Line {
  readonly isLost: () => boolean;
  /** Not to be used again. */
  readonly lose: () => void;
  /** `cancels`: the server is told as well. */
  readonly drop: (cancels: boolean) => void;
}

function createSession(client: pg.Client, { isLost, lose, drop }: Line): SqlSession {
  let busy = 0;
  let destroyed = false;
  const begin = (sql: string, rows: readonly BoundRow[]): Promise<void> =>
    new Promise((resolve, reject) => {
      // Ours, from `bind`.
      const texts = rows as readonly (readonly (string | null)[])[];
      client.query(createPipeline(sql, texts, (error) => (error === null ? resolve() : reject(error))));
    });
  const run = async (sql: string, rows: readonly BoundRow[]): Promise<void> => {
    busy += 1;
    try {
      await begin(sql, rows);
      await client.query('COMMIT');
    } catch (error) {
      // FATAL or no answer at all: the connection ends, and this is heard of only later.
      if (!isServerError(error) || (error as { severity?: string }).severity !== 'ERROR') lose();
      else await client.query('ROLLBACK').catch(lose);
      throw error;
    } finally {
      busy -= 1;
    }
  };
  const ask = async (text: string, values: readonly unknown[]): Promise<readonly (string | null)[][]> =>
    (await client.query<(string | null)[]>({ text, values: [...values], rowMode: 'array', types: RAW_TEXT })).rows;

  return {
    get usable() {
      return !isLost();
    },
    executeEach: run,
    insert: (insertion, rows) => {
      const { sql, values } = insertStatement(insertion, rows);
      return run(sql, [values]);
    },
    async readTable(parts): Promise<RemoteTable | null> {
      const name = parts.map(escapeIdentifier).join('.');
      const columns = await ask(COLUMNS_SQL, [name]);
      if (columns.length === 0) return null;
      const keys = await ask(KEYS_SQL, [name]);
      return {
        name,
        columns: columns.map(([column, type, automatic]) => ({
          name: String(column),
          type: String(type),
          automatic: automatic === 't',
        })),
        uniqueKeys: keys.map(([names, predicate]) => ({
          columns: JSON.parse(String(names)),
          predicate: predicate ?? null,
        })),
      };
    },
    has: async (table, id) =>
      (await ask(`SELECT 1 FROM ${table.name} WHERE ${EVENT_UNIQUE_ID} = $1 LIMIT 1`, [id])).length > 0,
    destroy: () => {
      if (destroyed) return;
      destroyed = true;
      // There is something to cancel only while something is under way.
      drop(busy > 0);
    },
    close: () => client.end().catch(() => undefined),
  };
}

const insertStatement = (insertion: Insertion, rows: readonly BoundRow[]): BoundStatement => ({
  sql: insertSql(insertion),
  values: transpose(insertion, rows),
});

/**
 * One array a column, so that the statement is the same for any number of rows. They are arrays of text with a cast for
 * each value, since `unnest` would take a column of arrays apart; a cast without length leaves it to the column to refuse.
 */
function insertSql({ table, columns, skipKnown }: Insertion): string {
  const names = columns.map(({ name }) => escapeIdentifier(name));
  const values = columns.map(({ type }, at) => `v.c${at}::${type}`);
  const arrays = columns.map((_, at) => `$${at + 1}::text[]`);
  const aliases = columns.map((_, at) => `c${at}`);
  const key = skipKnown ? table.uniqueKeys.find(isKeyOfEvents) : undefined;
  const where = key?.predicate ? ` WHERE ${key.predicate}` : '';
  const conflict = key ? ` ON CONFLICT (${key.columns.map(escapeIdentifier).join(', ')})${where} DO NOTHING` : '';
  return `INSERT INTO ${table.name} (${names.join(', ')}) SELECT ${values.join(', ')} FROM unnest(${arrays.join(', ')}) AS v(${aliases.join(', ')})${conflict}`;
}

function transpose({ columns }: Insertion, rows: readonly BoundRow[]): string[] {
  return columns.map((_, at) => `{${rows.map((row) => arrayElement(row[at])).join(',')}}`);
}

function arrayElement(value: unknown): string {
  return typeof value === 'string' ? `"${value.replace(/[\\"]/g, '\\$&')}"` : 'NULL';
}

/** A back end that waits for a lock does not notice that nobody listens any more, and would keep its own locks. */
function dropAndCancel(client: pg.Client, target: SqlTarget, drop: () => void): void {
  drop();
  // Known to pg, not to its types.
  const { processID, secretKey } = client as unknown as { processID: number | null; secretKey: number };
  // A server that wants TLS for the request as well is left to find out by itself.
  if (processID === null || target.tls !== null) return;
  const canceller = new pg.Connection({}) as unknown as Canceller;
  canceller.on('error', () => undefined);
  canceller.on('connect', () => {
    canceller.cancel(processID, secretKey);
    canceller.stream.end();
  });
  setTimeout(() => canceller.stream.destroy(), CANCEL_DEADLINE_MS).unref();
  if (target.host === null) canceller.connect(`${target.socket}/.s.PGSQL.${target.port}`);
  else canceller.connect(target.port, target.host);
}

const CANCEL_DEADLINE_MS = 5_000;

interface Canceller {
  readonly stream: { end(): void; destroy(): void };
  on(event: 'error' | 'connect', listener: () => void): void;
  connect(port: number | string, host?: string): void;
  cancel(processId: number, secretKey: number): void;
}

/**
 * Class 22 and 23 are about the data, so are a check option (44), a function that raises on purpose (P0) and what is too
 * large for an index (54000); everything else is about the server or the statement
 * (https://www.postgresql.org/docs/current/errcodes-appendix.html).
 */
const OF_THE_EVENT = /^(?:2[23]|44|P0)|^(?:21000|54000)$/;
const UNIQUE_VIOLATION = '23505';
/** A column or a table that is gone or has another type. */
const OUTDATED = /^(?:42703|42P01|42P10|42804|42846)$/;

function judge(error: unknown): SqlFault {
  const status = codeOf(error);
  const message = messageOf(error);
  const base = { message, ...(status !== undefined && { status }) };
  if (!isServerError(error) || status === undefined) return { ...base, verdict: 'destination' };
  if (status === UNIQUE_VIOLATION) return { ...base, verdict: 'conflict' };
  return { ...base, verdict: OF_THE_EVENT.test(status) ? 'event' : 'destination', outdated: OUTDATED.test(status) };
}
