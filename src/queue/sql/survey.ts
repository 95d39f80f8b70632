// The statements behind `plan`: what the configuration asks of an event, and nothing of its text.

import { quoteName } from '../session.ts';
import type { QueueTable } from '../table.ts';

/** Rows of one page: with what tailrace knows of them some 20 ms, and so long a snapshot lasts. */
export const SURVEY_PAGE = 5_000;

const columnsOf = ({ shape }: QueueTable, mailClasses: boolean): string => {
  const { kind } = shape.columns[shape.eventTimeAt] ?? {};
  const time = kind === 'integer' || kind === 'double' ? 'event_time' : 'NULL';
  return `id, ${quoteName('event_type')}, ${mailClasses && shape.mailclassAt >= 0 ? 'mailclass' : 'NULL'}, ${time}`;
};

/**
 * A page, $1 < id <= $2: id, type, mail class, event_time (NULL where it is no number).
 *
 * @param mailClasses the configuration asks for them; else the column is not read, and need not be granted.
 */
export const surveySql = (table: QueueTable, mailClasses: boolean): string => `
SELECT ${columnsOf(table, mailClasses)} FROM ${table.name}
WHERE id > $1::int8 AND id <= $2::int8${table.ours} ORDER BY id LIMIT ${SURVEY_PAGE}`;

/** The same of $1 percent of the table's blocks, chosen by the seed $2. */
export const sampleSql = (table: QueueTable, mailClasses: boolean): string => `
SELECT ${columnsOf(table, mailClasses)} FROM ${table.name} TABLESAMPLE SYSTEM ($1::real) REPEATABLE ($2::float8)
WHERE true${table.ours}`;

/** How many blocks the table $1 has; 0 where they are those of its partitions. */
export const BLOCKS_SQL = `SELECT pg_relation_size($1::oid) / current_setting('block_size')::int8`;
