import { expect, test } from 'vitest';
import { startTrickle } from '../../src/demo/trickle.ts';
import { createTestDatabase } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';

test('copies of what was recorded come in with ids, times and unique ids of their own', async () => {
  await using database = await createTestDatabase();
  await database.query(`
    CREATE SEQUENCE events_seq;
    CREATE TABLE events (id bigint DEFAULT nextval('events_seq'), event_type varchar, event_time integer,
      email varchar, is_privacy_open boolean, event_unique_id varchar, studio_ip inet);
    INSERT INTO events (event_type, event_time, email, is_privacy_open, event_unique_id, studio_ip)
      VALUES ('engine_open', 1, 'a@example.com', true, 'one', '192.0.2.1'), ('scomp', 2, null, null, 'two', null)`);
  const trickle = await startTrickle(await database.client(), 1000);
  await database.query('DELETE FROM events');
  await waitFor(async () => {
    await trickle.insertDue();
    return trickle.inserted >= 5;
  });

  const rows = await database.query('SELECT * FROM events ORDER BY id');
  expect(rows).toHaveLength(trickle.inserted);
  expect(rows[2]).toMatchObject({ id: '5', event_type: 'engine_open', email: 'a@example.com', studio_ip: '192.0.2.1' });
  expect(rows[3]).toMatchObject({ id: '6', event_type: 'scomp', email: null, is_privacy_open: null });
  expect(new Set(rows.map((row) => row.event_unique_id)).size).toBe(rows.length);
  expect(rows.every((row) => row.event_time > 1_700_000_000 && row.event_unique_id.length === 64)).toBe(true);
});

test('nothing trickles out of an empty table', async () => {
  await using database = await createTestDatabase();
  await database.query('CREATE TABLE events (id bigint)');
  const trickle = await startTrickle(await database.client(), 1000);
  await trickle.insertDue();
  expect(trickle.inserted).toBe(0);
});
