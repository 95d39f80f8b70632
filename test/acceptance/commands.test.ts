// The command line as such: help, exit codes of wrong usage, and what `status` and `check` print.

import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { createWorld, httpPost } from './world.ts';

test('--help of every command shows an example', async () => {
  await using world = await createWorld({ bare: true });
  const { code, stdout } = await world.cli(['--help']);
  expect(code).toBe(0);
  const commands = [...stdout.matchAll(/^ {2}tailrace ([\w-]+)/gm)].map(([, name]) => String(name));
  expect(commands).toEqual(expect.arrayContaining(['run', 'check', 'init', 'status', 'record', 'demo']));
  for (const command of commands) {
    const help = await world.cli([command, '--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(new RegExp(`Examples:\\s+.*tailrace ${command}`, 's'));
  }
});

test.for([
  [[]],
  [['rnu']],
  [['run', '--onec']],
  [['run', 'extra']],
  [['run', '--config']],
  [['status', '--database']],
  [['run', '--log-level', 'loud']],
] as const)('%j is wrong usage: exit code 2, and where to find help', async ([args]) => {
  await using world = await createWorld({ bare: true });
  const { code, stdout, stderr } = await world.cli(args);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^tailrace: .+\n.*--help/s);
  expect(stderr).not.toContain('    at ');
});

test('`tailrace --check-syntax FILE` is `tailrace check FILE`', async () => {
  await using world = await createWorld({ bare: true });
  await world.configure();
  const good = await world.cli(['--check-syntax', world.configFile]);
  expect(good).toMatchObject({ code: 0, stderr: '' });
  expect(good.stdout).toBe((await world.cli(['check', world.configFile])).stdout);
  await writeFile(world.configFile, '{\n  "logfile": 5\n}');
  expect(await world.cli(['--check-syntax', world.configFile])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`${world.configFile}:2:14: `),
  });
});

test('`init` can be run again and writes a configuration only where there is none', async () => {
  await using world = await createWorld({ bare: true });
  const first = await world.cli(['init']);
  expect(first).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('made table events') });
  expect(first.stdout).toContain('event_processor.json: every event is left in the queue');
  await world.insert(1);
  expect(await world.once()).toMatchObject({ read: 1, left: 1, logged: 0 });
  const second = await world.cli(['init', '--notify']);
  expect(second.stdout).toMatch(/found table events.*found schema tailrace.*made trigger.*left as it is/s);
  expect((await world.cli(['init', '--notify'])).code).toBe(0);
  expect(await world.queued()).toBe(1);
});

test('`status` shows what waits where and why, to a person and to a script', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ status: 418 });
  const entry = httpPost(receiver.url(), { retry: { initial_ms: 60_000 } }, { name: 'teapot' });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [entry] });
  await world.insert(4);
  await world.once();
  const { code, stdout } = await world.cli(['status', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    writer: { epoch: '1', state: 'stopped' },
    queued: 4,
    left: 0,
    destinations: [
      { destination: 'teapot', state: 'retrying', retrying: 4, last_error: expect.stringContaining('418') },
    ],
  });
  const table = (await world.cli(['status'])).stdout;
  expect(table).toMatch(/^queue {4}4 queued/);
  expect(table).toMatch(/^teapot +retrying +0 +4 +0 /m);
});

test('`status` shows a destination that is disabled as such when no process runs, until a run finds it enabled', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  const configure = (enabled: boolean): Promise<void> =>
    world.configure({ event_destinations: [httpPost(receiver.url(), {}, { name: 'crm', enabled })] });
  const stateOf = async (): Promise<unknown> =>
    JSON.parse((await world.cli(['status', '--json'])).stdout).destinations[0].state;
  await configure(false);
  await world.insert(2);
  expect(await world.once()).toMatchObject({ waiting: 2 });
  expect(await stateOf()).toBe('disabled');
  expect((await world.cli(['status'])).stdout).toMatch(/^crm +disabled +2 /m);
  await configure(true);
  expect(await world.once()).toMatchObject({ delivered: 2 });
  expect(await stateOf()).toBe('ok');
});

test('without a configuration `run` names the places where it looked', async () => {
  await using world = await createWorld({ bare: true });
  const { code, stderr } = await world.cli(['run']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^tailrace: there is no configuration file .*event_processor\.json.*tailrace init/);
  const missing = await world.cli(['run', '--config', 'nowhere.json']);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toMatch(/nowhere\.json/);
});

test.for([[['retry', '--parked']], [['pause', 'x']], [['status']]] as const)(
  '%j without `tailrace init` says to run it',
  async ([args]) => {
    await using world = await createWorld({ bare: true });
    await world.cli(['init']);
    await world.database.query('DROP SCHEMA tailrace CASCADE');
    const { code, stderr } = await world.cli(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^tailrace: .*run `tailrace init`/);
  },
);

test('an id beyond what the queue can hold is wrong usage', async () => {
  await using world = await createWorld({ bare: true });
  const { code, stderr } = await world.cli(['retry', '--id', '9999999999999999999']);
  expect({ code, stderr }).toEqual({
    code: 2,
    stderr: 'tailrace: --id takes the number of an event, not "9999999999999999999"\n',
  });
});

test('a table that is in use is a reason to try again', async () => {
  await using world = await createWorld({ bare: true });
  await world.cli(['init']);
  const client = await world.database.client();
  try {
    await client.query('BEGIN; LOCK TABLE tailrace.pending');
    const { code, stderr } = await world.cli(['retry', '--parked']);
    expect(code).toBe(75);
    expect(stderr).toMatch(/^tailrace: PostgreSQL refused: .*\(55P03\); .*try again\n$/);
  } finally {
    await client.end();
  }
});

test.for([[['recording', 'list']], [['retry', '--parked']]] as const)(
  '%j names the options for the database when there is none',
  async ([args]) => {
    await using world = await createWorld({ bare: true });
    const { code, stderr } = await world.cli(args, { env: { TAILRACE_DATABASE_URL: 'postgresql://127.0.0.1:1/none' } });
    expect(code).toBe(69);
    expect(stderr).toMatch(/ECONNREFUSED.*--database, TAILRACE_DATABASE_URL or the PG\* variables/);
  },
);
