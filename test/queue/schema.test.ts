import { expect, test } from 'vitest';
import { checkSchema, initSchema } from '../../src/queue/schema.ts';
import { readStatus } from '../../src/queue/status.ts';
import { readQueueTable } from '../../src/queue/table.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { configOf, createForeignQueue, createQueue, Destinations, insert, type Queue, startTenure } from './world.ts';

/** Everything in the catalog that `init` could touch. */
const catalog = ({ database }: Queue): Promise<object[]> =>
  database.query(`SELECT c.oid::regclass::text AS relation, a.attname, a.atttypid::regtype::text AS type, pg_get_expr(d.adbin, d.adrelid) AS value
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    WHERE c.relnamespace IN ('public'::regnamespace, 'tailrace'::regnamespace) AND a.attnum > 0
    UNION ALL SELECT tgrelid::regclass::text, tgname, '', '' FROM pg_trigger ORDER BY 1, 2`);

test('init can be run again and changes nothing then', async () => {
  const queue = await createQueue({ notify: true });
  await insert(queue, [1]);
  const before = await catalog(queue);
  const { steps } = await initSchema(queue.session, { notify: true });
  expect(steps.filter((step) => step.startsWith('made'))).toEqual([]);
  expect(await catalog(queue)).toEqual(before);
  expect(await queue.database.query('SELECT id FROM events')).toEqual([{ id: '1' }]);
});

test('two at once do not collide', async () => {
  const queue = await createQueue();
  await queue.database.query('DROP SCHEMA tailrace CASCADE; DROP TABLE events, s_system_configs');
  const other = await queue.open();
  await Promise.all([initSchema(queue.session, { notify: true }), initSchema(other, { notify: true })]);
  await other.close();
  await readStatus(queue.session);
});

test('a found table is left as it is, but for the trigger when it is asked for', async () => {
  const queue = await createForeignQueue('CREATE TABLE events (event_type text, id bigint PRIMARY KEY)');
  const ofTable = async (): Promise<object[]> =>
    (await catalog(queue)).filter((row) => 'relation' in row && row.relation === 'events');
  expect(await ofTable()).toMatchObject([{ attname: 'event_type' }, { attname: 'id' }]);
  await initSchema(queue.session, { notify: true });
  expect(await ofTable()).toMatchObject([{ attname: 'event_type' }, { attname: 'id' }, { attname: 'tailrace_wake' }]);
});

test.each([
  ['SCHEMA_TOO_NEW', 'UPDATE tailrace.meta SET schema_version = 99'],
  ['SCHEMA_TOO_OLD', 'UPDATE tailrace.meta SET schema_version = 0'],
  ['SCHEMA_OF_OTHER_TABLE', `UPDATE tailrace.meta SET queue = 's_system_configs'::regclass`],
  ['SCHEMA_MISSING', 'DROP SCHEMA tailrace CASCADE'],
])('%s is said', async (code, sql) => {
  const queue = await createQueue();
  const { oid } = await readQueueTable(queue.session, 'events', false);
  await checkSchema(queue.session, oid);
  await queue.database.query(sql);
  await expect(checkSchema(queue.session, oid)).rejects.toMatchObject({ code });
});

test('status counts each event where it stands', async () => {
  const queue = await createQueue();
  const destinations = new Destinations();
  destinations.set('A', 'fails');
  destinations.set('C', 'fails');
  const routes = [
    { types: ['scomp'], to: 'A', retryMs: 60_000 },
    { types: ['bounce_all'], to: 'B', enabled: false },
    { types: ['engine_open'], to: 'C', maxAttempts: 1 },
    { to: 'left' },
  ];
  await insert(queue, [1, 2, 3], 'scomp');
  await insert(queue, [11, 12], 'bounce_all');
  await insert(queue, [21], 'engine_open');
  await insert(queue, [31, 32, 33, 34], 'engine_click');
  await queue.database.query(`UPDATE events SET bounce_text = repeat('x', 5000) WHERE id = 34`);
  const tenure = await startTenure(queue, { config: configOf({ routes, maxEventBytes: 4_000 }), destinations });
  const destinationsNow = async (): Promise<object> =>
    Object.fromEntries(
      (await readStatus(queue.session)).destinations.map(({ destination, waiting, retrying, parked }) => [
        destination,
        [waiting, retrying, parked],
      ]),
    );
  const expected = { '(too large)': [0, 0, 1], A: [0, 3, 0], B: [2, 0, 0], C: [0, 0, 1] };
  await waitFor(async () => JSON.stringify(await destinationsNow()) === JSON.stringify(expected)).catch(() => {});
  expect(await destinationsNow()).toEqual(expected);
  const status = await readStatus(queue.session);
  expect([status.queued, status.left, status.writer?.epoch]).toEqual([10, 3, tenure.rights.epoch]);
  expect(status.destinations.find(({ destination }) => destination === 'A')?.last_error).toBe('A said no');
});

test('status does without an event_time, and with one of another type', async () => {
  for (const column of ['', ', event_time timestamptz DEFAULT now()']) {
    const queue = await createForeignQueue(`CREATE TABLE events (id bigint PRIMARY KEY, event_type text${column})`);
    await queue.database.query(`INSERT INTO events (id, event_type) VALUES (1, 'scomp')`);
    expect(await readStatus(queue.session)).toMatchObject({ queued: 1, oldest_seconds: null });
  }
});
