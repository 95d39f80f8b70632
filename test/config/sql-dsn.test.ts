import { describe, expect, test } from 'vitest';
import { readSqlDsn } from '../../src/config/sql-dsn.ts';

const PG = { server: 'postgresql', host: 'h', port: 5432, database: 'd', username: null, password: null, tls: null };
const MYSQL = { ...PG, server: 'mysql', port: 3306 };
const VERIFIED = { verify: 'full', caFile: null, certFile: null, keyFile: null };
const MSSQL = { ...PG, server: 'sql-server', port: 1433, tls: VERIFIED };

describe('good', () => {
  test.each([
    ['postgresql://h/d', PG],
    ['POSTGRES://h/d', PG],
    ['postgresql://u:p%40%2F@h:5433/d%20x', { ...PG, port: 5433, database: 'd x', username: 'u', password: 'p@/' }],
    ['postgresql://u:a@b@h/d', { ...PG, username: 'u', password: 'a@b' }],
    ['postgresql://u@/d?host=/run/pg', { ...PG, host: null, socket: '/run/pg', username: 'u' }],
    ['postgresql://%2Frun%2Fpg/d', { ...PG, host: null, socket: '/run/pg' }],
    ['postgresql:///?dbname=d&host=h&port=1&user=u&password=p', { ...PG, port: 1, username: 'u', password: 'p' }],
    ['postgresql://[::1]:5/d', { ...PG, host: '::1', port: 5 }],
    ['postgresql:///d', { ...PG, host: 'localhost' }],
    ['postgresql://h/d?sslmode=disable', PG],
    ['postgresql://h/d?sslmode=require', { ...PG, tls: VERIFIED }],
    ['postgresql://h/d?sslmode=verify-ca&sslrootcert=/c', { ...PG, tls: { ...VERIFIED, verify: 'ca', caFile: '/c' } }],
    ['postgresql://h/d?sslmode=no-verify', { ...PG, tls: { ...VERIFIED, verify: 'none' } }],
    ['mysql://h/d', MYSQL],
    ['mariadb://h/d?charset=utf8mb4', MYSQL],
    ['mysql://h/d?ssl=true', { ...MYSQL, tls: VERIFIED }],
    [
      'mysql://h/d?ssl-ca=c&ssl-cert=e&ssl-key=k',
      { ...MYSQL, tls: { verify: 'full', caFile: 'c', certFile: 'e', keyFile: 'k' } },
    ],
    ['mysql://h/d?ssl-mode=VERIFY_CA', { ...MYSQL, tls: { ...VERIFIED, verify: 'ca' } }],
    ['mysql://u@localhost/d?socket=/s', { ...MYSQL, host: null, socket: '/s', username: 'u' }],
    ['mssql://h/d', MSSQL],
    ['sqlserver://h:1/d?encrypt=false', { ...MSSQL, port: 1, tls: null }],
    [
      'mssql://h/d?trustServerCertificate=true&instance=X',
      { ...MSSQL, instance: 'X', tls: { ...VERIFIED, verify: 'none' } },
    ],
    ['DBI:mysql:database=d;host=h;port=3307', { ...MYSQL, port: 3307 }],
    ['dbi:mysql:d', { ...MYSQL, host: 'localhost' }],
    ['dbi:mysql:d:h:1', { ...MYSQL, port: 1 }],
    ['DBI:mysql(RaiseError=>1):database=d;host=h;mysql_enable_utf8mb4=1', MYSQL],
    ['dbi:mysql:d;host=h;mysql_ssl=1;mysql_ssl_ca_file=/c', { ...MYSQL, tls: { ...VERIFIED, caFile: '/c' } }],
    [
      'dbi:MariaDB:d;host=h;mariadb_ssl=1;mariadb_ssl_verify_server_cert=0',
      { ...MYSQL, tls: { ...VERIFIED, verify: 'none' } },
    ],
    ['dbi:mysql:database=d;mysql_socket=/s', { ...MYSQL, host: null, socket: '/s' }],
    ['dbi:Pg:dbname=d;host=h;port=5433;sslmode=verify-full', { ...PG, port: 5433, tls: VERIFIED }],
    ['dbi:Pg:db=d;host=/run/pg', { ...PG, host: null, socket: '/run/pg' }],
    [
      'DBI:ODBC:Driver={ODBC Driver 18; for SQL Server};Server=tcp:h,1444;Database=d;UID=u;PWD={p;w};Encrypt=yes',
      { ...MSSQL, port: 1444, username: 'u', password: 'p;w' },
    ],
    ['dbi:ODBC:Server=h\\X;Database=d;Encrypt=no', { ...MSSQL, instance: 'X', tls: null }],
    ['dbi:Sybase:server=h;database=d;encrypt=false', { ...MSSQL, tls: null }],
  ])('%s', (dsn, expected) => {
    expect(readSqlDsn(dsn)).toEqual({ socket: null, instance: null, ...expected });
  });
});

describe('bad', () => {
  test.each([
    ['', 'expected a database URL'],
    ['sqlite:///d', 'expected a database URL'],
    ['h/d', 'expected a database URL'],
    ['mysql://h', 'it names no database'],
    ['mysql://h:x/d', 'expected one host'],
    ['mysql://h:99999/d', 'its port is not a number up to 65535'],
    ['mysql://h/d%', 'it has a % that begins no escape'],
    ['postgresql://h/d?sslmod=require', 'not known, "sslmod"; did you mean "sslmode"?'],
    ['postgresql://h/d?sslmode=prefer', '"sslmode": expected one of disable, require, verify-ca, verify-full'],
    ['mysql://h/d?ssl=maybe', '"ssl": expected one of disabled'],
    ['mysql://h/d?charset=latin1', '"charset": expected utf8mb4'],
    ['mssql://h/d?encrypt=perhaps', 'expected true or false'],
    ['dbi:Oracle:d', 'expected one of the Perl drivers'],
    ['dbi:mysql:databas=d;host=h', 'not known; did you mean "database"?'],
    ['dbi:ODBC:MYDSN', 'names a data source that only ODBC can look up'],
    ['dbi:Pg:d', 'expected name=value'],
  ])('%s', (dsn, expected) => {
    expect(readSqlDsn(dsn)).toEqual({ problem: expect.stringContaining(expected) });
  });
});
