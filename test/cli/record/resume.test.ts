import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { type CliResult, runCli, spawnCli } from '../../helpers/cli.ts';
import { createTestDatabase } from '../../helpers/postgres.ts';
import { waitFor } from '../../helpers/wait-for.ts';

/** A process has to start first, on a machine that may have much else to do. */
const PATIENCE = { timeoutMs: 60_000 };
vi.setConfig({ testTimeout: 300_000 });

/** A prepared database with `scomp` on, and a folder. */
async function createScene() {
  const database = await createTestDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-resume-'));
  onTestFinished(async () => {
    await rm(folder, { recursive: true });
    await database[Symbol.asyncDispose]();
  });
  const options = { cwd: folder, env: { TAILRACE_DATABASE_URL: database.url } };
  const cli = (...args: string[]): Promise<CliResult> => runCli(args, options);
  await cli('init');
  await cli('recording', 'enable', 'scomp', 'bounce_all', 'bounce_bad_address');
  return {
    database,
    cli,
    start: (...args: string[]) => spawnCli(args, options),
    write: (name: string, content: string | Buffer) => writeFile(join(folder, name), content),
    append: (name: string, content: string) => appendFile(join(folder, name), content),
    read: (name: string) => readFile(join(folder, name), 'utf8'),
    async numbers(): Promise<number[]> {
      const rows = await database.query<{ n: string }>('SELECT true_event_id AS n FROM events ORDER BY 1, id');
      return rows.map(({ n }) => Number(n));
    },
  };
}

const event = (n: number): string => `{"event_type":"scomp","true_event_id":${n},"email":"ann@example.org"}`;
const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, n) => from + n);
const lines = (count: number, from = 0): string =>
  range(count, from)
    .map((n) => `${event(n)}\n`)
    .join('');

/** The input in each of its forms. */
const FORMS: readonly (readonly [string, (count: number) => string | Buffer])[] = [
  ['JSON lines', (count) => lines(count)],
  ['gzipped JSON lines', (count) => gzipSync(lines(count))],
  ['an array', (count) => `[${range(count).map(event).join(',\n')}]`],
  ['an object around an array', (count) => `{"made":[1,{}],"events":[${range(count).map(event).join(',')}],"end":1}`],
];

describe.each(FORMS)('%s', (_, content) => {
  test('a recorder that is killed again and again records each event once', async () => {
    const scene = await createScene();
    const total = 20_000;
    await scene.write('in', content(total));
    let recorded = 0;
    for (let kill = 0; kill < 3 && recorded < total; kill += 1) {
      await using running = scene.start('record', '--resume', 'in');
      let ended = false;
      running.exit.then(() => {
        ended = true;
      });
      const atLeast = recorded + 1;
      await waitFor(async () => {
        const [row] = await scene.database.query<{ n: number }>('SELECT count(*)::int AS n FROM events');
        recorded = row?.n ?? 0;
        return ended || recorded >= atLeast;
      }, PATIENCE);
      running.signal('SIGKILL');
      await running.exit;
    }
    const last = await scene.cli('record', '--resume', 'in');
    expect(last).toMatchObject({ code: 0, stdout: expect.stringMatching(/^recorded [\d,]+, rejected 0\n$/) });
    expect(await scene.numbers()).toEqual(range(total));
    const [counted] = await scene.database.query('SELECT sum(recorded)::int AS n FROM tailrace.recording_count');
    expect(counted).toEqual({ n: total });
    expect(await scene.cli('record', '--resume', 'in')).toMatchObject({ stdout: 'recorded 0, rejected 0\n' });
  });
});

test('a batch that is cut off in the middle of its transaction leaves nothing', async () => {
  const scene = await createScene();
  await scene.write('in', lines(12_000));
  // The position is the last that a batch writes; held up there, its rows are in the table and not committed.
  const blocker = await scene.database.client();
  await scene.cli('record', 'in');
  await scene.database.query('DELETE FROM events');
  await scene.database.query('UPDATE tailrace.checkpoint SET records = 5000, line = 5000');
  await blocker.query('BEGIN; LOCK tailrace.recording_count');
  const running = scene.start('record', '--resume', 'in');
  const waits = `SELECT FROM pg_stat_activity WHERE application_name = 'tailrace record' AND datname = current_database() AND wait_event_type = 'Lock'`;
  await waitFor(async () => (await scene.database.query(waits)).length === 1, PATIENCE);
  running.signal('SIGKILL');
  await running.exit;
  await blocker.query('ROLLBACK');
  const gone = `SELECT FROM pg_stat_activity WHERE application_name = 'tailrace record' AND datname = current_database()`;
  await waitFor(async () => (await scene.database.query(gone)).length === 0, PATIENCE);
  expect(await scene.numbers()).toEqual([]);
  expect(await scene.cli('record', '--resume', 'in')).toMatchObject({
    code: 0,
    stdout: 'recorded 7,000, rejected 0\n',
  });
  expect(await scene.numbers()).toEqual(range(7_000, 5_000));
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends a recorder, which says how far it came and how to go on', async (signal, code) => {
  const scene = await createScene();
  await scene.write('in', lines(12_000));
  const blocker = await scene.database.client();
  await blocker.query('BEGIN; LOCK tailrace.recording_count');
  await using running = scene.start('record', 'in');
  const waits = `SELECT FROM pg_stat_activity WHERE application_name = 'tailrace record' AND datname = current_database() AND wait_event_type = 'Lock'`;
  await waitFor(async () => (await scene.database.query(waits)).length === 1, PATIENCE);
  running.signal(signal);
  expect(await running.exit).toBe(code);
  expect(running.stderr).toBe(
    'interrupted: 0 events recorded, up to line 0 of in, perhaps another batch; go on with --resume\n',
  );
  await blocker.query('ROLLBACK');
  expect(await scene.cli('record', '--resume', 'in')).toMatchObject({ code: 0 });
  expect(await scene.numbers()).toEqual(range(12_000));
});

test('a run without --resume can be gone on with, and what a file has got since is recorded', async () => {
  const scene = await createScene();
  await scene.write('in.jsonl', lines(3));
  expect(await scene.cli('record', 'in.jsonl')).toMatchObject({ code: 0, stderr: '' });
  await scene.append('in.jsonl', `\n${lines(2, 3)}`);
  expect(await scene.cli('record', '--resume', 'in.jsonl')).toEqual({
    code: 0,
    stdout: 'recorded 2, rejected 0\n',
    stderr: 'going on with in.jsonl behind line 3\n',
  });
  expect(await scene.numbers()).toEqual(range(5));
});

test('a last line that is not complete yet is rejected, and recorded when it is', async () => {
  const scene = await createScene();
  await scene.write('in.jsonl', `${lines(2)}${event(2).slice(0, 20)}`);
  expect(await scene.cli('record', '--resume', 'in.jsonl')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('in.jsonl:3: not valid JSON'),
  });
  await scene.append('in.jsonl', `${event(2).slice(20)}\n`);
  expect(await scene.cli('record', '--resume', 'in.jsonl')).toMatchObject({ code: 0 });
  expect(await scene.numbers()).toEqual([0, 1, 2]);
});

test('rejected events are not looked at again', async () => {
  const scene = await createScene();
  await scene.write('in.jsonl', `nonsense\n${lines(1)}`);
  expect((await scene.cli('record', 'in.jsonl')).code).toBe(1);
  await scene.append('in.jsonl', lines(1, 1));
  expect(await scene.cli('record', '--resume', 'in.jsonl')).toMatchObject({
    code: 0,
    stdout: 'recorded 1, rejected 0\n',
  });
  expect((await scene.read('in.jsonl.rejected.jsonl')).trimEnd().split('\n')).toHaveLength(1);
});

test('a file that was recorded is recorded again only with a word about it', async () => {
  const scene = await createScene();
  await scene.write('in.jsonl', lines(2));
  await scene.cli('record', 'in.jsonl');
  const again = await scene.cli('record', 'in.jsonl');
  expect(again).toMatchObject({ code: 0, stdout: 'recorded 2, rejected 0\n' });
  expect(again.stderr).toMatch(/^in\.jsonl was recorded up to line 2 on \S+; it is recorded again from its beginning/);
});

test.each([
  ['begins with other bytes', `${event(7)}\n${lines(9)}`],
  ['has 3 bytes, fewer than the', '{}\n'],
])('another file at the same place is refused: it %s', async (why, content) => {
  const scene = await createScene();
  await scene.write('in.jsonl', lines(3));
  await scene.cli('record', 'in.jsonl');
  await scene.write('in.jsonl', content);
  const refused = await scene.cli('record', '--resume', 'in.jsonl');
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toContain('in.jsonl is not the file that was recorded up to line 3 on');
  expect(refused.stderr).toContain(why);
  expect(await scene.numbers()).toEqual(range(3));
});

test('a file without a position is recorded from its beginning', async () => {
  const scene = await createScene();
  await scene.write('in.jsonl', lines(2));
  expect(await scene.cli('record', '--resume', 'in.jsonl')).toMatchObject({
    code: 0,
    stdout: 'recorded 2, rejected 0\n',
    stderr: 'no position of in.jsonl is kept; starting at its beginning\n',
  });
});

test('a host with a new name goes on with a long file, a short one could be its own', async () => {
  const scene = await createScene();
  for (const name of ['long.jsonl', 'short.jsonl']) {
    await scene.write(name, lines(name === 'long.jsonl' ? 2_000 : 2));
    await scene.cli('record', name);
  }
  await scene.database.query(`UPDATE tailrace.checkpoint SET host = 'before'`);
  expect(await scene.cli('record', '--resume', 'long.jsonl')).toMatchObject({ stdout: 'recorded 0, rejected 0\n' });
  expect(await scene.cli('record', '--resume', 'short.jsonl')).toMatchObject({ stdout: 'recorded 2, rejected 0\n' });
});

test('of two recorders of one file the later one wins, and each event is recorded once', async () => {
  const scene = await createScene();
  await scene.write('in', lines(60_000));
  await using first = scene.start('record', '--resume', 'in');
  const some = async (): Promise<boolean> => (await scene.database.query('SELECT FROM events LIMIT 1')).length === 1;
  await waitFor(some, PATIENCE);
  const second = await scene.cli('record', '--resume', 'in');
  expect(second.code).toBe(0);
  if ((await first.exit) !== 0) expect(first.stderr).toContain('another `tailrace record` has taken in over');
  expect(await scene.numbers()).toEqual(range(60_000));
});

test('what cannot be recognised cannot be resumed', async () => {
  const scene = await createScene();
  await scene.write('in', lines(1));
  expect(await scene.cli('record', '--resume', 'in', '-')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('standard input cannot be resumed'),
  });
  await scene.database.query('DROP TABLE tailrace.checkpoint');
  expect(await scene.cli('record', '--resume', 'in')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no table tailrace.checkpoint; run `tailrace init`'),
  });
  expect(await scene.cli('record', 'in')).toMatchObject({ code: 0, stdout: 'recorded 1, rejected 0\n' });
});
