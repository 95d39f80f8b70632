// `db_dsn`: a URL, or a Perl DBI string of an old file (sql-dsn-perl.ts), taken apart into one form. What it does not
// understand it refuses: a misspelt `sslmode` must not mean a connection in clear text.

import type { SqlServerKind, SqlTlsConfig } from './config.ts';
import { defaultSqlPort } from './identity.ts';
import type { DsnParts, DsnProblem } from './sql-dsn-parts.ts';
import { readPerlDsn } from './sql-dsn-perl.ts';
import { didYouMean } from './suggest.ts';

/** A DSN taken apart; paths as they were written. */
export interface SqlDsn {
  readonly server: SqlServerKind;
  readonly host: string | null;
  readonly port: number;
  readonly socket: string | null;
  readonly instance: string | null;
  readonly database: string;
  readonly username: string | null;
  readonly password: string | null;
  readonly tls: SqlTlsConfig | null;
}

const SCHEMES: Readonly<Record<string, SqlServerKind>> = {
  postgresql: 'postgresql',
  postgres: 'postgresql',
  mysql: 'mysql',
  mariadb: 'mysql',
  mssql: 'sql-server',
  sqlserver: 'sql-server',
};

/** What may stand behind `?` in a URL. */
const PARAMETERS: Readonly<Record<SqlServerKind, readonly string[]>> = {
  postgresql: ['host', 'port', 'dbname', 'user', 'password', 'sslmode', 'sslrootcert', 'sslcert', 'sslkey'],
  mysql: ['socket', 'ssl', 'ssl-mode', 'ssl-ca', 'ssl-cert', 'ssl-key', 'charset'],
  'sql-server': ['encrypt', 'trustservercertificate', 'ssl-ca', 'instance', 'database'],
};

const NO_URL =
  'expected a database URL such as mysql://10.0.0.5/crm (postgresql, mysql, mariadb, mssql) or a Perl DBI string such as DBI:mysql:database=crm;host=10.0.0.5';

/** Takes a DSN apart. */
export function readSqlDsn(text: string): SqlDsn | DsnProblem {
  const parts = /^dbi:/i.test(text) ? readPerlDsn(text) : readUrl(text);
  return 'problem' in parts ? parts : complete(parts);
}

function readUrl(text: string): DsnParts | DsnProblem {
  // Not the WHATWG parser, which knows no empty host beside a user name: postgresql://app@/crm?host=/run/postgresql.
  const match = /^([a-z]+):\/\/([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(text);
  const [, scheme = '', authority = '', path = '', query = ''] = match ?? [];
  const server = SCHEMES[scheme.toLowerCase()];
  if (match === null || server === undefined) return { problem: NO_URL };
  const at = authority.lastIndexOf('@');
  const user = at < 0 ? '' : authority.slice(0, at);
  const colon = user.indexOf(':');
  const place = /^(\[[0-9a-f:.%]+\]|[^:[\]]*)(?::(\d*))?$/i.exec(authority.slice(at + 1));
  if (!place) return { problem: 'expected one host, with or without :PORT, behind "://" and user information' };
  try {
    const parameters = new Map<string, string>();
    for (const part of query.split('&').filter(Boolean)) {
      const equals = part.indexOf('=');
      const name = decodeURIComponent(equals < 0 ? part : part.slice(0, equals)).toLowerCase();
      parameters.set(name, equals < 0 ? '' : decodeURIComponent(part.slice(equals + 1)));
    }
    return {
      server,
      host: decodeURIComponent((place[1] ?? '').replace(/^\[|\]$/g, '')),
      port: place[2] ?? '',
      database: decodeURIComponent(path),
      username: at < 0 ? null : decodeURIComponent(colon < 0 ? user : user.slice(0, colon)),
      password: colon < 0 ? null : decodeURIComponent(user.slice(colon + 1)),
      parameters,
    };
  } catch {
    return { problem: 'it has a % that begins no escape; write %25 for it' };
  }
}

/** Gives the parts their meaning. */
function complete(parts: DsnParts): SqlDsn | DsnProblem {
  const { server, parameters } = parts;
  for (const name of parameters.keys()) {
    if (PARAMETERS[server].includes(name)) continue;
    // A name is quoted only when it looks like one.
    const word = /^[a-z_-]{1,30}$/.test(name) ? `"${name}"` : 'one';
    return { problem: `it has a parameter that is not known, ${word}${didYouMean(name, PARAMETERS[server])}` };
  }
  const host = parameters.get('host') ?? (parts.host || 'localhost');
  const socket = parameters.get('socket') ?? (host.startsWith('/') ? host : null);
  const portText = parameters.get('port') ?? parts.port;
  const port = portText === '' ? defaultSqlPort(server) : Number(portText);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return { problem: 'its port is not a number up to 65535' };
  const database = parameters.get('dbname') ?? parameters.get('database') ?? parts.database;
  if (database === '') return { problem: 'it names no database' };
  if (!/^(utf8mb4)?$/i.test(parameters.get('charset') ?? '')) return { problem: '"charset": expected utf8mb4' };
  const tls = readTls(server, parameters);
  if (tls !== null && 'problem' in tls) return tls;
  return {
    server,
    host: socket === null ? host : null,
    port,
    socket,
    instance: parameters.get('instance') ?? null,
    database,
    username: parameters.get('user') ?? parts.username,
    password: parameters.get('password') ?? parts.password,
    tls,
  };
}

/** Modes that say whether TLS is on and what is verified; `undefined` is a word that means neither. */
const MODES: Readonly<Record<string, SqlTlsConfig['verify'] | 'off'>> = {
  disable: 'off',
  disabled: 'off',
  false: 'off',
  '0': 'off',
  // What the words promise elsewhere is less: there `require` trusts whoever answers. Here TLS that is on is verified.
  require: 'full',
  required: 'full',
  true: 'full',
  '1': 'full',
  'verify-ca': 'ca',
  verify_ca: 'ca',
  'verify-full': 'full',
  verify_identity: 'full',
  'no-verify': 'none',
};

function readTls(server: SqlServerKind, parameters: ReadonlyMap<string, string>): SqlTlsConfig | null | DsnProblem {
  const file = (...names: string[]) => names.map((name) => parameters.get(name)).find((path) => path) ?? null;
  const files = {
    caFile: file('sslrootcert', 'ssl-ca'),
    certFile: file('sslcert', 'ssl-cert'),
    keyFile: file('sslkey', 'ssl-key'),
  };
  if (server === 'sql-server') {
    const encrypt = readFlag(parameters.get('encrypt') ?? 'true');
    const trust = readFlag(parameters.get('trustservercertificate') ?? 'false');
    if (encrypt === null || trust === null) {
      return { problem: '"encrypt" and "trustServerCertificate": expected true or false' };
    }
    return encrypt ? { verify: trust ? 'none' : 'full', ...files } : null;
  }
  const name = ['sslmode', 'ssl-mode', 'ssl'].find((each) => parameters.has(each));
  const anyFile = Object.values(files).some((path) => path !== null);
  const mode = name === undefined ? (anyFile ? 'full' : 'off') : MODES[(parameters.get(name) ?? '').toLowerCase()];
  if (mode === undefined) {
    const words =
      server === 'postgresql'
        ? 'disable, require, verify-ca, verify-full'
        : 'disabled, required, verify_ca, verify_identity';
    return { problem: `"${name}": expected one of ${words}, or no-verify for TLS with whoever answers` };
  }
  return mode === 'off' ? null : { verify: mode, ...files };
}

function readFlag(word: string): boolean | null {
  if (/^(true|yes|1|mandatory|strict)$/i.test(word)) return true;
  return /^(false|no|0|optional)$/i.test(word) ? false : null;
}
