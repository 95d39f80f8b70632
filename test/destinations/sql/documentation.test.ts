// The page on SQL destinations: its examples are good, and its tables take every column of the queue.

import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { createEvent, createRowShape } from '../../../src/event/event.ts';
import { QUEUE_COLUMNS } from '../../../src/event/queue-columns.ts';
import { load, messages } from '../../config/config-file.ts';
import { requireMariadb, startMariadb } from '../../helpers/mariadb.ts';
import { createTestDatabase } from '../../helpers/postgres.ts';
import { NEVER } from '../samples.ts';
import { sqlDestination } from './subject.ts';

const PAGE = await readFile(new URL('../../../docs/sql-destinations.md', import.meta.url), 'utf8');

/** The first block in a language. */
const block = (language: string): string => new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'ms').exec(PAGE)?.[1] ?? '';

const SHAPE = createRowShape(
  QUEUE_COLUMNS.map(({ name, type }) => ({
    name,
    kind:
      type === 'boolean' ? 'boolean' : type === 'double precision' ? 'double' : /int/.test(type) ? 'integer' : 'text',
  })),
);

/** An event with a value in each column. */
const FULL = createEvent(
  SHAPE,
  SHAPE.columns.map(({ name, kind }) =>
    kind === 'boolean' ? 't' : kind === 'text' ? (name.endsWith('_ip') ? '192.0.2.1' : 'text') : '7',
  ),
);

async function deliverTwice(db_dsn: string): Promise<void> {
  await using destination = await sqlDestination({ type: 'sql_insert', db_dsn, table: 'events' });
  for (let time = 0; time < 2; time += 1) {
    expect(await destination.deliver([FULL], NEVER)).toEqual([{ ok: true }]);
  }
  expect(destination.warnings).toEqual([]);
}

test('its configuration is good', async () => {
  const text = block('json').replace('/run/secrets/warehouse', '/etc/hostname');
  expect(messages(await load(text, { CRM_PASSWORD: 'x' }))).toEqual([]);
});

test('its table for PostgreSQL takes every column, and each event once', async () => {
  await using database = await createTestDatabase();
  await database.query(block('sql'));
  await deliverTwice(database.url);
  const [row, ...more] = await database.query('SELECT * FROM events');
  expect(Object.values(row ?? {})).not.toContain(null);
  expect(more).toEqual([]);
});

test.skipIf(!requireMariadb())(
  'its table for MySQL takes every column, and each event once',
  { timeout: 120_000 },
  async () => {
    await using mariadb = await startMariadb();
    const database = await mariadb.createDatabase();
    await database.query(block('mysql'));
    await deliverTwice(database.url);
    const [row, ...more] = await database.query('SELECT * FROM events');
    expect(Object.values(row ?? {})).not.toContain(null);
    expect(more).toEqual([]);
  },
);

test('its table for SQL Server names the same columns', () => {
  const names = (text: string) =>
    [
      ...text.matchAll(
        /[\s(][["`]?(\w+)[\]"`]? (?:n?varchar|\w*text|bigint|int|integer|boolean|bit|double|float|inet)/g,
      ),
    ].map(([, name]) => name);
  expect(names(block('tsql'))).toEqual(names(block('mysql')));
  expect(names(block('tsql'))).toHaveLength(QUEUE_COLUMNS.length - 1);
});
