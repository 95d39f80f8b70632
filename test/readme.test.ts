import { execFile } from 'node:child_process';
import { access, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../src/config/load.ts';
import { codeOf } from '../src/lib/errors.ts';
import { recordEvents } from '../src/recording/record-events.ts';
import { runCli, spawnCli, TAILRACE } from './helpers/cli.ts';
import { createTestDatabase, type TestDatabase } from './helpers/postgres.ts';
import { requireTool } from './helpers/require-tool.ts';
import { listening } from './intake/scene.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FIXTURE = join(ROOT, 'fixtures/events.jsonl');
const LINKED = /\]\(([^)\s]+)\)/g;

const read = (path: string): Promise<string> => readFile(join(ROOT, path), 'utf8');
const README = await read('README.md');
const OPERATIONS = await read('docs/operations.md');
const STATE = await read('docs/state.md');
const CONFIGURATION = await read('docs/configuration.md');
const RECORDING = await read('docs/recording.md');
const INTAKE = await read('docs/intake.md');
const SIZING = await read('docs/sizing.md');
const EXPLAIN = await read('docs/explain-and-plan.md');
const MIGRATION = await read('docs/migration.md');
const MONITORING = await read('docs/monitoring.md');
const REPLAY = await read('docs/replay.md');
const ALL = [
  README,
  OPERATIONS,
  STATE,
  CONFIGURATION,
  RECORDING,
  INTAKE,
  SIZING,
  EXPLAIN,
  MIGRATION,
  MONITORING,
  REPLAY,
].join('\n');

/** The text of the fenced blocks in a language. */
function blocksOf(page: string, language: string): string[] {
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms'))].map(([, text]) => text ?? '');
}

/** The command lines of the console blocks. */
function commandsOf(page: string): string[] {
  const lines = blocksOf(page, 'console').flatMap((block) => block.split('\n'));
  return lines.filter((line) => line.startsWith('$ ')).map((line) => line.slice(2));
}

const statementsOf = (block: string): string[] => block.split(/;\s*$/m).filter((statement) => statement.trim() !== '');

async function sources(): Promise<string> {
  const files = (await readdir(join(ROOT, 'src'), { recursive: true })).filter((file) => file.endsWith('.ts'));
  return (await Promise.all(files.map((file) => read(join('src', file))))).join('\n');
}

let folder = '';
let database: TestDatabase;

/** A log made from the fixture, in a folder with what the examples name, beside a program called `tailrace`. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  database = await createTestDatabase();
  await writeFile(join(folder, 'event_processor.json'), '{"logfile": {"filename": "events.jsonl"}}');
  await writeFile(join(folder, 'tailrace'), `#!/bin/sh\nexec '${process.execPath}' '${TAILRACE}' "$@"\n`, {
    mode: 0o755,
  });
  for (const args of [['init'], ['record', '--all', FIXTURE], ['run', '--once']]) {
    const { code, stderr } = await tailrace(args);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  }
  await copyFile(join(folder, 'events.jsonl'), join(folder, 'logged.jsonl'));
  const rejection = { source: 'events.jsonl', line: 1, error: 'event_type: missing', input: '{}' };
  await writeFile(join(folder, 'events.jsonl.rejected.jsonl'), `${JSON.stringify(rejection)}\n`);
});
afterAll(async () => {
  await database[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const tailrace = (args: readonly string[], url = database.url, env: Readonly<Record<string, string>> = {}) =>
  runCli(args, { cwd: folder, env: { TAILRACE_DATABASE_URL: url, ...env } });

test('the README is read in one sitting', () => {
  expect(README.split('\n').length).toBeLessThan(500);
});

test('every link leads to a file, and to a heading in it', async () => {
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\d_ -]/gu, '')
      .replaceAll(' ', '-');
  const pages = {
    'README.md': README,
    'docs/operations.md': OPERATIONS,
    'docs/state.md': STATE,
    'docs/sql-destinations.md': await read('docs/sql-destinations.md'),
    'docs/recording.md': RECORDING,
    'docs/intake.md': INTAKE,
    'docs/sizing.md': SIZING,
    'docs/explain-and-plan.md': EXPLAIN,
    'docs/doctor.md': await read('docs/doctor.md'),
    'docs/deploy/README.md': await read('docs/deploy/README.md'),
    'docs/migration.md': MIGRATION,
    'docs/monitoring.md': MONITORING,
    'docs/replay.md': REPLAY,
  };
  for (const [page, text] of Object.entries(pages)) {
    for (const [, target = ''] of text.matchAll(LINKED)) {
      if (/^https?:/.test(target)) continue;
      const [path = '', heading] = target.split('#');
      const file = path === '' ? join(ROOT, page) : join(ROOT, page, '..', path);
      await access(file);
      if (heading === undefined) continue;
      const headings = [...(await readFile(file, 'utf8')).matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => slug(title));
      expect(headings, target).toContain(heading);
    }
  }
});

describe('what the program says', () => {
  test('every warning and error is explained', async () => {
    const source = await sources();
    // The calls themselves, the throttled ones too; their makers pass on `(fields, message)`.
    const calls = [...source.matchAll(/(?:\.(?:warn|error|fatal)|\bwarn|\bcomplain|#warn)\(\s*\{/g)];
    const messages = [
      ...source.matchAll(/(?:\.(?:warn|error|fatal)|\bwarn|\bcomplain|#warn)\(\s*\{[^;]*?\},\s*'((?:[^'\\]|\\.)*)'/g),
    ].map(([, message = '']) => message);
    expect(messages.length).toBeGreaterThan(15);
    expect(messages).toHaveLength(calls.length);
    expect(messages.filter((message) => !`${README}${OPERATIONS}`.includes(`\`${message}\``))).toEqual([]);
  });

  test('every code of an error is explained', async () => {
    const source = await sources();
    const codes = [...source.matchAll(/TailraceError\(\s*'([A-Z_]+)'|\[\s*'([A-Z]+_[A-Z_]+)',/g)].map(
      ([, thrown, listed]) => thrown ?? listed ?? '',
    );
    expect(codes.length).toBeGreaterThan(20);
    expect([...new Set(codes)].filter((code) => !OPERATIONS.includes(`\`${code}\``))).toEqual([]);
  });

  test('every command and option of --help is mentioned', { timeout: 180_000 }, async () => {
    const { stdout } = await runCli(['--help']);
    const commands = [...stdout.matchAll(/^ {2}tailrace (\w+)/gm)].map(([, command = '']) => command);
    expect(commands.length).toBeGreaterThan(4);
    for (const command of commands) {
      expect(ALL).toContain(`tailrace ${command}`);
      const help = (await runCli([command, '--help'])).stdout.replace(/^Examples:.*/ms, '');
      const options = [...help.matchAll(/ (--[a-z-]+)/g)].map(([, option = '']) => option);
      expect(options.filter((option) => !ALL.includes(option))).toEqual([]);
    }
  });
});

describe('the examples', () => {
  test.each([README, OPERATIONS].flatMap((page) => blocksOf(page, 'json')))(
    'configuration %# is good',
    async (text) => {
      const file = join(folder, 'example.json');
      await writeFile(file, text);
      const env = { SUPPRESSION_URL: 'https://hooks.example.com/suppressions', CRM_PASSWORD: 'secret' };
      expect(await loadConfig(file, { env })).toMatchObject({ problems: [], warnings: [], config: expect.anything() });
    },
  );

  test('the sample lines are lines of a real log', async () => {
    const shown = blocksOf(README, 'jsonl').flatMap((block) => block.trimEnd().split('\n'));
    const timeless = (line: string): string => line.replace(/"time_written_to_logfile":\d+\.\d{6},/, '');
    const logged = new Set((await readFile(join(folder, 'logged.jsonl'), 'utf8')).split('\n').map(timeless));
    expect(shown).toHaveLength(15);
    expect(shown.filter((line) => !logged.has(timeless(line)))).toEqual([]);
  });

  test.skipIf(!requireTool('jq')).each([README, OPERATIONS].flatMap(commandsOf).filter((line) => /\bjq /.test(line)))(
    'runs: %s',
    async (line) => {
      const path = `${folder}${delimiter}${process.env.PATH}`;
      const env = { ...process.env, PATH: path, TAILRACE_DATABASE_URL: database.url };
      const run = promisify(execFile)('bash', ['-o', 'pipefail', '-c', line], { cwd: folder, env, maxBuffer: 2 ** 26 });
      const ended = await run.then(
        (output) => ({ code: 0, ...output }),
        (error: { code: number; stdout: string; stderr: string }) => error,
      );
      // jq's exit code speaks of its last input only. `-e` says no with 1, as it does while no processor runs.
      expect(ended.stderr).toBe('');
      expect(line.includes('jq -e') ? [0, 1] : [0]).toContain(ended.code);
      const isSilent = /uniq -d$|> \S+\.jsonl$/.test(line);
      expect(ended.stdout === '').toBe(isSilent);
    },
  );

  test('each SQL statement is one that PostgreSQL takes', async () => {
    await using other = await createTestDatabase();
    expect((await tailrace(['init'], other.url)).code).toBe(0);
    const blocks = [README, OPERATIONS, STATE, RECORDING].flatMap((page) => blocksOf(page, 'sql'));
    const statements = blocks.filter((block) => !/\bROLE|REVOKE/.test(block)).flatMap(statementsOf);
    expect(statements.length).toBeGreaterThan(15);
    for (const statement of statements) {
      await other.query(statement).catch((error) => expect.fail(`${error.message}:\n${statement}`));
    }
  });
});

describe('the least rights', () => {
  /** Makes the roles of the pages, under names of this test's own, in a database that its owner has prepared. */
  async function grant(pattern: RegExp, to: TestDatabase): Promise<(role: string) => string> {
    const nameOf = (role: string): string => role.replace('tailrace', to.name);
    const blocks = [README, OPERATIONS].flatMap((page) => blocksOf(page, 'sql')).filter((block) => pattern.test(block));
    for (const statement of blocks.flatMap(statementsOf)) await to.query(statement.replace(/\btailrace_\w+/g, nameOf));
    return (role) => to.url.replace('postgres@', `${nameOf(role)}@`);
  }

  test.each(['delete', 'mark_processed'])('are enough for a processor with on_delivered %s', async (onDelivered) => {
    const own = await createTestDatabase();
    try {
      expect((await tailrace(['init', '--notify'], own.url)).code).toBe(0);
      const urlOf = await grant(onDelivered === 'delete' ? /CREATE ROLE/ : /CREATE ROLE|REVOKE DELETE/, own);
      const destination = { type: 'http_post', url: 'http://127.0.0.1:1/' };
      const entries = [
        { matches: { event_type: 'scomp' }, destination },
        { matches: { all: true }, destination: { type: 'drop_from_queue' } },
      ];
      const config = { server_id: 'mail1', logfile: { filename: `${own.name}.jsonl` }, on_delivered: onDelivered };
      const file = join(folder, `${own.name}.json`);
      await writeFile(file, JSON.stringify({ ...config, event_destinations: entries }));
      await writeFile(join(folder, 'two.jsonl'), '{"event_type": "scomp"}\n{"event_type": "engine_open"}\n');

      expect((await tailrace(['recording', 'enable', 'scomp', 'engine_open'], own.url)).code).toBe(0);
      expect(await tailrace(['record', 'two.jsonl'], urlOf('tailrace_record'))).toMatchObject({ code: 0, stderr: '' });
      const control = join(folder, `${own.name}.control`);
      await mkdir(control);
      const args = ['run', '--once', '--config', file, '--control-dir', control];
      const run = await tailrace(args, urlOf('tailrace_run'));
      expect(run.stderr).toBe('');
      expect(JSON.parse(run.stdout)).toMatchObject({ read: 2, logged: 2, dropped: 1, failed: 1 });
      const status = await tailrace(['status', '--json'], urlOf('tailrace_status'));
      expect(JSON.parse(status.stdout)).toMatchObject({ queued: 1, destinations: [{ retrying: 1 }] });
      for (const words of [
        ['pause', '--all'],
        ['resume', '--all'],
        ['retry', '--id', '1'],
        ['retry', '--parked'],
      ]) {
        expect(await tailrace(words, urlOf('tailrace_operate'))).toMatchObject({ code: 0, stderr: '' });
      }
    } finally {
      // Their rights go with the database, so that the roles can go after it.
      await own[Symbol.asyncDispose]();
      for (const role of ['operate', 'run', 'record', 'status'])
        await database.query(`DROP ROLE IF EXISTS ${own.name}_${role}`);
    }
  });

  test('are enough for a producer, by each of its ways', async () => {
    const own = await createTestDatabase();
    try {
      expect((await tailrace(['init'], own.url)).code).toBe(0);
      const urlOf = await grant(/CREATE ROLE/, own);
      expect((await tailrace(['recording', 'enable', 'scomp'], own.url)).code).toBe(0);
      const event = { event_type: 'scomp', email: 'a@example.com' };
      await writeFile(join(folder, 'one.jsonl'), `${JSON.stringify(event)}\n{"event_type": "engine_open"}\n`);
      const producer = new pg.Client({ connectionString: urlOf('tailrace_record') });
      await producer.connect();
      const one = await producer.query('SELECT tailrace.record_event($1) AS id', [event]);
      const many = await producer.query('SELECT tailrace.record_events($1::jsonb) AS id', [JSON.stringify([event])]);
      expect([one.rows, many.rows]).toEqual([[{ id: '1' }], [{ id: '2' }]]);
      expect(await recordEvents(producer, [event, { event_type: 'engine_open' }])).toEqual(['3', null]);
      for (const forbidden of [
        'SELECT email FROM events',
        'DELETE FROM events',
        'SELECT FROM tailrace.switches',
        'UPDATE tailrace.switches SET is_on = true',
        'UPDATE s_system_configs SET event_notification_scomp = true',
        `INSERT INTO tailrace.recording_count VALUES ('scomp', false, 1, 1)`,
        'SELECT tailrace.fold_recording_counts()',
      ]) {
        expect(await producer.query(forbidden).catch(codeOf), forbidden).toBe('42501');
      }
      await producer.end();
      const control = { TAILRACE_CONTROL_DIR: join(folder, 'control') };
      expect((await tailrace(['recording', 'enable', 'scomp'], own.url, control)).code).toBe(0);
      for (const env of [{}, control]) {
        const recorded = await tailrace(['record', 'one.jsonl'], urlOf('tailrace_record'), env);
        expect(recorded).toMatchObject({ code: 0, stdout: 'recorded 1, rejected 0, switched off 1\n' });
      }
      const env = { TAILRACE_DATABASE_URL: urlOf('tailrace_record') };
      await using program = spawnCli(['intake', '--listen', '127.0.0.1:0'], { cwd: folder, env });
      const answer = await (await listening(program)).send(JSON.stringify([event, { event_type: 'engine_open' }]));
      expect(answer).toMatchObject({ status: 202, body: { recorded: 1, suppressed: [1] } });
      program.signal('SIGTERM');
      expect(await program.exit).toBe(0);
      const status = await tailrace(['recording', 'list', '--json'], urlOf('tailrace_status'));
      expect(JSON.parse(status.stdout).switches[3]).toMatchObject({ type: 'scomp', on: true, recorded: 6 });
    } finally {
      await own[Symbol.asyncDispose]();
      for (const role of ['operate', 'run', 'record', 'status'])
        await database.query(`DROP ROLE IF EXISTS ${own.name}_${role}`);
    }
  });

  test('are refused what they do not name', async () => {
    const own = await createTestDatabase();
    try {
      expect((await tailrace(['init'], own.url)).code).toBe(0);
      const urlOf = await grant(/CREATE ROLE/, own);
      expect((await tailrace(['run', '--once'], urlOf('tailrace_status'))).code).not.toBe(0);
      const inserted = own.query(`SET ROLE ${own.name}_run; INSERT INTO events (event_type) VALUES ('scomp')`);
      expect(await inserted.catch(codeOf)).toBe('42501');
    } finally {
      await own[Symbol.asyncDispose]();
      for (const role of ['operate', 'run', 'record', 'status'])
        await database.query(`DROP ROLE IF EXISTS ${own.name}_${role}`);
    }
  });
});
