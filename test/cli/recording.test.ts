import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runCli } from '../helpers/cli.ts';
import { createTestDatabase } from '../helpers/postgres.ts';

interface Row {
  readonly type: string;
  readonly origin: string;
  readonly on: boolean;
  readonly recorded: number;
  readonly suppressed: number;
  readonly switch: string;
}

/** A database after `init`, a folder, and the program in it. */
async function createScene(options: { readonly init?: boolean } = {}) {
  const database = await createTestDatabase();
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-recording-'));
  onTestFinished(async () => {
    await rm(folder, { recursive: true });
    await database[Symbol.asyncDispose]();
  });
  const tailrace = (args: readonly string[], input = '') =>
    runCli(args, { cwd: folder, input, env: { TAILRACE_DATABASE_URL: database.url } });
  if (options.init !== false) expect((await tailrace(['init'])).code).toBe(0);
  const list = async (...args: string[]): Promise<{ switches: Row[]; problems: string[]; other_types: object }> =>
    JSON.parse((await tailrace(['recording', 'list', '--json', ...args])).stdout);
  return {
    database,
    control: join(folder, 'control'),
    tailrace,
    list,
    /** `engine scomp`, … */
    on: async (...args: string[]): Promise<string[]> =>
      (await list(...args)).switches.filter((each) => each.on).map(({ type, origin }) => `${origin} ${type}`),
  };
}

test('after init everything is off, and nothing but types of one’s own is recorded', async () => {
  const { tailrace, on, database } = await createScene();
  expect(await on()).toEqual([]);
  const { code, stdout, stderr } = await tailrace(
    ['record'],
    '{"event_type":"scomp"}\n{"event_type":"hook_scomp"}\n{"event_type":"our_own"}\n',
  );
  expect([code, stdout]).toEqual([0, 'recorded 1, rejected 0, switched off 2\n']);
  expect(stderr).toBe(
    'not recorded, since it is switched off: scomp 2; see `tailrace recording list`, or record it regardless with --all\n',
  );
  expect(await database.query('SELECT event_type FROM events')).toEqual([{ event_type: 'our_own' }]);
});

test('without a control directory enable and disable are kept in the database', async () => {
  const { tailrace, on, list } = await createScene();
  const { code, stdout, stderr } = await tailrace(['recording', 'enable', 'hook_scomp', 'engine_open']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.split('\n')).toEqual([
    'scomp (engine) on: tailrace.switches (scomp)',
    'scomp (studio) on: s_system_configs.event_notification_scomp',
    'engine_open (engine) on: tailrace.switches (engine_open)',
    '',
  ]);
  expect(await on()).toEqual(['engine scomp', 'engine engine_open', 'studio scomp']);
  const events = '{"event_type":"scomp"}\n{"event_type":"scomp","studio_campaign_id":1}\n{"event_type":"our_own"}\n';
  expect((await tailrace(['record'], events)).stdout).toBe('recorded 3, rejected 0\n');
  await tailrace(['recording', 'disable', '--studio', 'scomp']);
  expect((await tailrace(['record'], events)).stdout).toBe('recorded 2, rejected 0, switched off 1\n');
  const { switches, other_types } = await list();
  expect(switches.filter(({ type }) => type === 'scomp')).toMatchObject([
    { origin: 'engine', on: true, recorded: 2, suppressed: 0 },
    { origin: 'studio', on: false, recorded: 1, suppressed: 1 },
  ]);
  expect(other_types).toEqual({ recorded: 2 });
});

test('with a control directory the files count, and the table follows them', async () => {
  const { tailrace, on, database, control } = await createScene();
  const place = ['--control-dir', control];
  expect((await tailrace(['recording', 'enable', ...place, '--engine', 'scomp', 'delivery_attempt'])).code).toBe(0);
  expect((await readdir(control)).sort()).toEqual([
    'record_events.delivery_attempt.json',
    'record_events.simplemh.scomp',
  ]);
  expect(await readFile(join(control, 'record_events.simplemh.scomp'), 'utf8')).toBe('1\n');
  expect(await on(...place)).toEqual(['engine scomp', 'engine delivery_attempt']);
  expect(await database.query('SELECT event_type FROM tailrace.switches WHERE is_on ORDER BY 1')).toEqual([
    { event_type: 'delivery_attempt' },
    { event_type: 'scomp' },
  ]);
  await writeFile(join(control, 'record_events.simplemh.scomp'), '0\n');
  const { stdout } = await tailrace(
    ['record', ...place],
    '{"event_type":"scomp"}\n{"event_type":"delivery_attempt"}\n',
  );
  expect(stdout).toBe('recorded 1, rejected 0, switched off 1\n');
  expect(await on()).toEqual(['engine delivery_attempt']);
  const { stderr } = await tailrace(['recording', 'enable', '--engine', 'scomp']);
  expect(stderr).toMatch(/^warning: so far these switches came from the control directory .*control;/);
});

test('list is a table with the place of each switch, and says what it cannot read', async () => {
  const { tailrace, control, list } = await createScene();
  const place = ['--control-dir', control];
  await tailrace(['recording', 'enable', ...place, '--engine', 'scomp']);
  await tailrace(['record', ...place], '{"event_type":"scomp"}\n'.repeat(1_234));
  await writeFile(join(control, 'record_events.bounce_lite'), 'on\n');
  const { stdout, stderr } = await tailrace(['recording', 'list', ...place]);
  const lines = stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(19);
  expect(lines[0]).toBe('TYPE                       ORIGIN  STATE  RECORDED  SUPPRESSED  SWITCH');
  expect(lines[4]).toBe(
    `scomp                      engine  on        1,234           0  ${join(control, 'record_events.simplemh.scomp')}`,
  );
  const problem = `${join(control, 'record_events.bounce_lite')} holds "on", not 1; it counts as off`;
  expect(stderr).toBe(`warning: ${problem}\n`);
  expect((await list(...place)).problems).toEqual([problem]);
  expect((await tailrace(['record', ...place], '{"event_type":"scomp"}')).stderr).toBe(`warning: ${problem}\n`);
});

test('list shows the types that are named, and the Engine’s or the Studio’s alone', async () => {
  const { tailrace } = await createScene();
  const shown = async (...args: string[]) => {
    const { stdout } = await tailrace(['recording', 'list', ...args]);
    return stdout
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.split(/ +/).slice(0, 2).join(' '));
  };
  expect(await shown('hook_scomp', 'engine_open')).toEqual(['scomp engine', 'scomp studio', 'engine_open engine']);
  expect(await shown('scomp', '--studio')).toEqual(['scomp studio']);
  expect(await shown('--engine')).toHaveLength(9);
});

test('all of them at once', async () => {
  const { tailrace, on } = await createScene();
  await tailrace(['recording', 'enable', '--all']);
  expect(await on()).toHaveLength(17);
  await tailrace(['recording', 'disable', '--all', '--engine']);
  expect(await on()).toHaveLength(8);
});

test('types that have no such switch are refused, and nothing is switched', async () => {
  const { tailrace, on } = await createScene();
  const refused: readonly (readonly [readonly string[], number, string])[] = [
    [['enable', 'bounce_al'], 1, 'are always recorded; did you mean "bounce_all"?\n'],
    [
      ['enable', 'scomp', 'our_own'],
      1,
      'there is no switch for the event type "our_own", and types that tailrace does not know are always recorded\n',
    ],
    [['list', 'bounce_al'], 1, 'there is no switch for the event type "bounce_al"'],
    [['enable', '--studio', 'engine_click'], 2, 'engine_click has no switch of the Studio'],
    [['disable', '--engine', 'studio_open'], 2, 'studio_open has no switch of the Engine'],
    [['enable'], 2, 'name event types, or --all of them'],
    [['enable', '--all', 'scomp'], 2, 'name event types, or --all of them'],
    [['toggle', 'scomp'], 2, 'Invalid values'],
  ];
  for (const [args, code, message] of refused) {
    const result = await tailrace(['recording', ...args]);
    expect(result).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(message) });
  }
  expect(await on()).toEqual([]);
});

test('a Studio table that is gone, has no row or lacks the column is said; the Engine’s can still be set', async () => {
  const { tailrace, database, on } = await createScene();
  const enable = async (): Promise<string> => {
    const { code, stderr } = await tailrace(['recording', 'enable', '--studio', 'studio_open']);
    expect(code).toBe(1);
    return stderr;
  };
  await database.query('DELETE FROM s_system_configs');
  expect(await enable()).toContain('it has no row');
  await database.query('ALTER TABLE s_system_configs DROP COLUMN event_notification_studio_open');
  expect(await enable()).toContain('event_notification_studio_open');
  await database.query('DROP TABLE s_system_configs');
  expect(await enable()).toContain('s_system_configs');
  expect((await tailrace(['recording', 'enable', '--engine', 'scomp'])).code).toBe(0);
  expect(await on()).toEqual(['engine scomp']);
});

test('a database without init is said, and can be recorded to with --all', async () => {
  const { tailrace, database } = await createScene({ init: false });
  await database.query('CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY, event_type text)');
  for (const args of [['recording', 'list'], ['recording', 'enable', '--all'], ['record']]) {
    const { code, stderr } = await tailrace(args, '{"event_type":"scomp"}');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^tailrace: this database has no recording switches; run `tailrace init`/);
  }
  expect((await tailrace(['record', '--all'], '{"event_type":"scomp"}')).stdout).toBe('recorded 1, rejected 0\n');
});

test('every file of `record` is recorded, and of an option that is given twice the last counts', async () => {
  const { tailrace, control, database } = await createScene();
  const files = ['a', 'b', 'c'].map((name) => `${control}.${name}`);
  for (const file of files) await writeFile(file, '{"event_type":"our_own"}\n');
  const args = ['record', ...files, '--database', 'postgresql:///x?host=/nowhere', '--database', database.url];
  expect((await tailrace(args)).stdout).toBe('recorded 3, rejected 0\n');
});
