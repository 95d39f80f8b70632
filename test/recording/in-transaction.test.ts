import { expect, onTestFinished, test } from 'vitest';
import { initSchema } from '../../src/queue/schema.ts';
import { Session } from '../../src/queue/session.ts';
import { SCHEMA_VERSION } from '../../src/queue/sql/schema.ts';
import { recordEvents } from '../../src/recording/record-events.ts';
import { readCounts, storeSwitches } from '../../src/recording/switch-store.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';

/** A database after `init` with these Engine types on. */
async function createQueue(
  options: { readonly on?: readonly string[]; readonly table?: string; readonly encoding?: string } = {},
): Promise<TestDatabase> {
  const database = await createTestDatabase(options.encoding ? { encoding: options.encoding } : {});
  onTestFinished(() => database[Symbol.asyncDispose]());
  if (options.table) await database.query(options.table);
  const session = await Session.open({ database: database.url, applicationName: 'test' });
  await initSchema(session, { notify: false });
  await session.close();
  const on = new Map((options.on ?? ['scomp', 'bounce_all']).map((type) => [type, true]));
  await storeSwitches(await database.client(), on, null);
  return database;
}

const recordEvent = async (database: TestDatabase, event: object): Promise<string | null> => {
  const [row] = await database.query<{ id: string | null }>('SELECT tailrace.record_event($1) AS id', [event]);
  return row?.id ?? null;
};
const SCOMP = { event_type: 'scomp', email: 'a@example.com' };
const OPEN = { event_type: 'engine_open' };

test('events are in the queue when the producer’s transaction commits, and never were when it does not', async () => {
  const database = await createQueue();
  const producer = await database.client();
  await producer.query('BEGIN');
  const ids = await recordEvents(producer, [SCOMP, OPEN, SCOMP]);
  const { rows } = await producer.query('SELECT tailrace.record_event($1) AS id', [SCOMP]);
  expect(ids).toEqual(['1', null, '2']);
  expect(rows).toEqual([{ id: '3' }]);
  expect(await database.query('SELECT FROM events')).toEqual([]);
  await producer.query('COMMIT');
  expect(await database.query('SELECT id FROM events ORDER BY id')).toEqual([{ id: '1' }, { id: '2' }, { id: '3' }]);

  await producer.query('BEGIN');
  await recordEvents(producer, [SCOMP]);
  await producer.query('ROLLBACK');
  expect(await database.query('SELECT FROM events')).toHaveLength(3);
  expect((await readCounts(producer)).get('engine scomp')).toMatchObject({ recorded: 3, suppressed: 0 });
  expect((await readCounts(producer)).get('engine engine_open')).toMatchObject({ recorded: 0, suppressed: 1 });
});

test('recordEvents says what it takes when it is given one event', async () => {
  const producer = await (await createQueue()).client();
  await expect(recordEvents(producer, SCOMP as never)).rejects.toThrow('recordEvents takes an array of events');
});

test('record_events gives one id for each event in their order, NULL for what is switched off', async () => {
  const database = await createQueue();
  const events = Array.from({ length: 300 }, (_, n) => ({ ...(n % 3 === 1 ? OPEN : SCOMP), true_event_id: n }));
  const rows = await database.query('SELECT tailrace.record_events($1::jsonb) AS id', [JSON.stringify(events)]);
  expect(rows).toHaveLength(300);
  expect(rows.filter(({ id }) => id === null)).toHaveLength(100);
  const stored = new Map(
    (await database.query('SELECT id, true_event_id::int AS at FROM events')).map(({ id, at }) => [id, at]),
  );
  for (const [at, { id }] of rows.entries()) if (id !== null) expect(stored.get(id)).toBe(at);
  expect(new Set((await database.query('SELECT event_unique_id AS u FROM events')).map(({ u }) => u)).size).toBe(200);
  expect(await database.query(`SELECT tailrace.record_events('[]') AS id`)).toEqual([]);
});

test('of an array with a bad event nothing is recorded, and the message says which', async () => {
  const database = await createQueue();
  const events = [SCOMP, { ...SCOMP, bounce_code: 'x' }, { email: 'a' }];
  const calling = database.query('SELECT tailrace.record_events($1::jsonb)', [JSON.stringify(events)]);
  await expect(calling).rejects.toMatchObject({
    code: '22023',
    message: 'event 2: bounce_code: expected integer, got "x"',
  });
  await expect(database.query(`SELECT tailrace.record_events('{}')`)).rejects.toThrow('expected an array of events');
  await expect(database.query('SELECT tailrace.record_event(NULL)')).rejects.toThrow('expected an object');

  const producer = await database.client();
  await producer.query('BEGIN');
  await expect(recordEvents(producer, events as never)).rejects.toMatchObject({
    code: 'EVENTS_INVALID',
    message: 'event 2: bounce_code: expected integer, got "x" (and 1 more); nothing of this call was recorded',
    problems: [
      { index: 1, error: 'bounce_code: expected integer, got "x"' },
      { index: 2, error: 'event_type: missing' },
    ],
  });
  // Found before anything was sent: the transaction is as good as before.
  expect(await recordEvents(producer, [SCOMP])).toHaveLength(1);
  await producer.query('COMMIT');
  expect(await database.query('SELECT FROM events')).toHaveLength(1);
});

test('all of them are recorded when that is asked for, and not counted', async () => {
  const database = await createQueue({ on: [] });
  const client = await database.client();
  expect(await recordEvents(client, [SCOMP, OPEN], { all: true })).toEqual(['1', '2']);
  expect([...(await readCounts(client)).keys()]).toEqual([]);
});

test('a switch of the Studio counts from the next statement', async () => {
  const database = await createQueue();
  const event = { ...SCOMP, studio_subscriber_id: 7 };
  expect(await recordEvent(database, event)).toBeNull();
  await database.query('UPDATE s_system_configs SET event_notification_scomp = true');
  expect(await recordEvent(database, event)).toBe('1');
  await database.query('DROP TABLE s_system_configs');
  expect(await recordEvent(database, event)).toBeNull();
});

test('no producer waits for another one, whatever they record, and the counts add up', async () => {
  const database = await createQueue();
  const producers = await Promise.all(Array.from({ length: 8 }, () => database.client()));
  for (const producer of producers) {
    await producer.query(`BEGIN; SET LOCAL lock_timeout = '2s'`);
    await recordEvents(producer, [SCOMP, OPEN]);
    await producer.query('SELECT tailrace.record_event($1)', [SCOMP]);
  }
  // Adding up meanwhile neither waits nor counts what is not committed.
  await database.query('SELECT tailrace.fold_recording_counts()');
  expect(await database.query('SELECT FROM tailrace.recording_count')).toEqual([]);
  for (const producer of producers) await producer.query('COMMIT');
  await Promise.all(producers.map((producer) => producer.query('SELECT tailrace.fold_recording_counts()')));
  const counts = await readCounts(await database.client());
  expect(counts.get('engine scomp')).toMatchObject({ recorded: 16, suppressed: 0 });
  expect(counts.get('engine engine_open')).toMatchObject({ recorded: 0, suppressed: 8 });
  await database.query('SELECT tailrace.fold_recording_counts()');
  expect((await database.query('SELECT FROM tailrace.recording_count')).length).toBe(2);
});

test.each(['REPEATABLE READ', 'SERIALIZABLE'])('producers in %s do not disturb one another', async (level) => {
  const database = await createQueue();
  const [one, two] = [await database.client(), await database.client()];
  for (const producer of [one, two]) await producer.query(`BEGIN ISOLATION LEVEL ${level}`);
  for (const producer of [one, two, one]) await recordEvents(producer, [SCOMP]);
  await database.query('SELECT tailrace.fold_recording_counts()');
  for (const producer of [one, two]) await producer.query('COMMIT');
  expect(await database.query('SELECT FROM events')).toHaveLength(3);
});

test('a table of another maker: unknown columns, an identity, a trigger that relies on the search path', async () => {
  const database = await createQueue({
    table: `CREATE SCHEMA mail; SET search_path = mail;
      CREATE TABLE events (tenant text, event_type text, meta jsonb, at timestamptz, id bigint GENERATED ALWAYS AS IDENTITY, size integer GENERATED ALWAYS AS (length(tenant)) STORED);
      CREATE TABLE seen (id bigint);
      CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO seen VALUES (NEW.id); RETURN NEW; END';
      CREATE TRIGGER see AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION see();
      DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = mail', current_database()); END $$`,
  });
  const event = { event_type: 'ours', tenant: 'ab', meta: { a: [1] }, at: '2026-01-05T10:00:00Z', linkid: 'x' };
  await database.query('RESET search_path; SET search_path = public');
  expect(await recordEvent(database, event)).toBe('1');
  expect(await recordEvents(await database.client(), [event])).toEqual(['2']);
  expect(await database.query('SELECT id, event_type, tenant, meta, size FROM mail.events ORDER BY id')).toEqual([
    { id: '1', event_type: 'ours', tenant: 'ab', meta: { a: [1] }, size: 2 },
    { id: '2', event_type: 'ours', tenant: 'ab', meta: { a: [1] }, size: 2 },
  ]);
  expect(await database.query('SELECT FROM mail.seen')).toHaveLength(2);
  await expect(recordEvent(database, { event_type: 'ours', size: 3 })).rejects.toThrow('size: unknown field');
});

test('the functions do without Unicode in the server', async () => {
  const database = await createQueue({ encoding: 'SQL_ASCII' });
  expect(await recordEvent(database, { event_type: 'hook_stat', listid: 'T99', bounce_text: 'x'.repeat(2_000) })).toBe(
    '1',
  );
  expect(await database.query('SELECT listid, length(bounce_text) FROM events')).toEqual([
    { listid: 't99', length: 1_024 },
  ]);
});

test('the server is the session’s setting, else what init or a processor wrote', async () => {
  const database = await createQueue();
  await database.query(`UPDATE tailrace.recording SET server_id = 'relay-7', bounce_text_bytes = 5`);
  await recordEvent(database, { event_type: 'bounce_all', bounce_text: '0123456789' });
  await database.query(`SET tailrace.server_id = 'web1'`);
  await recordEvent(database, SCOMP);
  expect(await database.query('SELECT server_id, bounce_text FROM events ORDER BY id')).toEqual([
    { server_id: 'relay-7', bounce_text: '01234' },
    { server_id: 'web1', bounce_text: null },
  ]);
});

test('names of a caller’s own stand in nobody’s way', async () => {
  const database = await createQueue();
  await database.query(`
    CREATE SCHEMA evil;
    CREATE FUNCTION evil.length(text) RETURNS int LANGUAGE sql AS 'SELECT 1/0';
    CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT NULL::timestamptz';
    CREATE TABLE evil.events (id bigint);
    CREATE TEMP TABLE events (id bigint, event_type text);
    SET search_path = evil, pg_catalog`);
  expect(await recordEvent(database, SCOMP)).toBe('1');
  expect(await database.query('SELECT FROM public.events')).toHaveLength(1);
});

test('a schema of the first version is upgraded by init, and keeps what was granted later', async () => {
  const database = await createQueue();
  await database.query(`
    DROP TABLE tailrace.switches, tailrace.recording, tailrace.recording_count, tailrace.checkpoint;
    DROP FUNCTION tailrace.record_event(jsonb), tailrace.record_events(jsonb);
    ALTER TABLE tailrace.lane DROP COLUMN shard, ADD PRIMARY KEY (destination_id);
    UPDATE tailrace.meta SET schema_version = 1`);
  const session = await Session.open({ database: database.url, applicationName: 'test' });
  onTestFinished(() => session.close());
  const { steps } = await initSchema(session, { notify: false });
  expect(steps).toContain(`upgraded schema tailrace from version 1 to ${SCHEMA_VERSION}`);
  const rights = async (): Promise<object[]> =>
    database.query(
      `SELECT proname FROM pg_proc WHERE pronamespace = 'tailrace'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE') ORDER BY 1`,
    );
  expect(await rights()).toEqual([{ proname: 'wake' }]);
  await database.query('GRANT EXECUTE ON FUNCTION tailrace.record_event(jsonb) TO PUBLIC');
  expect((await initSchema(session, { notify: false })).steps).toContain(
    `found schema tailrace, version ${SCHEMA_VERSION}`,
  );
  expect(await rights()).toEqual([{ proname: 'record_event' }, { proname: 'wake' }]);
  await storeSwitches(await database.client(), new Map([['scomp', true]]), null);
  expect(await recordEvent(database, SCOMP)).toBe('1');
});
