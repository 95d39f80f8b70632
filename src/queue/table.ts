// The queue table as it is in this database: its columns, their kinds and which rows are ours. It may be somebody
// else's table, so the catalog is asked, nothing is assumed but `id` and `event_type`, and nothing is altered.

import { createHash } from 'node:crypto';
import { type Column, createRowShape, type RowShape, type ValueKind } from '../event/event.ts';
import { EXIT, TailraceError } from '../lib/errors.ts';
import { quoteName, type Session } from './session.ts';
import { ownIdsSql, type Shard, WHOLE } from './slots.ts';

/** Never written anywhere: the routing column and the mark of section 2. */
const NOT_READ = new Set(['destination_id', 'processed']);

/** pg_type oids (pg_type.dat): what is a JSON number or boolean; everything else is a string. */
const KIND_OF: ReadonlyMap<string, ValueKind> = new Map([
  ['16', 'boolean'],
  ['20', 'integer'],
  ['21', 'integer'],
  ['23', 'integer'],
  ['700', 'double'],
  ['701', 'double'],
]);
/** text, varchar, bpchar: their length is known without reading a value that is stored out of line. */
const TEXT_OIDS = new Set(['25', '1043', '1042']);
/** As text two digits a byte; its length is known likewise. */
const BYTEA_OID = '17';
/** numeric, inet, cidr: never long. */
const SHORT_OIDS = new Set(['1700', '869', '650']);
const VARIABLE_LENGTH = '-1';

export interface QueueTable {
  readonly oid: string;
  /** Differs between two shapes: part of the names of prepared statements, which outlive a change of the table. */
  readonly revision: string;
  /** Quoted and qualified, for SQL text. */
  readonly name: string;
  readonly shape: RowShape;
  /** SQL: the columns of `shape`, quoted, in order. */
  readonly selectList: string;
  /** SQL: octets of a row's variable-length columns, as bigint. */
  readonly bytes: string;
  /** Which part of the table is read. */
  readonly shard: Shard;
  /** SQL: ` AND …` that keeps foreign and processed rows and those of other shards out; empty where there is nothing to keep out. */
  readonly ours: string;
  readonly hasDestinationColumn: boolean;
  readonly hasProcessedColumn: boolean;
  readonly hasProcessedIndex: boolean;
  /**
   * `init --notify` was run: inserts wake the reader up. Not a shard: while one reads the others would sleep, and every
   * insert would have to notify them, which costs producers three quarters of their commits.
   */
  readonly hasWakeTrigger: boolean;
}

/** A table, and its columns in order as JSON: looked at every few seconds, in one statement and one row. */
const FIND_TABLE = `SELECT c.oid::text, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
    EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'tailrace_wake' AND t.tgenabled <> 'D'),
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid AND pg_get_expr(i.indpred, i.indrelid) ~* 'processed IS NOT TRUE'),
    (SELECT coalesce(json_agg(json_build_array(attname, atttypid::text, attlen::text, atttypmod::text) ORDER BY attnum), '[]')::text
     FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`;

/**
 * Reads the catalog for a table.
 *
 * @param name as in SQL: `events`, or qualified and quoted where needed.
 * @param markProcessed settled rows are marked, not deleted: then the table must be able to tell them apart.
 * @param shard whose events are read; default all.
 * @throws {TailraceError} `QUEUE_TABLE_MISSING` or `QUEUE_TABLE_UNUSABLE` (exit 1): no such table, or it lacks a mandatory column.
 */
export async function readQueueTable(
  session: Session,
  name: string,
  markProcessed: boolean,
  shard: Shard = WHOLE,
): Promise<QueueTable> {
  const [found] = await session.query(FIND_TABLE, [name]);
  if (!found) {
    throw new TailraceError(
      'QUEUE_TABLE_MISSING',
      `there is no table ${name} in this database; run \`tailrace init\` to make it, or check --database`,
    );
  }
  const [oid, qualified, hasWakeTrigger, hasProcessedIndex, columnsJson] = found.map(String) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const attributes: [string, string, string, string][] = JSON.parse(columnsJson);
  const names = new Set(attributes.map(([column]) => column));
  const missing = ['id', 'event_type'].filter((column) => !names.has(column));
  if (missing.length > 0) {
    throw new TailraceError(
      'QUEUE_TABLE_UNUSABLE',
      `the table ${qualified} has no column ${missing.join(' and no column ')}; tailrace needs id and event_type`,
    );
  }
  const hasProcessedColumn = names.has('processed');
  // Whatever the mode: what was marked once is done with, also after a change back to "delete".
  const skipsProcessed = hasProcessedColumn && hasProcessedIndex === 't';
  if (markProcessed && !(hasProcessedColumn && hasProcessedIndex === 't')) {
    throw new TailraceError(
      'QUEUE_TABLE_UNUSABLE',
      `on_delivered is "mark_processed", but the table ${qualified} lacks ${hasProcessedColumn ? 'the index' : 'the column and the index'} for it; run: ` +
        `${hasProcessedColumn ? '' : `ALTER TABLE ${qualified} ADD COLUMN processed boolean; `}CREATE INDEX CONCURRENTLY ON ${qualified} (id) WHERE processed IS NOT TRUE;`,
      { exitCode: EXIT.problem },
    );
  }
  const read = attributes.filter(([column]) => !NOT_READ.has(column));
  const columns: Column[] = read.map(([column, type]) => ({ name: column, kind: KIND_OF.get(type) ?? 'text' }));
  const lengths = read
    .filter(([, , length]) => length === VARIABLE_LENGTH)
    .map(([column, type]) => `coalesce(${sizeSql(quoteName(column), type)}, 0)::int8`);
  const selectList = columns.map((column) => quoteName(column.name)).join(', ');
  const bytes = lengths.length > 0 ? lengths.join(' + ') : '0::int8';
  const ours = `${names.has('destination_id') ? ' AND destination_id = 1' : ''}${skipsProcessed ? ' AND processed IS NOT TRUE' : ''}${ownIdsSql(shard, 'id')}`;
  // PostgreSQL refuses a prepared statement whose result has another type now, `varchar(100)` become `text` included.
  const types = read.map(([, type, , modifier]) => `${type}/${modifier}`).join();
  return {
    oid,
    revision: createHash('sha256')
      .update([oid, qualified, selectList, bytes, ours, types, hasWakeTrigger].join('\n'))
      .digest('hex')
      .slice(0, 12),
    name: qualified,
    shape: createRowShape(columns),
    selectList,
    bytes,
    shard,
    ours,
    hasDestinationColumn: names.has('destination_id'),
    hasProcessedColumn,
    hasProcessedIndex: hasProcessedIndex === 't',
    hasWakeTrigger: hasWakeTrigger === 't' && shard.of === 1,
  };
}

/**
 * SQL: how many octets a column has as text. Not `pg_column_size`, which is what a value takes in the table: a hundred
 * megabytes of JSON may be one there, compressed, and would still have to be read as a hundred.
 */
function sizeSql(column: string, type: string): string {
  if (TEXT_OIDS.has(type)) return `octet_length(${column})`;
  if (type === BYTEA_OID) return `2 * octet_length(${column})::int8 + 2`;
  return SHORT_OIDS.has(type) ? `pg_column_size(${column})` : `octet_length(${column}::text)`;
}
