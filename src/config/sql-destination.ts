// Makes a `custom_sql` or `sql_insert` of the file into the destination that the router uses: its DSN and its credentials
// resolved, its statement cut at the placeholders, its columns held against those that are known.

import { resolve } from 'node:path';
import { EVENT_TYPES } from '../event/catalog.ts';
import { QUEUE_COLUMNS } from '../event/queue-columns.ts';
import { many } from '../lib/quantity.ts';
import { Secret } from '../lib/secret.ts';
import type { CustomSqlConfig, SqlInsertConfig, SqlTarget } from './config.ts';
import type { DestinationInput } from './destination-shape.ts';
import { splitSqlTarget, type TargetParts } from './identity.ts';
import type { Finding, Path } from './problem.ts';
import { resolveSecret, type SecretOptions } from './secrets.ts';
import type { SecretSource } from './shape-parts.ts';
import { readSqlDsn } from './sql-dsn.ts';
import { scanStatement } from './sql-statement.ts';
import { didYouMean } from './suggest.ts';
import { tuningOf } from './tuning.ts';

export type SqlInput = Extract<DestinationInput, { type: 'custom_sql' | 'sql_insert' }>;

/** A destination, or what is wrong with it. */
export type MadeSql =
  | { readonly destination: CustomSqlConfig | SqlInsertConfig; readonly parts: TargetParts }
  | { readonly findings: readonly Finding[] };

/** Every column that the queue table of SPEC 2 has. */
const KNOWN_COLUMNS: readonly string[] = [
  ...new Set([...QUEUE_COLUMNS.map(({ name }) => name), ...EVENT_TYPES.flatMap(({ fields }) => fields), 'processed']),
];

/** @param path where the destination stands in the file. */
export async function makeSqlDestination(input: SqlInput, path: Path, options: SecretOptions): Promise<MadeSql> {
  const resolved = await resolveTarget(input, path, options);
  const findings = 'target' in resolved ? [] : [...resolved.findings];
  const { target } = 'target' in resolved ? resolved : { target: null };
  findings.push(...findUnknownColumns(input, path));
  const secret = typeof input.db_dsn !== 'string';

  if (input.type === 'custom_sql') {
    const statement = target && scanStatement(input.sql, target.server);
    const problem = statement && target && statementProblem(statement, target, input.bind_list.length);
    if (problem) findings.push({ path: [...path, 'sql'], message: `"sql": ${problem}` });
    if (findings.length > 0 || !target || !statement) return { findings };
    const { bind_list: bindList, on_conflict: onConflict } = input;
    const { pieces } = statement;
    return {
      destination: { type: 'custom_sql', target, pieces, bindList, onConflict, ...tuningOf(input) },
      parts: splitSqlTarget(target, secret, '', JSON.stringify([input.sql, bindList])),
    };
  }

  const table = readTableName(input.table);
  if (table === null || (target?.server === 'mysql' && table.length > 2)) {
    const message = '"table": expected TABLE or SCHEMA.TABLE; quote a part with a dot: "a.b"';
    findings.push({ path: [...path, 'table'], message });
  }
  if (findings.length > 0 || !target || !table) return { findings };
  return {
    destination: {
      type: 'sql_insert',
      target,
      table,
      columns: input.columns ?? null,
      onConflict: input.on_conflict,
      ...tuningOf(input),
    },
    parts: splitSqlTarget(target, secret, table.join('.'), ''),
  };
}

type Resolved = { readonly target: SqlTarget } | { readonly findings: readonly Finding[] };

async function resolveTarget(input: SqlInput, path: Path, options: SecretOptions): Promise<Resolved> {
  const findings: Finding[] = [];
  const fail = (key: string, problem: string): null => {
    findings.push({ path: [...path, key], message: `"${key}": ${problem}` });
    return null;
  };
  const read = async (key: 'db_dsn' | 'db_username' | 'db_password'): Promise<string | null> => {
    const source: SecretSource | undefined = input[key];
    if (source === undefined) return null;
    const resolved = await resolveSecret(source, options);
    return 'problem' in resolved ? fail(key, resolved.problem) : resolved.secret.reveal();
  };
  const text = await read('db_dsn');
  const username = await read('db_username');
  const password = await read('db_password');
  const dsn = text === null ? null : readSqlDsn(text);
  if (dsn && 'problem' in dsn) fail('db_dsn', dsn.problem);
  if (findings.length > 0 || !dsn || 'problem' in dsn) return { findings };
  const user = username ?? dsn.username ?? '';
  if (user === '') {
    return { findings: [{ path: [...path, 'db_dsn'], message: '"db_dsn": it names no user; add "db_username"' }] };
  }
  const known = password ?? dsn.password;
  const file = (name: string | null) => name && resolve(options.folder, name);
  const tls = dsn.tls && {
    verify: dsn.tls.verify,
    caFile: file(dsn.tls.caFile),
    certFile: file(dsn.tls.certFile),
    keyFile: file(dsn.tls.keyFile),
  };
  const hidden = typeof (input.db_username ?? input.db_dsn) === 'string' ? [] : [new Secret(user)];
  const secret = known === null ? null : new Secret(known);
  return {
    target: {
      ...dsn,
      tls,
      username: new Secret(user),
      password: secret,
      secrets: secret === null ? hidden : [secret, ...hidden],
    },
  };
}

function statementProblem(
  { pieces, open, several }: ReturnType<typeof scanStatement>,
  { server }: SqlTarget,
  bound: number,
): string | null {
  if (open !== null) return `${open} has no end`;
  if (several && server === 'postgresql') {
    return 'expected one statement, found another one behind a semicolon; put the two into a function or a CTE';
  }
  const found = pieces.length - 1;
  if (found === bound) return null;
  const hint = server === 'postgresql' && found > bound ? '; the operator ? is written ??' : '';
  return `expected a placeholder ? for each of the ${many(bound, 'column')} of "bind_list", found ${found}${hint}`;
}

function findUnknownColumns(input: SqlInput, path: Path): Finding[] {
  const key = input.type === 'custom_sql' ? 'bind_list' : 'columns';
  const names = (input.type === 'custom_sql' ? input.bind_list : input.columns) ?? [];
  return names.flatMap((name, at): Finding[] => {
    const place: Path = [...path, key, at];
    if (key === 'columns' && names.indexOf(name) !== at) {
      return [{ path: place, message: `"columns": ${JSON.stringify(name)} is named twice` }];
    }
    if (KNOWN_COLUMNS.includes(name)) return [];
    const hint = didYouMean(name, KNOWN_COLUMNS);
    return [
      { path: place, message: `"${key}": expected a column of the queue table, found ${JSON.stringify(name)}${hint}` },
    ];
  });
}

/** The parts of a table's name: bare words, or quoted as one of the servers quotes. */
function readTableName(text: string): readonly string[] | null {
  const parts: string[] = [];
  const part = /\s*(?:"((?:[^"]|"")+)"|`((?:[^`]|``)+)`|\[((?:[^\]]|\]\])+)\]|([^\s"`[\].]+))\s*(\.|$)/y;
  while (part.lastIndex < text.length) {
    const match = part.exec(text);
    if (!match) return null;
    const [whole, double, back, bracket, bare, end] = match;
    parts.push(
      double?.replaceAll('""', '"') ?? back?.replaceAll('``', '`') ?? bracket?.replaceAll(']]', ']') ?? bare ?? '',
    );
    if (end === '') break;
    if (whole.length + match.index === text.length) return null;
  }
  return parts.length >= 1 && parts.length <= 3 ? parts : null;
}
