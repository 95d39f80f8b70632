// `db_dsn` as Perl's DBI writes it: dbi:DRIVER(attributes):name=value;name=value, for the drivers DBD::mysql,
// DBD::MariaDB, DBD::Pg, DBD::ODBC and DBD::Sybase. Their names become those of the URLs.

import type { SqlServerKind } from './config.ts';
import type { DsnParts, DsnProblem } from './sql-dsn-parts.ts';
import { didYouMean } from './suggest.ts';

interface Driver {
  readonly server: SqlServerKind;
  /** The driver's name of a thing → ours. */
  readonly names: Readonly<Record<string, string>>;
  /** Names that tune the driver and mean nothing here. */
  readonly ignored: RegExp;
}

const MYSQL: Driver = {
  server: 'mysql',
  names: {
    database: 'database',
    dbname: 'database',
    db: 'database',
    host: 'host',
    hostname: 'host',
    port: 'port',
    user: 'user',
    password: 'password',
    socket: 'socket',
    ssl: 'ssl',
    ssl_ca_file: 'ssl-ca',
    ssl_client_cert: 'ssl-cert',
    ssl_client_key: 'ssl-key',
    ssl_verify_server_cert: 'verify',
  },
  ignored:
    /^(enable_utf8(mb4)?|auto_reconnect|server_prepare|use_result|connect_timeout|read_timeout|write_timeout|compression|read_default_(file|group)|bind_type_guessing|server_prepare_disable_fallback|ssl_optional)$/,
};

const PG: Driver = {
  server: 'postgresql',
  names: {
    dbname: 'database',
    database: 'database',
    db: 'database',
    host: 'host',
    hostaddr: 'host',
    port: 'port',
    user: 'user',
    password: 'password',
    sslmode: 'sslmode',
    sslrootcert: 'sslrootcert',
    sslcert: 'sslcert',
    sslkey: 'sslkey',
  },
  ignored: /^(options|application_name|connect_timeout|keepalives.*|client_encoding)$/,
};

const SQL_SERVER: Driver = {
  server: 'sql-server',
  names: {
    server: 'host',
    host: 'host',
    address: 'host',
    addr: 'host',
    port: 'port',
    database: 'database',
    uid: 'user',
    user: 'user',
    pwd: 'password',
    password: 'password',
    encrypt: 'encrypt',
    trustservercertificate: 'trustservercertificate',
  },
  ignored:
    /^(driver|tds_version|tds version|clientcharset|charset|app|wsid|loginTimeout|timeout|scriptname|tdslevel|language|mars_connection|hostname)$/i,
};

const DRIVERS: Readonly<Record<string, Driver>> = {
  mysql: MYSQL,
  mariadb: MYSQL,
  pg: PG,
  odbc: SQL_SERVER,
  sybase: SQL_SERVER,
};

/** Takes a Perl DBI string apart. */
export function readPerlDsn(text: string): DsnParts | DsnProblem {
  const match = /^dbi:(\w+)(?:\([^)]*\))?:(.*)$/is.exec(text);
  const [, name = '', rest = ''] = match ?? [];
  const driver = DRIVERS[name.toLowerCase()];
  if (driver === undefined) {
    return { problem: 'expected one of the Perl drivers mysql, MariaDB, Pg, ODBC and Sybase behind "DBI:"' };
  }
  const found = new Map<string, string>();
  for (const [at, part] of splitParts(rest).entries()) {
    const equals = part.indexOf('=');
    if (equals < 0) {
      // DBD::mysql's short forms: crm, crm:10.0.0.5, crm:10.0.0.5:3306.
      if (driver !== MYSQL || at > 0) return bareWord(driver);
      for (const [place, value] of part.split(':').entries())
        found.set(['database', 'host', 'port'][place] ?? '', value);
      continue;
    }
    const word = part.slice(0, equals).trim().toLowerCase();
    const key = driver === MYSQL ? word.replace(/^(mysql|mariadb)_/, '') : word;
    const ours = driver.names[key];
    if (ours !== undefined) found.set(ours, unquote(part.slice(equals + 1).trim()));
    else if (!driver.ignored.test(key)) {
      const hint = didYouMean(key, Object.keys(driver.names));
      return { problem: `it has a part that is not known${hint || ', before the "="'}` };
    }
  }
  return toParts(driver.server, found);
}

/** At semicolons, but for those in the braces of ODBC: `Driver={ODBC Driver 18; for SQL Server}`. */
function splitParts(text: string): string[] {
  return [...text.matchAll(/(?:\{[^}]*\}|[^;{])+/g)].map(([part]) => part.trim()).filter(Boolean);
}

function unquote(value: string): string {
  return value.replace(/^\{(.*)\}$/s, '$1');
}

function bareWord(driver: Driver): DsnProblem {
  if (driver === SQL_SERVER) {
    return {
      problem: 'it names a data source that only ODBC can look up; write the server out: mssql://10.0.0.5/crm',
    };
  }
  return { problem: 'expected name=value between the semicolons' };
}

function toParts(server: SqlServerKind, found: Map<string, string>): DsnParts {
  const take = (name: string): string | undefined => {
    const value = found.get(name);
    found.delete(name);
    return value;
  };
  let host = take('host') ?? '';
  let port = take('port') ?? '';
  if (server === 'sql-server') {
    // ODBC writes tcp:10.0.0.5,1433 and 10.0.0.5\SQLEXPRESS.
    const place = /^(?:tcp:)?([^,\\]*)(?:\\([^,]*))?(?:,\s*(\d+))?$/i.exec(host);
    if (place?.[2]) found.set('instance', place[2]);
    port = place?.[3] ?? port;
    host = place?.[1] ?? host;
  }
  if (take('verify') === '0' && found.get('ssl') === '1') found.set('ssl', 'no-verify');
  return {
    server,
    host,
    port,
    database: take('database') ?? '',
    username: take('user') ?? null,
    password: take('password') ?? null,
    parameters: found,
  };
}
