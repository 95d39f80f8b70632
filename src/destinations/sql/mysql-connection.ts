// One connection to MySQL or MariaDB: opened, verified, and ended so that the server hears of it.

import { isIP, type Socket } from 'node:net';
import { checkServerIdentity, type TLSSocket } from 'node:tls';
import type { Connection } from 'mysql2';
import type { SqlTarget } from '../../config/config.ts';
import { readTlsOptions } from './tls-options.ts';

/** Each number of rows is a statement of its own, and each is prepared once a connection. */
const MAX_PREPARED = 20;
const KILL_DEADLINE_MS = 5_000;
const PROCESS_SQL = 'SELECT id FROM information_schema.processlist WHERE id = ? AND host = ?';

/** A connection and whether it still is one. */
export interface MysqlLine {
  readonly connection: Connection;
  /** A value that mysql2 binds as BIGINT. */
  readonly bigint: (value: bigint) => unknown;
  readonly isLost: () => boolean;
  readonly drop: () => void;
}

/**
 * Opens a connection.
 *
 * @param stop aborts it, and nothing is left behind.
 */
export async function openMysql(target: SqlTarget, stop: AbortSignal): Promise<MysqlLine> {
  const [{ default: mysql }, tls] = await Promise.all([import('mysql2'), target.tls && readTlsOptions(target.tls)]);
  stop.throwIfAborted();
  const connection = mysql.createConnection({
    ...(target.socket === null ? { host: target.host ?? '', port: target.port } : { socketPath: target.socket }),
    user: target.username.reveal(),
    ...(target.password && { password: target.password.reveal() }),
    database: target.database,
    charset: 'utf8mb4',
    ...(tls && { ssl: { ...tls, verifyIdentity: target.tls?.verify === 'full' && !isAddress(target) } }),
    // They change the form of an execution, which the pipeline writes itself.
    flags: ['-CLIENT_QUERY_ATTRIBUTES'],
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
    // Which only says goodbye: to a host that answers nothing the socket would stay for minutes, and hold up our end; and
    // a server that goes on writing answers to it would not notice. Read now: TLS has put another one in its place.
    socketOf(connection).destroy();
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
  return { connection, bigint: mysql.TypedParameter.BIGINT, isLost: () => lost, drop };
}

/** What the server calls a connection. */
export interface MysqlProcess {
  readonly id: number;
  /** Our address and port, as the server sees them. */
  readonly host: string;
}

/**
 * Ends a connection that was dropped in the middle of a pipeline. A server that waits for a lock does not notice that
 * nobody listens any more: it would go on to the next statement that it was sent, and keep its own locks meanwhile.
 * Everybody may kill connections of their own; behind a load balancer the number may be that of another one of ours, on
 * another server, which the host tells apart.
 */
export async function killMysql(target: SqlTarget, { id, host }: MysqlProcess): Promise<void> {
  const other = await openMysql(target, AbortSignal.timeout(KILL_DEADLINE_MS)).catch(() => null);
  if (other === null) return;
  const late = setTimeout(other.drop, KILL_DEADLINE_MS).unref();
  const end = (): void => {
    clearTimeout(late);
    other.drop();
  };
  other.connection.execute(PROCESS_SQL, [id, host], (error, rows) => {
    if (error || !Array.isArray(rows) || rows.length === 0) end();
    // KILL takes no parameter.
    else other.connection.query(`KILL ${id}`, end);
  });
}

function isAddress({ host }: SqlTarget): boolean {
  return host !== null && isIP(host) > 0;
}

/** mysql2 holds every certificate of a bare address against `localhost`, so it is told to trust the authority, and the rest is here. */
function checkAddress(connection: Connection, { host }: SqlTarget): Error | undefined {
  return checkServerIdentity(host ?? '', socketOf<TLSSocket>(connection).getPeerCertificate());
}

/** The socket is in mysql2's object, not in its types. */
const socketOf = <S extends Socket>(connection: Connection): S =>
  (connection as unknown as { readonly stream: S }).stream;
