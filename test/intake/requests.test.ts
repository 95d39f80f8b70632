import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { waitFor } from '../helpers/wait-for.ts';
import { createScene } from './scene.ts';

// Many processes, each of which takes its time to start on a busy machine.
vi.setConfig({ testTimeout: 180_000 });

const GOOD = '{"event_type":"scomp","email":"a@example.com"}';
const BAD = '{"event_type":"scomp","bounce_code":"x"}';
const LINES = { headers: { 'content-type': 'application/x-ndjson' } };

test('one event, an array and JSON lines are in the queue when 202 comes, under the ids that it names', async () => {
  const { start, database } = await createScene();
  const { send } = await start();
  const one = await send(GOOD);
  expect(one).toMatchObject({ status: 202, body: { recorded: 1, ids: ['1'], suppressed: [] } });
  expect(one.headers['content-type']).toBe('application/json; charset=utf-8');
  expect(await send(` [ ${GOOD} ,\n${GOOD}\n] `)).toMatchObject({ status: 202, body: { ids: ['2', '3'] } });
  const lines = `\n{"event_type":"scomp","email":"b@example.com"}\r\n\n{"event_type":"scomp","email":"c@example.com"}`;
  expect(await send(lines, LINES)).toMatchObject({ status: 202, body: { ids: ['4', '5'] } });
  expect(await send('\ufeff[]')).toMatchObject({ status: 202, body: { recorded: 0, ids: [] } });
  const rows = await database.query('SELECT id, email, event_unique_id, server_id FROM events ORDER BY id');
  expect(rows.map(({ id, email }) => `${id} ${email}`)).toEqual([
    '1 a@example.com',
    '2 a@example.com',
    '3 a@example.com',
    '4 b@example.com',
    '5 c@example.com',
  ]);
  expect(new Set(rows.map(({ event_unique_id }) => event_unique_id)).size).toBe(5);
});

test('requests that come together share few transactions, and each gets its own ids', async () => {
  const { start, database } = await createScene();
  const { send } = await start();
  const names = Array.from({ length: 200 }, (_, at) => `n${at}`);
  const answers = await Promise.all(names.map((name) => send(`{"event_type":"scomp","email":"${name}"}`)));
  const rows = await database.query('SELECT id::text, email, xmin::text AS xid FROM events');
  expect(rows).toHaveLength(200);
  const emails = new Map(rows.map(({ id, email }) => [id, email]));
  expect(answers.map(({ body }) => emails.get(body.ids?.[0]))).toEqual(names);
  expect(new Set(rows.map(({ xid }) => xid)).size).toBeLessThan(150);
});

test('a bad event is named with its field, and nothing of its request is recorded', async () => {
  const { start, database } = await createScene();
  const { send } = await start();
  const both = '{"event_type":"scomp","bounce_code":"x","email":[]}';
  expect(await send(`[${GOOD},${both}]`)).toMatchObject({
    status: 400,
    body: {
      error: 'invalid_events',
      message: '1 of 2 events is not good; nothing was recorded.',
      problems: [
        { index: 1, field: 'bounce_code', message: 'expected integer, got "x"' },
        { index: 1, field: 'email', message: 'expected text, got []' },
      ],
    },
  });
  const { body } = await send(`${GOOD}\n\n{"event_type":\n${GOOD}`, LINES);
  expect(body.problems).toMatchObject([{ index: 1, line: 3, field: null }]);
  expect(body.problems?.[0]?.message).toMatch(/^not valid JSON/);
  expect(await send('7')).toMatchObject({ status: 400, body: { problems: [{ message: 'expected an object' }] } });
  expect(await database.query('SELECT FROM events')).toEqual([]);
});

test('with partial=1 the good ones are recorded and the others are named', async () => {
  const { start, database } = await createScene();
  const { send } = await start();
  const partial = { path: '/events?partial=1' };
  expect(await send(`[${BAD},${GOOD},7,${GOOD}]`, partial)).toMatchObject({
    status: 202,
    body: {
      recorded: 2,
      ids: [null, '1', null, '2'],
      problems: [
        { index: 0, field: 'bounce_code' },
        { index: 2, field: null },
      ],
    },
  });
  expect(await send(`[${BAD},${BAD}]`, partial)).toMatchObject({ status: 400, body: { error: 'invalid_events' } });
  expect(await send(GOOD, { path: '/events?partial=maybe' })).toMatchObject({ status: 400 });
  expect(await database.query('SELECT FROM events')).toHaveLength(2);
});

test('types that are switched off are not recorded, said and counted; with --all they are', async () => {
  const { start, tailrace, database } = await createScene();
  expect((await tailrace(['recording', 'disable', 'engine_open'])).code).toBe(0);
  const { send, program } = await start();
  const open = '{"event_type":"engine_open"}';
  expect(await send(`[${open},${GOOD},${open}]`)).toMatchObject({
    status: 202,
    body: { recorded: 1, ids: [null, '1', null], suppressed: [0, 2] },
  });
  expect(await send(open)).toMatchObject({ status: 202, body: { recorded: 0, suppressed: [0] } });
  expect((await tailrace(['recording', 'enable', 'engine_open'])).code).toBe(0);
  await waitFor(async () => (await send(open)).body.recorded === 1, { what: 'the switch to count', timeoutMs: 5_000 });
  program.signal('SIGTERM');
  expect(await program.exit).toBe(0);
  const { switches } = JSON.parse((await tailrace(['recording', 'list', '--json'])).stdout);
  const counts = (type: string) => switches.find((each: { type: string }) => each.type === type);
  expect(counts('scomp')).toMatchObject({ recorded: 1 });
  expect(counts('engine_open').recorded).toBe(1);
  expect(counts('engine_open').suppressed).toBeGreaterThanOrEqual(3);

  expect((await tailrace(['recording', 'disable', '--all'])).code).toBe(0);
  const regardless = await start(['--all']);
  expect(await regardless.send(open)).toMatchObject({ body: { recorded: 1, suppressed: [] } });
  expect(await database.query(`SELECT FROM events WHERE event_type = 'engine_open'`)).toHaveLength(2);
});

test('an event that PostgreSQL refuses spoils neither the request beside it nor, with partial=1, its neighbours', async () => {
  const { start, database } = await createScene();
  await database.query(`ALTER TABLE events ADD CONSTRAINT no_spam CHECK (email <> 'spam')`);
  const { send } = await start();
  const spam = '{"event_type":"scomp","email":"spam"}';
  const bodies = Array.from({ length: 60 }, (_, at) => (at % 10 === 3 ? `[${GOOD},${spam},${GOOD}]` : GOOD));
  const answers = await Promise.all(bodies.map((body) => send(body)));
  expect(answers.map(({ status }) => status)).toEqual(bodies.map((body) => (body === GOOD ? 202 : 400)));
  expect(answers[3]?.body).toMatchObject({
    problems: [{ index: 1, field: null, message: expect.stringContaining('no_spam') }],
  });
  expect(await database.query('SELECT FROM events')).toHaveLength(54);
  expect(await send(`${GOOD}\n${spam}\n${GOOD}`, { path: '/events?partial=1', ...LINES })).toMatchObject({
    status: 202,
    body: { recorded: 2, problems: [{ index: 1, line: 2 }] },
  });
  expect(await send(spam)).toMatchObject({ status: 400, body: { problems: [{ index: 0 }] } });
});

test('what an event lacks gets the column’s default, whatever others of its round have', async () => {
  const { start, database } = await createScene();
  await database.query(`ALTER TABLE events ADD COLUMN source text NOT NULL DEFAULT 'unknown'`);
  const { send } = await start();
  const given = '{"event_type":"scomp","source":"web"}';
  await send(`[${given},${GOOD},{"event_type":"scomp","source":null}]`);
  const rows = await database.query('SELECT source FROM events ORDER BY id');
  expect(rows.map(({ source }) => source)).toEqual(['web', 'unknown', 'unknown']);
});

test('an id that is an identity column is given and named', async () => {
  const { start, database } = await createScene();
  await database.query('ALTER TABLE events ALTER COLUMN id DROP DEFAULT');
  await database.query('DROP SEQUENCE events_seq');
  await database.query('ALTER TABLE events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (START 100)');
  const { send } = await start();
  expect((await send(`[${GOOD},${GOOD}]`)).body.ids).toEqual(['100', '101']);
});

test('the server and the length of bounce texts come from the configuration', async () => {
  const { start, database, folder } = await createScene();
  const config = join(folder, 'event_processor.json');
  const written = JSON.parse(await readFile(config, 'utf8'));
  await writeFile(config, JSON.stringify({ ...written, server_id: 'relay-7', store_bounce_details_length: 5 }));
  const { send } = await start(['--config', config]);
  await send('{"event_type":"bounce_all","bounce_text":"0123456789"}');
  expect(await database.query('SELECT server_id, bounce_text FROM events')).toEqual([
    { server_id: 'relay-7', bounce_text: '01234' },
  ]);
});
