import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RECORDING_SWITCHES } from '../../src/event/recording-switches.ts';
import { InvalidEventsError, recordEvents } from '../../src/recording/record-events.ts';
import { type RunningCli, runCli, spawnCli } from '../helpers/cli.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';
import { listening, type StartedIntake } from '../intake/scene.ts';
import { CASES, type Case, ENGINE_OFF, STUDIO_ON } from './cases.ts';

/** A row id is a recorded event, null a suppressed one, a text why it was rejected. */
type Outcome = { readonly id: string } | null | string;

let folder = '';
let config = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tailrace-alike-'));
  config = join(folder, 'config.json');
  await writeFile(config, '{"server_id": "mail1", "logfile": {"filename": "x.jsonl"}}');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** A database after `init`, with the switches of the cases. */
async function createSwitched(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  const cli = async (...args: string[]) => {
    const { code, stderr } = await runCli(args, { cwd: folder, env: { TAILRACE_DATABASE_URL: database.url } });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  };
  await cli('init', '--config', config);
  const engine = RECORDING_SWITCHES.filter(({ type, origin }) => origin === 'engine' && !ENGINE_OFF.includes(type));
  await cli('recording', 'enable', '--engine', ...engine.map(({ type }) => type));
  await cli('recording', 'enable', '--studio', ...STUDIO_ON);
  await database.query(`UPDATE tailrace.recording SET server_id = 'mail1'`);
  return database;
}

/** The event with its number in a column that the cases do not use, so that its row is found again. */
const numbered = (text: string, at: number): string =>
  text.startsWith('{') ? `{"true_event_id":${at},${text.slice(1)}` : text;

async function check(
  database: TestDatabase,
  { row, error, sqlError, suppressed }: Case,
  at: number,
  outcome: Outcome,
  isSql: boolean,
) {
  if (suppressed) expect(outcome).toBeNull();
  else if (error !== undefined) {
    const parts = (text: string): string[] =>
      text
        .replace(/; did you mean "[^"]*"\?/, '')
        .split('; ')
        .sort();
    if (isSql && sqlError instanceof RegExp) expect(outcome).toMatch(sqlError);
    else expect(parts(String(outcome))).toEqual(parts(error));
  } else {
    expect(outcome).toEqual({ id: expect.any(String) });
    const names = Object.keys(row ?? {});
    const found = await database.query<Record<string, string | null>>(
      `SELECT id::text AS found_id, ${names.map((name) => `"${name}"::text AS "${name}"`).join()} FROM events WHERE true_event_id = $1`,
      [at],
    );
    expect(found).toHaveLength(1);
    const [{ found_id, ...values } = {}] = found;
    if (typeof outcome === 'object' && outcome?.id !== '') expect(found_id).toBe(outcome?.id);
    for (const [name, expected] of Object.entries(row ?? {})) {
      if (expected instanceof RegExp) expect(values[name]).toMatch(expected);
      else expect(values[name]).toBe(expected);
    }
    return;
  }
  expect(await database.query('SELECT FROM events WHERE true_event_id = $1', [at])).toHaveLength(0);
}

describe('tailrace record', () => {
  let database: TestDatabase;
  const rejected = new Map<number, string>();
  beforeAll(async () => {
    database = await createSwitched();
    const input = CASES.map(({ event }, at) => numbered(event, at)).join('\n');
    const rejects = join(folder, 'rejects.jsonl');
    const args = ['record', '--config', config, '--rejects', rejects, '--format', 'jsonl'];
    const { stdout } = await runCli(args, { input, env: { TAILRACE_DATABASE_URL: database.url } });
    expect(stdout).toContain(`switched off ${CASES.filter((each) => each.suppressed).length}`);
    for (const line of (await readFile(rejects, 'utf8')).trimEnd().split('\n')) {
      const { line: number, error } = JSON.parse(line);
      rejected.set(number - 1, error);
    }
  });
  afterAll(() => database[Symbol.asyncDispose]());

  test.each(CASES.map((each, at) => [each.title, at] as const))('%s', async (_, at) => {
    const each = CASES[at] as Case;
    const stored = await database.query('SELECT FROM events WHERE true_event_id = $1', [at]);
    const outcome = rejected.get(at) ?? (stored.length > 0 ? { id: '' } : null);
    await check(database, each, at, outcome, false);
  });
});

describe('the SQL functions', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createSwitched();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  test.each(CASES.map((each, at) => [each.title, at] as const))('%s', async (_, at) => {
    const each = CASES[at] as Case;
    const event = numbered(each.event, at);
    if (each.notInJsonb) {
      await expect(database.query('SELECT tailrace.record_event($1::jsonb)', [event])).rejects.toMatchObject({
        code: expect.stringMatching(/^22/),
      });
      return;
    }
    const one = await database
      .query<{ id: string | null }>('SELECT tailrace.record_event($1::jsonb) AS id', [event])
      .then(
        ([row]): Outcome => (typeof row?.id === 'string' ? { id: row.id } : null),
        (error: Error) => error.message,
      );
    await check(database, each, at, one, true);
    await database.query('DELETE FROM events WHERE true_event_id = $1', [at]);

    const many = await database
      .query<{ id: string | null }>('SELECT tailrace.record_events(jsonb_build_array($1::jsonb)) AS id', [event])
      .then(
        ([row]): Outcome => (typeof row?.id === 'string' ? { id: row.id } : null),
        (error: Error) => error.message,
      );
    await check(database, each, at, typeof many === 'string' ? many.replace(/^event 1: /, '') : many, true);
  });
});

describe('recordEvents', () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await createSwitched();
  });
  afterAll(() => database[Symbol.asyncDispose]());

  test.each(CASES.map((each, at) => [each.title, at] as const))('%s', async (_, at) => {
    const each = CASES[at] as Case;
    const given = each.js ?? JSON.parse(each.event);
    const event = typeof given === 'object' && !Array.isArray(given) ? { ...given, true_event_id: at } : given;
    const outcome = await recordEvents(await database.client(), [event], { serverId: 'mail1' }).then(
      ([id]): Outcome => (typeof id === 'string' ? { id } : null),
      (error: Error) => (error instanceof InvalidEventsError ? (error.problems[0]?.error ?? '') : error.message),
    );
    await check(database, each.js && each.sqlError ? { ...each, error: outcome as string } : each, at, outcome, false);
  });
});

describe('tailrace intake', () => {
  let database: TestDatabase;
  let program: RunningCli;
  let intake: StartedIntake;
  beforeAll(async () => {
    database = await createSwitched();
    program = spawnCli(['intake', '--listen', '127.0.0.1:0', '--config', config], {
      env: { TAILRACE_DATABASE_URL: database.url },
    });
    intake = await listening(program);
  });
  afterAll(async () => {
    await program[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  /** What the intake answers for one event, in any of the forms that it takes. */
  const outcomeOf = ({ status, body }: Awaited<ReturnType<StartedIntake['send']>>): Outcome => {
    const [id] = body.ids ?? [];
    if (status === 202) return typeof id === 'string' ? { id } : null;
    const lines = body.problems?.map(({ field, message }) => {
      const name = field !== null && /^\w+$/.test(field) ? field : JSON.stringify(field);
      return field === null ? message : `${name}: ${message}`;
    });
    return lines?.join('; ') ?? String(body.message);
  };

  test.each(CASES.map((each, at) => [each.title, at] as const))('%s', async (_, at) => {
    const each = CASES[at] as Case;
    const event = numbered(each.event, at);
    const headers = { 'content-type': 'application/x-ndjson' };
    const ways = [
      // By itself an array is no event but a list of them.
      ...(event.startsWith('[') ? [] : [() => intake.send(event)]),
      () => intake.send(`[${event}]`),
      () => intake.send(`${event}\n`, { headers }),
      () => intake.send(`[${event}]`, { path: '/events?partial=1' }),
    ];
    for (const way of ways) {
      await check(database, each, at, outcomeOf(await way()), false);
      await database.query('DELETE FROM events WHERE true_event_id = $1', [at]);
    }
  });
});
