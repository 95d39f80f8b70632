import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect, onTestFinished, test } from 'vitest';
import { EVENT_TYPES } from '../../src/event/catalog.ts';
import { QUEUE_COLUMNS } from '../../src/event/queue-columns.ts';
import { type CopyClient, openRecordingConnection } from '../../src/recording/connection.ts';
import { openInputFile } from '../../src/recording/input-file.ts';
import type { InputRecord } from '../../src/recording/input-record.ts';
import { readInput } from '../../src/recording/read-input.ts';
import { createRecorder, type RecorderOptions } from '../../src/recording/recorder.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';

const OPTIONS = { serverId: 'mail1', bounceTextBytes: 1024 };

/** A database with the queue table and nothing else of tailrace's. */
async function createQueue(columns = QUEUE_COLUMNS): Promise<TestDatabase> {
  const database = await createTestDatabase();
  const definitions = columns.map(
    ({ name, type, defaultSql }) => `${name} ${type} ${defaultSql ? `DEFAULT ${defaultSql}` : ''}`,
  );
  await database.query('CREATE SEQUENCE events_seq');
  await database.query(`CREATE TABLE events (${definitions.join(', ')}, PRIMARY KEY (id))`);
  return database;
}

/** Records lines and gives the counts with the rejected events as `line: error`. */
async function recordLines(client: CopyClient, lines: readonly string[], options: Partial<RecorderOptions> = {}) {
  const rejections: string[] = [];
  const onRejected = async ({ line }: InputRecord, error: string) => void rejections.push(`${line}: ${error}`);
  const recorder = await createRecorder(client, { ...OPTIONS, onRejected, ...options });
  await recorder.record(readInput(toSource(lines), 'jsonl'));
  return { ...recorder.counts, rejections, missingColumns: [...recorder.missingColumns] };
}

async function* toSource(lines: readonly string[]): AsyncGenerator<Buffer> {
  for (const line of lines) yield Buffer.from(`${line}\n`);
}

test('an event of every type is stored with all its fields', async () => {
  await using database = await createQueue();
  await using connection = await openRecordingConnection(database.url);
  const typeOf = new Map(QUEUE_COLUMNS.map(({ name, type }) => [name, type]));
  const samples: Record<string, unknown> = {
    integer: 7,
    bigint: 8,
    'double precision': 1.5,
    boolean: true,
    inet: '192.0.2.7',
  };
  const lines = EVENT_TYPES.map(({ name, fields }) =>
    JSON.stringify({
      event_type: name,
      ...Object.fromEntries(fields.map((field) => [field, samples[typeOf.get(field) ?? ''] ?? `x ${field}`])),
    }),
  );
  expect(await recordLines(connection, lines)).toMatchObject({ recorded: 14, rejected: 0 });
  const rows = await database.query('SELECT * FROM events ORDER BY id');
  for (const [at, { name, fields }] of EVENT_TYPES.entries()) {
    expect(rows[at]).toMatchObject({ id: String(at + 1), event_type: name, destination_id: 1 });
    expect(fields.filter((field) => rows[at]?.[field] === null)).toEqual([]);
  }
});

test('digits, texts and objects arrive in the table as they were', async () => {
  await using database = await createQueue();
  await using connection = await openRecordingConnection(database.url);
  const text = 'a"b\\c\nd\u2028é😀\'{}$1 \u0001';
  const headers = '{"n":9007199254740993, "x":["\\u0000"]}';
  const line = `{"event_type":"x","studio_rl_seq":9223372036854775807,"timestamp":1795298400.123456,"email":${JSON.stringify(text)},"headers":${headers},"user_agent":"","synchronous":false}`;
  await recordLines(connection, [line]);
  const [row] = await database.query(
    'SELECT studio_rl_seq::text, timestamp::text, email, headers, user_agent, synchronous FROM events',
  );
  expect(row).toEqual({
    studio_rl_seq: '9223372036854775807',
    timestamp: '1795298400.123456',
    email: text,
    headers,
    user_agent: '',
    synchronous: false,
  });
});

test('a bad event is rejected with its line, the others of its batch are recorded', async () => {
  await using database = await createQueue();
  await using connection = await openRecordingConnection(database.url);
  const lines = [
    '{"event_type":"scomp"}',
    'nonsense',
    '{"event_type":"scomp","bounce_code":"x"}',
    '{"event_type":"scomp"}',
  ];
  const result = await recordLines(connection, lines);
  expect(result).toMatchObject({ recorded: 2, rejected: 2, line: 4 });
  expect(result.rejections[0]).toMatch(/^2: not valid JSON/);
  expect(result.rejections[1]).toBe('3: bounce_code: expected integer, got "x"');
});

test('events that only PostgreSQL refuses are rejected alone', async () => {
  await using database = await createQueue();
  await database.query(`ALTER TABLE events ADD CHECK (email <> 'evil')`);
  await using connection = await openRecordingConnection(database.url);
  const lines = Array.from({ length: 1_500 }, (_, n) =>
    JSON.stringify({ event_type: 'scomp', email: n % 500 === 3 ? 'evil' : `${n}` }),
  );
  const result = await recordLines(connection, lines);
  expect(result).toMatchObject({ recorded: 1_497, rejected: 3 });
  expect(result.rejections.map((rejection) => rejection.split(':')[0])).toEqual(['4', '504', '1004']);
  expect(result.rejections[0]).toContain('violates check constraint');
  expect(await database.query('SELECT count(*)::int, count(DISTINCT email)::int AS emails FROM events')).toEqual([
    { count: 1_497, emails: 1_497 },
  ]);
});

test('an event from a pipe is stored although the pipe stays open', async () => {
  await using database = await createQueue();
  await using connection = await openRecordingConnection(database.url);
  const pipe = new PassThrough();
  const recorder = await createRecorder(connection, { ...OPTIONS, onRejected: async () => {} });
  const recording = recorder.record(readInput(pipe, 'auto'));
  pipe.write('{"event_type":"scomp"}\n{"event_type":"sco');
  await waitFor(async () => (await database.query('SELECT FROM events')).length === 1);
  pipe.end('mp"}\n');
  await recording;
  expect(recorder.counts).toMatchObject({ recorded: 2, rejected: 0, line: 2 });
});

test('what came before the input fails is stored', async () => {
  await using database = await createQueue();
  await using connection = await openRecordingConnection(database.url);
  async function* input(): AsyncGenerator<InputRecord[]> {
    yield [{ line: 1, text: '{"event_type":"scomp"}' }];
    throw new Error('the disk is gone');
  }
  const recorder = await createRecorder(connection, { ...OPTIONS, onRejected: async () => {} });
  await expect(recorder.record(input())).rejects.toThrow('the disk is gone');
  expect(recorder.counts.recorded).toBe(1);
  expect(await database.query('SELECT FROM events')).toHaveLength(1);
});

test('a table that lacks columns takes the rest, and the lacking ones are named', async () => {
  const few = QUEUE_COLUMNS.filter(({ name }) => ['id', 'event_type', 'email'].includes(name));
  await using database = await createQueue(few);
  await using connection = await openRecordingConnection(database.url);
  const result = await recordLines(connection, ['{"event_type":"scomp","email":"a@example.com","listid":"t99"}']);
  expect(result).toMatchObject({ recorded: 1, missingColumns: ['listid'] });
  expect(await database.query('SELECT * FROM events')).toEqual([
    { id: '1', event_type: 'scomp', email: 'a@example.com' },
  ]);
});

test('a database without the table is said so', async () => {
  await using database = await createTestDatabase();
  await using connection = await openRecordingConnection(database.url);
  await expect(recordLines(connection, [])).rejects.toMatchObject({ code: 'TABLE_MISSING', exitCode: 1 });
});

test('a connection that dies is an error of the database, not of the events', async () => {
  await using database = await createQueue();
  await using connection = await openRecordingConnection(database.url);
  const onRejected = async () => {
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tailrace record' AND datname = current_database()`,
    );
  };
  const recording = recordLines(connection, ['{"event_type":"scomp"}', 'nonsense'], { onRejected });
  await expect(recording).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', exitCode: 69 });
});

test('a database that is not there is an error with exit code 69', async () => {
  const opening = openRecordingConnection('postgresql://postgres@/x?host=/nonexistent');
  await expect(opening).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE', exitCode: 69 });
});

test('a hard bounce brings a bad address with it when that is asked for, and nothing else does', async () => {
  await using database = await createQueue();
  await using connection = await openRecordingConnection(database.url);
  const bounce = (members: string): string => `{"event_type":"hook_stat","event_time":5,"listid":"T1",${members}}`;
  const lines = [
    bounce('"bounce_type":"h","event_unique_id":"u","synchronous":true,"bounce_text":"gone"'),
    bounce('"bounce_type":"s"'),
    bounce('"bounce_code":10'),
    '{"event_type":"scomp","bounce_type":"h"}',
  ];
  expect(await recordLines(connection, lines)).toMatchObject({ recorded: 4, derived: 0 });
  await database.query('DELETE FROM events');
  for (const _ of [1, 2]) {
    expect(await recordLines(connection, lines, { derivesBadAddress: true })).toMatchObject({
      recorded: 5,
      derived: 1,
    });
  }
  const derived = await database.query(
    `SELECT event_time, listid, bounce_type, bounce_text, synchronous, event_unique_id FROM events WHERE event_type = 'bounce_bad_address'`,
  );
  const event_unique_id = createHash('sha256').update('bounce_bad_address u').digest('hex');
  const expected = {
    event_time: 5,
    listid: 't1',
    bounce_type: 'h',
    bounce_text: 'gone',
    synchronous: null,
    event_unique_id,
  };
  expect(derived).toEqual([expected, expected]);
});

test('columns of the table that an event does not name get their defaults', async () => {
  await using database = await createQueue();
  await database.query(`ALTER TABLE events ADD note text DEFAULT 'none', ADD rank int GENERATED ALWAYS AS (1) STORED`);
  await using connection = await openRecordingConnection(database.url);
  const lines = ['{"event_type":"a"}', '{"event_type":"b","note":"said"}', '{"event_type":"c","note":null}'];
  expect(await recordLines(connection, lines)).toMatchObject({ recorded: 3, rejected: 0 });
  expect(await database.query('SELECT event_type, note FROM events ORDER BY 1')).toEqual([
    { event_type: 'a', note: 'none' },
    { event_type: 'b', note: 'said' },
    { event_type: 'c', note: 'none' },
  ]);
});

test('a view takes events, and a constraint that waits for the commit refuses only its own', async () => {
  await using database = await createQueue();
  await database.query(`CREATE TABLE seen (email varchar PRIMARY KEY); INSERT INTO seen VALUES ('a'), ('b');
    ALTER TABLE events ADD FOREIGN KEY (email) REFERENCES seen DEFERRABLE INITIALLY DEFERRED`);
  await using connection = await openRecordingConnection(database.url);
  const lines = ['a', 'x', 'b'].map((email) => JSON.stringify({ event_type: 'scomp', email }));
  const refused = { recorded: 2, rejected: 1, rejections: [expect.stringMatching(/^2: .*foreign key/)] };
  expect(await recordLines(connection, lines)).toMatchObject(refused);
  await database.query('ALTER TABLE events RENAME TO behind; CREATE VIEW events AS SELECT * FROM behind');
  expect(await recordLines(connection, lines)).toMatchObject(refused);
  expect(await database.query('SELECT FROM behind')).toHaveLength(4);
});

test('a statement trigger is called, as for an INSERT', async () => {
  await using database = await createQueue();
  await database.query(`CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('said', ''); RETURN NULL; END $$;
    CREATE TRIGGER say AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION say()`);
  const listener = await database.client();
  let said = 0;
  listener.on('notification', () => {
    said += 1;
  });
  await listener.query('LISTEN said');
  await using connection = await openRecordingConnection(database.url);
  await recordLines(connection, ['{"event_type":"scomp"}', '{"event_type":"scomp"}']);
  await waitFor(() => said === 1);
});

test('a batch that fails is said although the pipe stays open and silent', async () => {
  await using database = await createQueue();
  await using connection = await openRecordingConnection(database.url);
  const pipe = new PassThrough();
  const recorder = await createRecorder(connection, { ...OPTIONS, onRejected: async () => {} });
  await database.query('DROP TABLE events');
  const recording = recorder.record(readInput(pipe, 'auto'));
  pipe.write('{"event_type":"scomp"}\n');
  await expect(recording).rejects.toMatchObject({ code: '42P01' });
  pipe.destroy();
});

test('a batch of megabytes that is refused at its beginning is halved, and the connection goes on', async () => {
  await using database = await createQueue();
  await database.query(`ALTER TABLE events ADD CHECK (email <> 'evil')`);
  await using connection = await openRecordingConnection(database.url);
  const lines = Array.from({ length: 300 }, (_, n) =>
    JSON.stringify({ event_type: 'scomp', email: n === 0 ? 'evil' : 'good', headers: 'x'.repeat(20_000) }),
  );
  expect(await recordLines(connection, lines)).toMatchObject({ recorded: 299, rejected: 1 });
  expect(await recordLines(connection, lines.slice(1, 3))).toMatchObject({ recorded: 2, rejected: 0 });
});

test('memory that is used again while a file is recorded mixes up nothing, in the table or among the rejected', async () => {
  await using database = await createQueue();
  await using connection = await openRecordingConnection(database.url);
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, 'events.jsonl');
  const filler = (n: number) =>
    createHash('sha256')
      .update(String(n))
      .digest('hex')
      .repeat(1 + (n % 20));
  const isBad = (n: number) => n % 1_000 === 7;
  const lines = Array.from({ length: 40_000 }, (_, n) =>
    JSON.stringify({ event_type: 'scomp', email: `${n}`, user_agent: filler(n), bounce_code: isBad(n) ? 'x' : n }),
  );
  await writeFile(path, lines.map((line) => `${line}\n`).join(''));
  await using file = await openInputFile(path);
  const rejected: string[] = [];
  const onRejected = async ({ text }: InputRecord) => void rejected.push(text);
  const recorder = await createRecorder(connection, { ...OPTIONS, onRejected });
  await recorder.record(readInput(file.chunks(), 'auto', file.giveBack));
  expect(rejected).toEqual(lines.filter((_, n) => isBad(n)));
  expect(recorder.counts).toMatchObject({ recorded: lines.length - rejected.length, rejected: 40 });
  const [found] = await database.query(
    `SELECT count(DISTINCT email)::int AS events, bool_and(bounce_code = email::int
       AND user_agent = repeat(encode(sha256(email::bytea), 'hex'), 1 + email::int % 20)) AS are_right FROM events`,
  );
  expect(found).toEqual({ events: recorder.counts.recorded, are_right: true });
});
