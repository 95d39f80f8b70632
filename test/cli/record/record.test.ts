import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import yargs from 'yargs';
import { record } from '../../../src/cli/record/record.ts';
import { QUEUE_COLUMNS } from '../../../src/event/queue-columns.ts';
import { createTestDatabase } from '../../helpers/postgres.ts';

const GOOD = '{"event_type":"scomp","email":"a@example.com"}';

/** A folder and a database with the queue table, and the command run in them. */
async function createScene() {
  const database = await createTestDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-record-'));
  const definitions = QUEUE_COLUMNS.map(
    ({ name, type, defaultSql }) => `${name} ${type} ${defaultSql ? `DEFAULT ${defaultSql}` : ''}`,
  );
  await database.query('CREATE SEQUENCE events_seq');
  await database.query(`CREATE TABLE events (${definitions.join(', ')}, PRIMARY KEY (id))`);
  return {
    database,
    file: (name: string) => join(folder, name),
    write: async (name: string, content: string | Buffer) => {
      await writeFile(join(folder, name), content);
      return join(folder, name);
    },
    async [Symbol.asyncDispose]() {
      await rm(folder, { recursive: true });
      await database[Symbol.asyncDispose]();
    },
  };
}

/** Runs the command on a database that has no switches, hence with `--all`. */
async function run(args: readonly string[], url: string | undefined, input = '', isTTY = false) {
  const [stdout, stderr] = [new PassThrough(), Object.assign(new PassThrough(), { isTTY })];
  const parsed = await record
    .options(yargs())
    .command(record.usage, '')
    .parseAsync(['record', '--all', ...args]);
  const context = {
    env: url === undefined ? {} : { TAILRACE_DATABASE_URL: url },
    stdin: Readable.from([Buffer.from(input)]),
    stdout,
    stderr,
  };
  const outcome = await record.run(parsed, context).catch((error: Error) => error);
  stdout.end();
  stderr.end();
  return { outcome, stdout: await text(stdout), stderr: await text(stderr) };
}

test('a good file is recorded with one line of summary and exit code 0', async () => {
  await using scene = await createScene();
  const file = await scene.write('events.jsonl', `${GOOD}\n${GOOD}\n`);
  expect(await run([file], scene.database.url)).toEqual({ outcome: 0, stdout: 'recorded 2, rejected 0\n', stderr: '' });
  expect(await scene.database.query('SELECT email FROM events')).toHaveLength(2);
});

test('rejected events are said with file and line, kept in a reject file, and exit code 1', async () => {
  await using scene = await createScene();
  const bad = '{"event_type":"scomp","bounce_code":"x"}';
  const file = await scene.write('events.jsonl', `${GOOD}\n${bad}\n${GOOD}\n`);
  const rejects = `${file}.rejected.jsonl`;
  const error = 'bounce_code: expected integer, got "x"';
  expect(await run([file], scene.database.url)).toEqual({
    outcome: 1,
    stdout: `recorded 2, rejected 1 (see ${rejects})\n`,
    stderr: `${file}:2: ${error}\n`,
  });
  expect(JSON.parse(await readFile(rejects, 'utf8'))).toEqual({ source: file, line: 2, error, input: bad });
});

test('after twenty rejected events the others are only counted', async () => {
  await using scene = await createScene();
  const rejects = scene.file('rejects.jsonl');
  const { stdout, stderr } = await run(['--rejects', rejects], scene.database.url, 'x\n'.repeat(1_234));
  expect(stdout).toBe(`recorded 0, rejected 1,234 (see ${rejects})\n`);
  expect(stderr.split('\n')).toHaveLength(22);
  expect(stderr).toMatch(/^stdin:1: not valid JSON/);
  expect(stderr).toMatch(/and 1,214 more rejected\n$/);
  expect((await readFile(rejects, 'utf8')).trimEnd().split('\n')).toHaveLength(1_234);
});

test('a second run adds to the reject file', async () => {
  await using scene = await createScene();
  const rejects = scene.file('rejects.jsonl');
  await run(['--rejects', rejects], scene.database.url, 'x\n');
  await run(['--rejects', rejects], scene.database.url, 'y\n');
  expect(
    (await readFile(rejects, 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).input),
  ).toEqual(['x', 'y']);
});

test('files and standard input are recorded in turn, lines and arrays', async () => {
  await using scene = await createScene();
  const array = await scene.write('events.json', `[${GOOD},\n ${GOOD}]`);
  const { outcome, stdout } = await run([array, '/dev/stdin', '--database', scene.database.url], undefined, GOOD);
  expect([outcome, stdout]).toEqual([0, 'recorded 3, rejected 0\n']);
});

test('files may be named behind two dashes', async () => {
  await using scene = await createScene();
  const file = await scene.write('events.jsonl', GOOD);
  const { stdout } = await run(['--', '-', file], scene.database.url, GOOD);
  expect(stdout).toBe('recorded 2, rejected 0\n');
});

test('the server and the length of bounce texts come from the configuration', async () => {
  await using scene = await createScene();
  const config = await scene.write(
    'config.json',
    JSON.stringify({
      server_id: 'relay-7',
      store_bounce_details_length: 5,
      event_destinations: [{ matches: { all: true }, destination: { type: 'leave_in_queue' } }],
    }),
  );
  await run(['--config', config], scene.database.url, '{"event_type":"bounce_all","bounce_text":"0123456789"}');
  expect(await scene.database.query('SELECT server_id, bounce_text FROM events')).toEqual([
    { server_id: 'relay-7', bounce_text: '01234' },
  ]);
});

test('a broken configuration that was named is an error before anything is recorded', async () => {
  await using scene = await createScene();
  const config = await scene.write('config.json', '{');
  const { outcome } = await run(['--config', config], scene.database.url, GOOD);
  expect(outcome).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 1 });
  expect(await scene.database.query('SELECT FROM events')).toEqual([]);
});

test('a file that is not there is said before the others are recorded', async () => {
  await using scene = await createScene();
  const file = await scene.write('events.jsonl', GOOD);
  const { outcome } = await run([file, scene.file('missing.jsonl')], scene.database.url);
  expect(outcome).toMatchObject({ code: 'INPUT_NOT_READABLE', exitCode: 1 });
  expect(await scene.database.query('SELECT FROM events')).toEqual([]);
});

test('a database that is not there is exit code 69', async () => {
  const { outcome } = await run([], 'postgresql://postgres@/x?host=/nonexistent', GOOD);
  expect(outcome).toMatchObject({ code: 'DATABASE_UNAVAILABLE', exitCode: 69 });
});

test('the whole fixture is recorded', async () => {
  await using scene = await createScene();
  const { outcome, stdout } = await run(['fixtures/events.jsonl'], scene.database.url);
  expect([outcome, stdout]).toEqual([0, 'recorded 2,400, rejected 0\n']);
  const [row] = await scene.database.query(
    'SELECT count(DISTINCT event_type)::int AS types, max(octet_length(report_message_text)) AS longest FROM events',
  );
  expect(row?.types).toBeGreaterThanOrEqual(14);
  expect(row?.longest).toBeGreaterThan(64_000);
});

test('a terminal shows how far it is, a pipe does not', async () => {
  await using scene = await createScene();
  const file = await scene.write('events.jsonl', `${GOOD}\n`);
  const { stderr } = await run([file], scene.database.url, '', true);
  expect(stderr).toMatch(/recorded 1 \(100 %, [\d,]+\/s\)/);
});

test('derived events are counted apart', async () => {
  await using scene = await createScene();
  const bounce = '{"event_type":"bounce_all","bounce_type":"h"}';
  const { stdout } = await run(['--derive-bad-address'], scene.database.url, bounce);
  expect(stdout).toBe('recorded 2, 1 of them derived, rejected 0\n');
});

test.each([
  ['nowhere/r.jsonl', 'its folder does not exist'],
  ['events.jsonl/r.jsonl', 'a part of its path is not a directory'],
  ['.', 'it is a folder'],
])('a reject file at %s is refused before anything is recorded: %s', async (name, why) => {
  await using scene = await createScene();
  const file = await scene.write('events.jsonl', `${GOOD}\nx\n`);
  const rejects = scene.file(name);
  const { outcome } = await run(['--rejects', rejects, file], scene.database.url);
  expect(outcome).toMatchObject({
    code: 'REJECTS_NOT_WRITABLE',
    message: `the reject file ${rejects} cannot be written: ${why}; mend that, or name another with --rejects`,
  });
  expect(await scene.database.query('SELECT id FROM events')).toEqual([]);
});

test('a damaged gzip file is said with how far it came', async () => {
  await using scene = await createScene();
  const file = await scene.write('events.jsonl.gz', gzipSync(`${GOOD}\n`.repeat(3)).subarray(0, -8));
  const { outcome } = await run([file], scene.database.url);
  expect(outcome).toMatchObject({
    code: 'RECORDING_FAILED',
    message: expect.stringMatching(
      /gzip file .* is damaged: .*; 3 events recorded, up to line 3 of .*; go on behind line 3/,
    ),
  });
});
