// The switches while programs run: the built `run` mirrors them, the built `record` heeds them, each within a second.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { scaled } from '../acceptance/world.ts';
import { runCli, spawnCli, TAILRACE } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** The second of SPEC 7, with patience for a machine that does much else every day. */
const ONE_SECOND = { timeoutMs: scaled(1_000, 5_000) };

async function createScene() {
  const database = await createTestDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-online-'));
  onTestFinished(async () => {
    await rm(folder, { recursive: true });
    await database[Symbol.asyncDispose]();
  });
  const control = join(folder, 'control');
  await mkdir(control);
  const env = { TAILRACE_DATABASE_URL: database.url, TAILRACE_CONTROL_DIR: control };
  expect((await runCli(['init'], { cwd: folder, env })).code).toBe(0);
  const configure = (server: string) =>
    writeFile(join(folder, 'event_processor.json'), `{"server_id":"${server}","logfile":{"filename":"events.jsonl"}}`);
  await configure('mail1');
  return {
    database,
    folder,
    env,
    configure,
    control,
    set: (name: string, content: string) => writeFile(join(control, `record_events.${name}`), content),
    /** Whether the SQL function records an event of the type. */
    isRecorded: async (type: string): Promise<boolean> => {
      const [row] = await database.query('SELECT tailrace.record_event($1) AS id', [{ event_type: type }]);
      return row?.id !== null;
    },
  };
}

test('a processor mirrors the files within a second, its server too, and says once what it cannot read', async () => {
  const { database, env, folder, set, isRecorded, configure } = await createScene();
  await set('simplemh.scomp', '1\n');
  await set('simplemh.open', 'on\n');
  await using running = spawnCli(['run'], { cwd: folder, env });
  await running.waitForStderr('started as the writer');
  await waitFor(() => isRecorded('scomp'));
  expect(await isRecorded('engine_click')).toBe(false);
  await set('simplemh.click', '1\n');
  await waitFor(() => isRecorded('engine_click'), ONE_SECOND);
  await set('simplemh.click', '0\n');
  await waitFor(async () => !(await isRecorded('engine_click')), ONE_SECOND);
  await set('delivery_attempt.json', '{"enabled": true}');
  await waitFor(() => isRecorded('delivery_attempt'), ONE_SECOND);

  const server = async (): Promise<unknown> =>
    (await database.query('SELECT server_id FROM tailrace.recording'))[0]?.server_id;
  expect(await server()).toBe('mail1');
  await configure('mail2');
  await waitFor(async () => (await server()) === 'mail2');
  running.signal('SIGTERM');
  expect(await running.exit).toBe(0);
  const warnings = running.stderrLines.map((line) => JSON.parse(line)).filter(({ level }) => level > 30);
  expect(warnings).toMatchObject([
    { level: 40, msg: 'a recording switch cannot be read and counts as off', problem: 'holds "on", not 1' },
  ]);
});

test('`run --once` mirrors too, and a processor without a control directory leaves the switches alone', async () => {
  const { database, env, folder, set } = await createScene();
  await set('simplemh.scomp', '1\n');
  const on = () => database.query('SELECT event_type FROM tailrace.switches WHERE is_on');
  expect(await runCli(['run', '--once'], { cwd: folder, env })).toMatchObject({ code: 0, stderr: '' });
  expect(await on()).toEqual([{ event_type: 'scomp' }]);
  await set('simplemh.scomp', '0\n');
  const without = { TAILRACE_DATABASE_URL: database.url };
  expect(await runCli(['run', '--once'], { cwd: folder, env: without })).toMatchObject({ code: 0, stderr: '' });
  expect(await on()).toEqual([{ event_type: 'scomp' }]);
});

test('a processor that may not write the switches says so and goes on', async () => {
  const { database, env, folder, set } = await createScene();
  await set('simplemh.scomp', '1\n');
  await database.query(
    'CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE insufficient_privilege; END $$',
  );
  await database.query('CREATE TRIGGER refuse BEFORE INSERT ON tailrace.switches EXECUTE FUNCTION refuse()');
  await using running = spawnCli(['run'], { cwd: folder, env });
  await running.waitForStderr('cannot write the recording switches to PostgreSQL; trying again');
  await running.waitForStderr('started as the writer');
  await database.query('DROP TRIGGER refuse ON tailrace.switches');
  await waitFor(async () => (await database.query('SELECT FROM tailrace.switches WHERE is_on')).length === 1);
});

test('`record` heeds a file and the Studio’s table within a second, while it goes on', async () => {
  const { database, env, folder, set } = await createScene();
  const child = spawn(process.execPath, [TAILRACE, 'record'], { cwd: folder, env: { ...process.env, ...env } });
  const exit = once(child, 'close');
  const feeding = setInterval(() => {
    child.stdin.write('{"event_type":"engine_open"}\n{"event_type":"scomp","studio_campaign_id":1}\n');
  }, 50);
  onTestFinished(() => clearInterval(feeding));
  const count = async (type: string): Promise<number> =>
    (await database.query('SELECT FROM events WHERE event_type = $1', [type])).length;
  const suppressed = async (type: string): Promise<number> =>
    (
      await database.query('SELECT sum(suppressed)::int AS n FROM tailrace.recording_count WHERE event_type = $1', [
        type,
      ])
    )[0]?.n;
  await waitFor(async () => (await suppressed('engine_open')) > 0);
  expect([await count('engine_open'), await count('scomp')]).toEqual([0, 0]);
  await set('simplemh.open', '1\n');
  await waitFor(() => count('engine_open'), ONE_SECOND);
  await database.query('UPDATE s_system_configs SET event_notification_scomp = true');
  await waitFor(() => count('scomp'), ONE_SECOND);

  await set('simplemh.open', '0\n');
  const before = await suppressed('engine_open');
  await waitFor(async () => (await suppressed('engine_open')) > before, ONE_SECOND);
  clearInterval(feeding);
  child.stdin.end();
  expect(await exit).toEqual([0, null]);
  expect(await database.query('SELECT is_on FROM tailrace.switches WHERE event_type = $1', ['engine_open'])).toEqual([
    { is_on: false },
  ]);
});

test('the package exports recordEvents for a program of one’s own', async () => {
  const { database, env } = await createScene();
  const program = `
    import pg from 'pg';
    import { InvalidEventsError, recordEvents } from 'tailrace';
    const client = new pg.Client({ connectionString: process.env.TAILRACE_DATABASE_URL });
    await client.connect();
    await client.query('BEGIN');
    console.log(await recordEvents(client, [{ event_type: 'order_mailed', email: 'ann@example.org' }]));
    await recordEvents(client, [{ event_type: 'scomp', bounce_code: 'x' }]).catch((error) => console.log(error instanceof InvalidEventsError));
    await client.query('COMMIT');
    await client.end();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: ROOT,
    env: { ...process.env, ...env },
  });
  expect(stdout).toBe("[ '1' ]\ntrue\n");
  expect(await database.query('SELECT email FROM events')).toEqual([{ email: 'ann@example.org' }]);
});
