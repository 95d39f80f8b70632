// Checks of the queue table, the schema and the rights: each is made to fail once.

import { readFile } from 'node:fs/promises';
import { expect, onTestFinished, test, vi } from 'vitest';
import { allOf, createScene, finding, OF_THE_MACHINE } from './scene.ts';

// Every look is some forty questions.
vi.setConfig({ testTimeout: 180_000 });

test('a table as init makes it is good in every way', async () => {
  const { check } = await createScene();
  for (const name of ['table', 'columns', 'index', 'ids', 'triggers', 'schema', 'rights'])
    expect(await check(name), name).toMatchObject([{ state: 'ok', advice: [] }]);
});

test('without the table it says so once, and makes the other checks', async () => {
  const { check } = await createScene({ bare: true });
  expect(await check('table')).toMatchObject([finding('problem', 'there is no table events')]);
  expect(await check('queue')).toMatchObject([finding('warning', 'not looked at')]);
  expect(await check('locks').catch(() => 'none')).toBe('none');
  expect(await check('wraparound')).toMatchObject([{ state: 'ok' }]);
});

test('a schema of another version is a problem', async () => {
  const { check, database } = await createScene();
  await database.query('UPDATE tailrace.meta SET schema_version = 3');
  expect(await check('schema')).toMatchObject([finding('problem', 'run `tailrace init`')]);
  expect(await check('ids')).toMatchObject([{ state: 'ok' }]);
  await database.query('DROP SCHEMA tailrace CASCADE');
  expect(await check('schema')).toMatchObject([finding('problem', 'no schema tailrace')]);
});

test('columns that are gone, of your own, and of types that do not serve are told apart', async () => {
  const { check, database } = await createScene();
  await database.query(
    'ALTER TABLE events ADD COLUMN tenant text, ALTER COLUMN bounce_code TYPE text, DROP COLUMN linkid',
  );
  expect(await check('columns')).toMatchObject([
    finding(
      'ok',
      'of your own: tenant; of another type than usual: bounce_code text; newer ones that this table lacks: linkid',
    ),
  ]);
  await database.query(`ALTER TABLE events DROP COLUMN bounce_text, DROP COLUMN sender,
    ALTER COLUMN id DROP DEFAULT, ALTER COLUMN id TYPE numeric,
    ALTER COLUMN event_time TYPE text, ALTER COLUMN destination_id DROP DEFAULT, ALTER COLUMN destination_id TYPE text`);
  const findings = await check('columns');
  expect(findings).toMatchObject([
    finding('problem', 'id is numeric', 'ALTER TABLE public.events ALTER COLUMN id TYPE bigint'),
    finding('problem', 'destination_id is text'),
    finding('warning', 'event_time is text'),
    finding('warning', 'bounce_text, sender', 'ADD COLUMN "bounce_text" text, ADD COLUMN "sender" varchar;'),
  ]);
  // What it says to do helps.
  for (const { advice } of findings) for (const sql of advice) await database.query(sql);
  expect(await check('columns')).toMatchObject([{ state: 'ok' }]);
});

test('an index that is missing, not unique, or was not built to its end', async () => {
  const { check, database } = await createScene();
  await database.query('ALTER TABLE events DROP CONSTRAINT events_pkey');
  const [missing] = await check('index');
  expect(missing).toMatchObject(
    finding('problem', 'there is none on id', 'CREATE UNIQUE INDEX CONCURRENTLY ON public.events (id);'),
  );
  await database.query('CREATE INDEX slow_one ON events (id)');
  expect(await check('index')).toMatchObject([finding('warning', 'not unique')]);
  await database.query(String(missing?.advice[0]));
  expect(await check('index')).toMatchObject([{ state: 'ok' }]);
  await database.query("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'slow_one'::regclass");
  expect(await check('index')).toMatchObject([
    { state: 'ok' },
    finding('warning', 'slow_one is not valid', 'REINDEX INDEX CONCURRENTLY public.slow_one;'),
  ]);
});

test('a sequence that was set back is a problem, in the table and in what is remembered', async () => {
  const { check, database } = await createScene();
  await database.query(`INSERT INTO events (event_type) SELECT 'scomp' FROM generate_series(1, 20)`);
  expect(await check('ids')).toMatchObject([finding('ok', 'at 20, highest in use 20')]);
  await database.query(`SELECT setval('events_seq', 5)`);
  const [behind] = await check('ids');
  expect(behind).toMatchObject(
    finding('problem', 'is at 5, but there is an event 20', `SELECT setval('public.events_seq', 20);`),
  );
  await database.query(String(behind?.advice[0]));
  expect(await check('ids')).toMatchObject([{ state: 'ok' }]);
  await database.query(`INSERT INTO tailrace.pending (destination_id, event_id, generation, attempts, next_attempt_at, last_error)
    VALUES (1, 77, 1, 1, now(), 'no')`);
  expect(await check('ids')).toMatchObject([finding('problem', 'there is an event 77')]);
  await database.query('TRUNCATE tailrace.pending');
  await database.query('ALTER SEQUENCE events_seq CYCLE');
  expect(await check('ids')).toMatchObject([finding('problem', 'begins anew')]);
  await database.query('ALTER SEQUENCE events_seq NO CYCLE MAXVALUE 21');
  expect(await check('ids')).toMatchObject([finding('warning', '95 %')]);
  await database.query('ALTER TABLE events ALTER COLUMN id DROP DEFAULT');
  expect(await check('ids')).toMatchObject([finding('warning', 'no sequence')]);
});

test('an identity column is a sequence too', async () => {
  const { check, database } = await createScene();
  await database.query(`ALTER TABLE events ALTER COLUMN id DROP DEFAULT;
    ALTER TABLE events ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY`);
  await database.query(`INSERT INTO events (id, event_type) VALUES (9, 'scomp')`);
  expect(await check('ids')).toMatchObject([finding('problem', 'is at 0, but there is an event 9')]);
});

test('triggers, rules and foreign keys on what is settled are named', async () => {
  const { check, database } = await createScene();
  await database.query(`CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER count_them AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION keep()`);
  expect(await check('triggers')).toMatchObject([finding('ok', 'on INSERT: count_them')]);
  await database.query(`CREATE TRIGGER keep_them BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION keep();
    CREATE TABLE notes (event bigint REFERENCES events);
    CREATE RULE nothing AS ON DELETE TO events DO INSTEAD NOTHING`);
  expect(await check('triggers')).toMatchObject([
    finding('warning', 'keep_them runs for each row that is settled; if it returns NULL', 'DISABLE TRIGGER keep_them;'),
    finding('warning', 'the rule nothing'),
    finding('warning', 'the foreign key notes_event_fkey of notes'),
  ]);
});

test('row security and a table that is not logged are warned of', async () => {
  const { check, database } = await createScene();
  await database.query('ALTER TABLE events SET UNLOGGED');
  expect(await check('table')).toMatchObject([finding('warning', 'not logged', 'SET LOGGED;')]);
  await database.query('ALTER TABLE events ENABLE ROW LEVEL SECURITY');
  expect(await check('table')).toMatchObject([finding('warning', 'row security is on')]);
  await database.query('ALTER TABLE events RENAME TO real_events; CREATE VIEW events AS SELECT * FROM real_events');
  expect(await check('table')).toMatchObject([finding('problem', 'is no table')]);
});

test('rights that are missing are listed with the GRANT that mends it', async () => {
  const { check, database, configure, log } = await createScene();
  const role = `${database.name}_run`;
  await database.query(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA tailrace TO ${role}`);
  onTestFinished(async () => {
    const admin = await database.client();
    await admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
  const url = database.url.replace('postgres@', `${role}@`);
  const [bare] = await check('rights', { url });
  expect(bare).toMatchObject(
    finding('problem', `the role ${role}, which you are connected as, lacks SELECT on public.events`),
  );
  expect(bare?.advice).toContain(`GRANT SELECT, DELETE ON public.events TO ${role};`);
  expect(bare?.advice).toContain(`GRANT EXECUTE ON FUNCTION tailrace.fold_recording_counts() TO ${role};`);
  for (const sql of bare?.advice ?? []) await database.query(sql);
  expect(await check('rights', { url })).toMatchObject([{ state: 'ok' }]);

  await database.query(`REVOKE UPDATE ON tailrace.lane FROM ${role}`);
  expect(await check('rights', { url })).toMatchObject([finding('warning', 'lacks UPDATE on tailrace.lane')]);
  await database.query(`REVOKE DELETE ON events FROM ${role}; REVOKE USAGE ON SCHEMA tailrace FROM ${role}`);
  expect(await check('rights', { url })).toMatchObject([
    finding('problem', 'USAGE on SCHEMA tailrace', `GRANT USAGE ON SCHEMA tailrace TO ${role};`),
  ]);
  await configure({ logfile: { filename: log }, on_delivered: 'mark_processed' });
  await database.query(`GRANT USAGE ON SCHEMA tailrace TO ${role}; GRANT UPDATE ON tailrace.lane TO ${role}`);
  expect(await check('rights', { url })).toMatchObject([
    finding('problem', 'lacks UPDATE (processed)', `GRANT UPDATE (processed) ON public.events TO ${role};`),
  ]);
});

test('rows that nobody reads are counted', async () => {
  const { check, database } = await createScene();
  await database.query(
    `INSERT INTO events (event_type, destination_id) VALUES ('a', 1), ('b', 2), ('c', 2), ('d', NULL)`,
  );
  expect(await check('foreign rows')).toMatchObject([
    finding('warning', '1 row without a destination_id', 'UPDATE public.events SET destination_id = 1'),
    finding('warning', '2 rows with another destination_id', 'SELECT destination_id, count(*)'),
  ]);
  expect(await check('queue')).toMatchObject([finding('ok', '1 queued')]);
});

test('the least rights of the README are enough for all checks but two, which say what they lack', async () => {
  const { examine, database } = await createScene();
  const role = `${database.name}_least`;
  const page = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
  const granted = /CREATE ROLE tailrace_run LOGIN;\n(?:GRANT .*tailrace_run;\n)+/.exec(page)?.[0] ?? '';
  await database.query(granted.replaceAll('tailrace_run', role));
  onTestFinished(async () => {
    const admin = await database.client();
    await admin.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });
  const findings = allOf(await examine({ url: database.url.replace('postgres@', `${role}@`) }));
  const others = findings.filter(({ check: name, state }) => state !== 'ok' && name !== 'writer');
  expect(others.filter(({ check: name }) => !OF_THE_MACHINE.includes(name))).toMatchObject([
    { check: 'sight', advice: [`GRANT pg_monitor TO ${role};`] },
    { check: 'ids', advice: [`GRANT SELECT ON SEQUENCE public.events_seq TO ${role};`] },
  ]);
});
