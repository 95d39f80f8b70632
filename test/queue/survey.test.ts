import { expect, onTestFinished, test } from 'vitest';
import { initSchema } from '../../src/queue/schema.ts';
import { Session } from '../../src/queue/session.ts';
import { surveyQueue } from '../../src/queue/survey.ts';
import { readQueueTable } from '../../src/queue/table.ts';
import { createTestDatabase } from '../helpers/postgres.ts';

async function world(rows: number) {
  const database = await createTestDatabase();
  const session = await Session.open({ database: database.url, applicationName: 'surveyor' });
  onTestFinished(async () => {
    await session.close();
    await database[Symbol.asyncDispose]();
  });
  await initSchema(session, { notify: false });
  await database.query(`INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, $1::int)`, [rows]);
  return { database, session, table: await readQueueTable(session, 'events', false) };
}

test('holds no snapshot between two pages, so that the vacuum can go on', async () => {
  const { database, session, table } = await world(12_000);
  let pages = 0;
  for await (const page of surveyQueue(session, table, { mailClasses: true, signal: new AbortController().signal })) {
    pages += 1;
    expect(page.events.length).toBeGreaterThan(0);
    const [state] = await database.query(
      `SELECT state, backend_xmin, xact_start > query_start AS open FROM pg_stat_activity
       WHERE application_name = 'surveyor' AND datname = current_database()`,
    );
    expect(state).toMatchObject({ state: 'idle', backend_xmin: null });
  }
  expect(pages).toBe(3);
});

test('ends behind the page that is being read when it is told to', async () => {
  const { session, table } = await world(12_000);
  const stop = new AbortController();
  let events = 0;
  for await (const page of surveyQueue(session, table, { mailClasses: false, signal: stop.signal })) {
    events += page.events.length;
    stop.abort();
  }
  expect(events).toBe(5_000);
  // No transaction is left open.
  await expect(session.query('SELECT pg_current_xact_id_if_assigned()')).resolves.toEqual([[null]]);
  expect((await session.query('SELECT now() = statement_timestamp()'))[0]).toEqual(['t']);
});

test('a row that comes in meanwhile is not waited for', async () => {
  const { database, session, table } = await world(6_000);
  let events = 0;
  for await (const page of surveyQueue(session, table, { mailClasses: false, signal: new AbortController().signal })) {
    events += page.events.length;
    await database.query(`INSERT INTO events (event_type) SELECT 'late' FROM generate_series(1, 6000)`);
  }
  expect(events).toBe(6_000);
});
