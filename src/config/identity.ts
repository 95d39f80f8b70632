// What a destination is called in PostgreSQL and in `status`, across restarts and reloads: its failed events belong to
// this key. It shows no user information, no query and nothing of a URL that was given as a secret but its origin.

import { createHash } from 'node:crypto';
import type { DestinationConfig, SqlTarget } from './config.ts';

/** The parts of a target that may be seen. */
export interface TargetParts {
  /** Scheme, host and port; with the path unless the whole URL is a secret. */
  readonly visible: string;
  /** The rest, without user information and fragment. */
  readonly hidden: string;
}

/** Splits an HTTP URL into what may be seen of it and what not; `secret` = it came from the environment or a file. */
export function splitHttpUrl(url: URL, secret: boolean): TargetParts {
  if (secret)
    return { visible: `${url.origin}/`, hidden: url.pathname === '/' ? url.search : url.pathname + url.search };
  return { visible: url.origin + url.pathname, hidden: url.search };
}

/** A target as `explain` shows it: `https://hooks.example.com/bounces?[secret]`. */
export function describeTarget({ visible, hidden }: TargetParts): string {
  if (hidden === '') return visible;
  return `${visible}${hidden.startsWith('?') ? '?' : ''}[secret]`;
}

const SQL_SCHEMES = { postgresql: 'postgresql', mysql: 'mysql', 'sql-server': 'mssql' } as const;
const SQL_PORTS = { postgresql: 5432, mysql: 3306, 'sql-server': 1433 } as const;

/** The port that a server has unless the configuration says another. */
export function defaultSqlPort(server: SqlTarget['server']): number {
  return SQL_PORTS[server];
}

/** Where an SQL destination connects to, without user information: `mysql://10.0.0.5/crm`, however it was written. */
export function describeSqlTarget(target: SqlTarget): string {
  return `${describeSqlHost(target)}/${encodeURIComponent(target.database)}`;
}

function describeSqlHost({ server, host, port, socket, instance }: SqlTarget): string {
  const name = host === null ? encodeURIComponent(socket ?? '') : host.includes(':') ? `[${host}]` : host.toLowerCase();
  const place = instance === null ? name : `${name}\\${instance}`;
  return `${SQL_SCHEMES[server]}://${place}${port === SQL_PORTS[server] ? '' : `:${port}`}`;
}

/**
 * Splits the target of an SQL destination like a URL.
 *
 * @param secret the whole of `db_dsn` came from the environment or a file.
 * @param work what tells destinations of one database apart, and may be seen: the table.
 * @param hiddenWork the same, too long to be seen: the statement.
 */
export function splitSqlTarget(target: SqlTarget, secret: boolean, work: string, hiddenWork: string): TargetParts {
  const shown = work === '' ? '' : ` ${work}`;
  if (!secret) return { visible: describeSqlTarget(target) + shown, hidden: hiddenWork };
  return { visible: `${describeSqlHost(target)}/${shown}`, hidden: `${target.database}\0${hiddenWork}` };
}

/**
 * The key of a destination (SPEC 5): its name, else its type and target. What is hidden of the target is told apart by
 * a short hash: `http_post https://hooks.example.com/bounces ?#1c9f03ab`.
 */
export function destinationKey(type: DestinationConfig['type'], name?: string, target?: TargetParts): string {
  if (name !== undefined) return name;
  if (target === undefined) return type;
  if (target.hidden === '') return `${type} ${target.visible}`;
  return `${type} ${target.visible} ?#${shortHash(target.visible + target.hidden)}`;
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}
