// Databases that are away, wrong, or not what the program needs: each said in one clear line, with its exit code.

import { symlink, writeFile } from 'node:fs/promises';
import { expect, inject, test } from 'vitest';
import { spawnCli } from '../helpers/cli.ts';
import { createWorld, stopped, waitUntilDrained } from './world.ts';

const COMMANDS = [
  ['run', '--once'],
  ['status'],
  ['status', '--json'],
  ['init'],
  ['record', 'in.jsonl'],
  ['recording', 'list'],
];

test.for([
  ['no server', 'postgresql:///tailrace?host=/nowhere', /nowhere/],
  ['a port that nobody listens on', 'postgresql://localhost:1/tailrace', /ECONNREFUSED/],
  ['a URL that is none', 'postgresql://[', /database/],
] as const)('%s is exit code 69 and one line', async ([, url, what]) => {
  await using world = await createWorld({ bare: true });
  await world.configure();
  await writeFile(`${world.folder}/in.jsonl`, '{"event_type":"scomp"}\n');
  for (const args of COMMANDS) {
    const { code, stdout, stderr } = await world.cli(args, { env: { TAILRACE_DATABASE_URL: url } });
    expect({ args, code, stdout }).toEqual({ args, code: 69, stdout: '' });
    expect(stderr).toMatch(/^tailrace: [^\n]*\n$/);
    expect(stderr).toMatch(what);
  }
});

test('a wrong database or user is exit code 69 and says which', async () => {
  await using world = await createWorld();
  const wrong = {
    nosuchdb: world.database.url.replace(world.database.name, 'nosuchdb'),
    nosuchuser: world.database.url.replace('postgres@', 'nosuchuser:canary@'),
  };
  await writeFile(`${world.folder}/in.jsonl`, '{"event_type":"scomp"}\n');
  for (const [name, url] of Object.entries(wrong)) {
    for (const args of COMMANDS) {
      const { code, stderr } = await world.cli(args, { env: { TAILRACE_DATABASE_URL: url } });
      expect({ args, code }).toEqual({ args, code: 69 });
      expect(stderr).toMatch(new RegExp(`^tailrace: [^\\n]*${name}[^\\n]*\\n$`));
      expect(stderr).not.toContain('canary');
    }
  }
});

test('`run` waits for a database that is down', async () => {
  await using world = await createWorld();
  const socket = `${world.folder}/socket`;
  const url = world.database.url.replace(inject('postgresSocketDirectory'), socket);
  await world.insert(3);
  await using running = spawnCli(['run', '--config', world.configFile], { env: { TAILRACE_DATABASE_URL: url } });
  await running.waitForStderr(/cannot start; trying again/);
  await symlink(inject('postgresSocketDirectory'), socket);
  await waitUntilDrained(world);
  expect(await stopped(running)).toBe(0);
});

test('a database without the queue table or the schema says what to run', async () => {
  await using world = await createWorld({ bare: true });
  await world.configure();
  for (const args of [['run', '--once'], ['status']]) {
    const { code, stderr } = await world.cli(args);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^tailrace: there is no table events [^\n]*`tailrace init`[^\n]*\n$/);
  }
  await world.database.query('CREATE TABLE events (id bigint PRIMARY KEY, event_type text)');
  const { code, stderr } = await world.cli(['run', '--once']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^tailrace: [^\n]*no schema tailrace; run `tailrace init`[^\n]*\n$/);
});

test.for(['id', 'event_type'])('a table without %s is refused by every command that needs it', async (column) => {
  await using world = await createWorld({ bare: true });
  await world.configure();
  await world.database.query(`CREATE TABLE events (${column === 'id' ? 'event_type text' : 'id bigint'}, email text)`);
  for (const args of [['init'], ['run', '--once'], ['status']]) {
    const { code, stderr } = await world.cli(args);
    expect({ args, code }).toEqual({ args, code: 1 });
    expect(stderr).toMatch(new RegExp(`^tailrace: [^\\n]*events has no column ${column};[^\\n]*\\n$`));
  }
});

test("somebody else's table with few and other columns is read and never altered", async () => {
  await using world = await createWorld({ bare: true });
  await world.configure();
  await world.database.query(
    `CREATE TABLE events (event_type text, "odd ""name" int[], id int PRIMARY KEY, note json)`,
  );
  expect(await world.cli(['init'])).toMatchObject({ code: 0, stdout: expect.stringContaining('found table events') });
  await world.database.query(`INSERT INTO events VALUES ('scomp', '{1,NULL}', 7, '{"a": 1}'), (NULL, NULL, 8, NULL)`);
  expect(await world.once()).toMatchObject({ read: 2, logged: 2, delivered: 2 });
  const [first, second] = await world.lines();
  expect(first?.event).toMatchObject({ event_id: 7, event_time: null, 'odd "name': '{1,NULL}', note: '{"a": 1}' });
  expect(second?.event).toEqual({
    time_written_to_logfile: expect.any(Number),
    event_id: 8,
    event_time: null,
    event_type: null,
  });
});

test('a column that comes while it runs is in the lines', async () => {
  await using world = await createWorld();
  await using running = await world.run();
  await world.insert(1);
  await waitUntilDrained(world);
  await world.database.query('ALTER TABLE events ADD COLUMN extra text, DROP COLUMN email');
  await running.waitForStderr(/shape of the queue table has changed/);
  await world.database.query(`INSERT INTO events (event_type, extra) VALUES ('scomp', 'more')`);
  await waitUntilDrained(world);
  expect((await world.lines()).map(({ event }) => event.extra)).toEqual([undefined, 'more']);
  expect(await stopped(running)).toBe(0);
});
