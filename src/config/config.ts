// The configuration as the program uses it: every key of SPEC 5 with its default filled in, secrets resolved,
// camelCase names with units. load.ts makes it from the file; nobody else reads the file.

import type { Secret } from '../lib/secret.ts';

export interface Config {
  /** The event destinations in the file's order; empty when the file names none. */
  readonly routes: readonly RouteConfig[];
  /** null = no log file. */
  readonly logFile: LogFileConfig | null;
  readonly httpKeepAlive: number;
  readonly httpUserAgent: string;
  readonly onDelivered: 'delete' | 'mark_processed';
  /** Text columns written as a JSON object when their text is one. */
  readonly expandJsonColumns: readonly string[];
  /** A row whose text exceeds this many octets is parked, neither logged nor delivered. */
  readonly maxEventBytes: number;
  readonly pollIntervalMs: number;
  /** Filled into `server_id` by recording. */
  readonly serverId: string;
  readonly storeBounceDetailsLength: number;
  /** null = no second file with a line for each attempt. */
  readonly deliveryLog: DeliveryLogConfig | null;
  /** Hex SHA-256 over the normalised routing part: a new value begins a new generation (QUEUE B7). */
  readonly fingerprint: string;
}

export interface LogFileConfig {
  /** Absolute path, without the date that `appendDate` adds. */
  readonly filename: string;
  readonly appendDate: boolean;
  /** Permission bits of a file that tailrace creates, for example 0o640. */
  readonly mode: number;
  readonly createDirectory: boolean;
}

export interface DeliveryLogConfig {
  /** Absolute path. */
  readonly filename: string;
}

export interface RouteConfig {
  readonly matches: MatchConfig;
  readonly destination: DestinationConfig;
  /** What names the destination in PostgreSQL and in `status`: its `name`, else type and target without user information. */
  readonly key: string;
  /** false: its events wait as if it were paused. */
  readonly enabled: boolean;
  /** `continue`: an event that matches goes here and on to the entries below as well (fan-out). */
  readonly continues: boolean;
}

/** null = any. Types are canonical names (former names mapped), everything lower case. */
export interface MatchConfig {
  readonly eventTypes: ReadonlySet<string> | null;
  readonly mailClasses: ReadonlySet<string> | null;
}

export type DestinationConfig =
  | HttpPostConfig
  | CustomSqlConfig
  | SqlInsertConfig
  | { readonly type: 'drop_from_queue' }
  | { readonly type: 'leave_in_queue' };

/** What a destination's lane goes by: `concurrency`, `max_per_second`, `batch` and `retry` of SPEC 5. */
export interface LaneConfig {
  /** Requests or transactions under way at most; a batch is one. */
  readonly concurrency: number;
  /** Events a second at most; null = no limit. */
  readonly maxPerSecond: number | null;
  /** null = one event at a time. */
  readonly batch: BatchConfig | null;
  readonly retry: RetryConfig;
}

export interface BatchConfig {
  readonly maxEvents: number;
  /** How long an event may wait for its batch to fill; 0 = only as long as the lane is busy. */
  readonly maxWaitMs: number;
}

export interface RetryConfig {
  readonly initialMs: number;
  readonly maxMs: number;
  /** null = for ever. */
  readonly maxAttempts: number | null;
  readonly maxRetryAfterMs: number;
}

export interface HttpPostConfig extends LaneConfig {
  readonly type: 'http_post';
  /** May bear user information and a query: wrapped, since either can be a secret. */
  readonly url: Secret;
  readonly format: 'json' | 'form';
  readonly columns: 'all' | 'applicable';
  readonly timeoutMs: number;
  /** More request headers, in the file's order; checked, so that each can be sent as it is. */
  readonly headers: readonly HttpHeader[];
  /** null = none but the user information that the URL may bear. */
  readonly auth: HttpAuth | null;
  /** Keys of the signature in the form `whsec_<base64>`, the newest first; empty = requests are not signed. */
  readonly signingSecrets: readonly Secret[];
  /** null = Node's own authorities, no client certificate. */
  readonly tls: HttpTls | null;
  /** Bodies go out compressed with gzip. */
  readonly compress: boolean;
  /** Only addresses of the public internet are connected to. */
  readonly publicOnly: boolean;
  /** URL of the proxy that the environment names for this destination; null = none. It may bear a password. */
  readonly proxy: Secret | null;
}

export interface HttpHeader {
  readonly name: string;
  readonly value: Secret;
}

export type HttpAuth =
  | { readonly type: 'bearer'; readonly token: Secret }
  | { readonly type: 'basic'; readonly username: Secret; readonly password: Secret };

/** PEM texts. */
export interface HttpTls {
  /** Authorities to trust instead of Node's own. */
  readonly ca: string | null;
  /** Our certificate, with the chain that leads to its authority. */
  readonly cert: string | null;
  readonly key: Secret | null;
}

/** The database servers that SQL destinations know. */
export type SqlServerKind = 'postgresql' | 'mysql' | 'sql-server';

/** Where an SQL destination connects to: what `db_dsn`, `db_username` and `db_password` say together. */
export interface SqlTarget {
  readonly server: SqlServerKind;
  /** A host name or an address; null = a Unix socket. */
  readonly host: string | null;
  readonly port: number;
  /** PostgreSQL: the folder of the socket. MySQL: its path. null = TCP. */
  readonly socket: string | null;
  /** A named instance of SQL Server, whose port the server's browser tells. */
  readonly instance: string | null;
  readonly database: string;
  readonly username: Secret;
  readonly password: Secret | null;
  /** What no error may show: the password, and the user name when it was given as a secret. */
  readonly secrets: readonly Secret[];
  /** null = no TLS. */
  readonly tls: SqlTlsConfig | null;
}

export interface SqlTlsConfig {
  /** `full`: certificate and host name. `ca`: the certificate alone. `none`: encrypted to whoever answers. */
  readonly verify: 'full' | 'ca' | 'none';
  /** Absolute paths of PEM files. */
  readonly caFile: string | null;
  readonly certFile: string | null;
  readonly keyFile: string | null;
}

export interface CustomSqlConfig extends LaneConfig {
  readonly type: 'custom_sql';
  readonly target: SqlTarget;
  /** The statement cut at its placeholders: one piece more than `bindList` has columns. */
  readonly pieces: readonly string[];
  readonly bindList: readonly string[];
  readonly onConflict: 'accept' | 'fail';
}

export interface SqlInsertConfig extends LaneConfig {
  readonly type: 'sql_insert';
  readonly target: SqlTarget;
  /** The parts of the table's name, unquoted: table, schema and table, or database, schema and table. */
  readonly table: readonly string[];
  /** null = all that both tables have, but for `id`. */
  readonly columns: readonly string[] | null;
  readonly onConflict: 'accept' | 'fail';
}
