// The contract of all destinations, and what the SQL destinations promise, on a real PostgreSQL and a real MariaDB.

import mysql from 'mysql2/promise';
import { afterAll, beforeAll, describe } from 'vitest';
import { createEvent } from '../../../src/event/event.ts';
import { type Mariadb, requireMariadb, startMariadb } from '../../helpers/mariadb.ts';
import { createTestDatabase } from '../../helpers/postgres.ts';
import { describeDestination, type Subject } from '../contract.ts';
import { describeSql } from './behaviour.ts';
import { type SqlWorld, sqlDestination, tableSql } from './subject.ts';

type Create = () => Promise<SqlWorld & AsyncDisposable>;

async function postgresqlWorld(): Promise<SqlWorld & AsyncDisposable> {
  const database = await createTestDatabase();
  return {
    server: 'postgresql',
    url: database.url,
    query: (sql) => database.query(sql),
    async hold(sql) {
      const client = await database.client();
      await client.query(`BEGIN; ${sql}`);
      return {
        [Symbol.asyncDispose]: async () => {
          await client.query('ROLLBACK').catch(() => undefined);
        },
      };
    },
    [Symbol.asyncDispose]: () => database[Symbol.asyncDispose](),
  };
}

/** The contract, with a table that refuses marked events by a CHECK, and one that is locked to make it hang. */
function describeContract(name: string, create: Create): void {
  for (const type of ['custom_sql', 'sql_insert'] as const) {
    describeDestination(`${type}, ${name}`, async (): Promise<Subject> => {
      const world = await create();
      await world.query(tableSql(world.server));
      const refusing = world.server === 'mysql' ? 'mod(event_time, 10) <> 7' : 'event_time % 10 <> 7';
      await world.query(`ALTER TABLE events ADD CONSTRAINT no_sevens CHECK (${refusing})`);
      const connection = { db_dsn: world.url, concurrency: 4 };
      const destination = await sqlDestination(
        type === 'custom_sql'
          ? {
              type,
              ...connection,
              sql: 'INSERT INTO events (event_type, event_time) VALUES (?, ?)',
              bind_list: ['event_type', 'event_time'],
            }
          : { type, ...connection, table: 'events' },
      );
      const refused = new Set<string>();
      let held: Promise<AsyncDisposable> | null = null;
      return {
        destination: {
          ...destination,
          // The contract refuses events by their id, the table by their time.
          deliver: async (events, options) => {
            if (held) await held;
            const timed = events.map((event) => {
              const { shape } = event;
              const values = shape.columns.map((_, at) => event.value(at));
              values[shape.eventTimeAt] = refused.has(event.id) ? '17' : '11';
              return createEvent(shape, values);
            });
            return destination.deliver(timed, options);
          },
        },
        refuse: (ids) => {
          for (const id of ids) refused.add(id);
        },
        hang: () => {
          held = world.hold(
            world.server === 'mysql' ? 'LOCK TABLES events WRITE' : 'LOCK TABLE events IN ACCESS EXCLUSIVE MODE',
          );
        },
        [Symbol.asyncDispose]: async () => {
          await destination.close();
          await (await held)?.[Symbol.asyncDispose]();
          await world[Symbol.asyncDispose]();
        },
      };
    });
  }
}

describe('PostgreSQL', () => {
  describeContract('PostgreSQL', postgresqlWorld);
  describeSql('PostgreSQL', postgresqlWorld);
});

describe.skipIf(!requireMariadb())('MariaDB', () => {
  let mariadb: Mariadb;
  beforeAll(async () => {
    mariadb = await startMariadb();
  }, 120_000);
  afterAll(async () => {
    await mariadb?.[Symbol.asyncDispose]();
  });

  const mariadbWorld: Create = async () => {
    const database = await mariadb.createDatabase();
    const holders: mysql.Connection[] = [];
    return {
      server: 'mysql',
      url: database.url,
      query: (sql) => database.query(sql),
      async hold(sql) {
        const connection = await mysql.createConnection({ uri: database.url });
        holders.push(connection);
        await connection.query('START TRANSACTION');
        await connection.query(sql);
        return { [Symbol.asyncDispose]: async () => connection.destroy() };
      },
      [Symbol.asyncDispose]: async () => {
        for (const connection of holders) connection.destroy();
      },
    };
  };
  describeContract('MariaDB', mariadbWorld);
  describeSql('MariaDB', mariadbWorld);
});
