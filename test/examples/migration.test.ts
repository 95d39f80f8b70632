// The page about moving, step by step as it stands: on a table of the old processor's own, beside a loop that does what
// the old processor does.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { createExampleWorld, type World } from './world.ts';

// Each starts programs, which takes seconds on a busy machine.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = await readFile(join(ROOT, 'docs/migration.md'), 'utf8');
const OLD_LOG = 'var/log/greenarrow/events.jsonl';
const MOVED = '?options=-csearch_path%3Dmoved,public';

/** The fenced blocks of a section, in order; those of a list are indented. */
function blocksOf(section: string): { language: string; text: string }[] {
  const [, text = ''] = new RegExp(`^## ${section}\\n(.*?)(?=^## |\\z|$(?![\\s\\S]))`, 'ms').exec(PAGE) ?? [];
  return [...text.matchAll(/^( *)```(\w+)\n(.*?)^ *```/gms)].map(([, indent = '', language = '', block = '']) => ({
    language,
    text: block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }));
}
const commandsOf = (section: string): string[] =>
  blocksOf(section)
    .filter(({ language }) => language === 'console')
    .flatMap(({ text }) => [...text.matchAll(/^\$ (.*)$/gm)].map(([, line = '']) => line));
const sqlOf = (section: string): string[] =>
  blocksOf(section)
    .filter(({ language }) => language === 'sql')
    .map(({ text }) => text);

let world: World;
let client: pg.Client;
let role = '';

beforeEach(async () => {
  world = await createExampleWorld({ bare: true });
  client = new pg.Client({ connectionString: world.url });
  await client.connect();
  const { rows } = await client.query('SELECT current_database() AS name');
  role = `${rows[0].name}_shadow`;
  // As the vendor's documents define it: none of our columns, no default of destination_id.
  await client.query(`CREATE SEQUENCE events_seq;
    CREATE TABLE events (id bigint NOT NULL PRIMARY KEY DEFAULT nextval('events_seq'), event_type varchar(100), event_time integer,
      email varchar, listid varchar, sendid varchar, studio_rl_seq bigint, studio_ip inet, headers text, synchronous boolean,
      timestamp double precision, event_unique_id varchar, server_id varchar, destination_id integer)`);
  await mkdir(join(world.root, 'var/hvmail/control'), { recursive: true });
  await mkdir(join(world.root, 'var/log/greenarrow'), { recursive: true });
  await configure('var/hvmail/control', 'var/log/greenarrow/events.jsonl');
});
afterEach(async () => {
  await client.query(
    `DO $$ BEGIN IF to_regrole('${role}') IS NOT NULL THEN DROP OWNED BY ${role}; DROP ROLE ${role}; END IF; END $$`,
  );
  await client.end();
  await world[Symbol.asyncDispose]();
});

async function configure(folder: string, log: string, name = 'event_processor.json'): Promise<void> {
  const entries = [
    { matches: { event_type: 'hook_bounce' }, destination: { type: 'http_post', url: 'http://127.0.0.1:1/' } },
    { matches: { event_type: ['delivery_attempt', 'engine_open'] }, destination: { type: 'drop_from_queue' } },
    { matches: { all: true }, destination: { type: 'leave_in_queue' } },
  ];
  const config = {
    configuration_mode: 'json',
    logfile: { filename: join(world.root, log) },
    event_destinations: entries,
  };
  await writeFile(join(world.root, folder, name), JSON.stringify(config));
}

const insert = (type: string, more: Readonly<Record<string, unknown>> = {}) => {
  const row = { event_type: type, event_time: 1317305252, destination_id: 1, ...more };
  const columns = Object.keys(row);
  return client.query(
    `INSERT INTO events (${columns.join(', ')}) VALUES (${columns.map((_, at) => `$${at + 1}`).join(', ')})`,
    Object.values(row),
  );
};
const rowsOf = async (condition = 'true') =>
  (await client.query(`SELECT event_type, destination_id FROM events WHERE ${condition} ORDER BY id`)).rows;
const linesOf = async (file: string): Promise<Record<string, unknown>[]> =>
  (await readFile(join(world.root, file), 'utf8').catch(() => ''))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** Runs a command of the page; a processor is stopped when it has begun its work. */
async function run(line: string): Promise<string> {
  const isService = /tailrace run (?!.*--once)/.test(line);
  const until = isService ? (/--dry-run/.test(line) ? /shadow run starting/ : /started as the writer/) : undefined;
  const { code, stdout, stderr } = await world.bash(line, { until });
  expect({ line, code, stderr: isService ? '' : stderr }).toEqual({ line, code: isService ? null : 0, stderr: '' });
  expect(stderr).not.toMatch(/"level":[56]0/);
  return stdout;
}
const [copy = '', check = ''] = commandsOf('Check the configuration');

describe.skipIf(!['jq', 'psql'].every(requireTool))('the page about moving', () => {
  test('has commands and statements in each section', () => {
    const counts = ['Check the configuration', 'A shadow run', 'Changing over', 'Side by side', 'Going back'].map(
      (section) => [commandsOf(section).length, sqlOf(section).length],
    );
    expect(counts).toEqual([
      [2, 0],
      [8, 1],
      [3, 1],
      [2, 1],
      [0, 2],
    ]);
  });

  test('checks a copy of the old file', async () => {
    await run(copy);
    expect(world.unmapped(await run(check))).toContain('/etc/tailrace/event_processor.json: good (3 destinations');
  });

  test('compares what a shadow run wrote with the old file', async () => {
    await run(copy);
    for (const statement of sqlOf('A shadow run')) await client.query(statement.replaceAll('tailrace_shadow', role));
    await insert('scomp', {
      studio_rl_seq: '9091133797412707319',
      headers: '{"Subject": "News"}',
      synchronous: true,
      email: 'ann@example.org',
    });
    await insert('hook_bounce');
    const [once = '', beside = '', ...compare] = commandsOf('A shadow run');
    expect(JSON.parse(await run(once))).toMatchObject({
      read: 2,
      logged: 0,
      destinations: [{ events: 1 }, {}, { events: 1 }],
    });
    await world.bash(beside, { until: /shadow run starting/ });
    const all = beside.replace('--dry-run', '--dry-run --once').replace('shadow.jsonl', 'once.jsonl');
    expect(JSON.parse(await run(all))).toMatchObject({ read: 2, logged: 2 });
    await run('mv /var/log/tailrace/once.jsonl /var/log/tailrace/shadow.jsonl');
    const { stdout: line } = await world.bash('cat /var/log/tailrace/shadow.jsonl');
    // The old processor wrote the same with other time stamps, in another order, and without what is empty.
    await writeFile(
      join(world.root, OLD_LOG),
      line
        .replaceAll(/"time_written_to_logfile":\d+/g, '"time_written_to_logfile":1317305299')
        .replaceAll(/,"\w+":null/g, ''),
    );
    for (const command of compare) expect(await run(command)).toBe('');
    await writeFile(join(world.root, OLD_LOG), line.replace('ann@', 'bob@'));
    const outcomes = [];
    for (const command of compare) outcomes.push((await world.bash(command)).stdout);
    expect(outcomes.at(-1)).toContain('bob@');
  });

  test('changes over on the old file, in which no event gets a second line', async () => {
    await run(copy);
    await insert('scomp', { email: 'ann@example.org', event_unique_id: 'u1' });
    await insert('delivery_attempt');
    // The old processor had written this one's line, and left its row.
    const old = `{"time_written_to_logfile":1317305299.5,"event_id":1,"event_time":1317305252,"event_type":"scomp","email":"ann@example.org","event_unique_id":"u1"}\n`;
    await writeFile(join(world.root, OLD_LOG), old);
    const columns = await client.query(
      `SELECT attname FROM pg_attribute WHERE attrelid = 'events'::regclass ORDER BY attnum`,
    );
    const [init = '', start = '', status = ''] = commandsOf('Changing over');
    await run(init);
    for (const statement of sqlOf('Changing over')) {
      expect((await client.query(statement)).rows).toMatchObject([{ count: '1' }, { count: '1' }]);
    }
    await run(start);
    await run('tailrace run --once --config /etc/tailrace/event_processor.json');
    expect((await linesOf(OLD_LOG)).map(({ event_id }) => event_id)).toEqual([1, 2]);
    expect(await rowsOf()).toEqual([{ event_type: 'scomp', destination_id: 1 }]);
    expect(await run(status)).toContain('1 left in the queue');
    const after = await client.query(
      `SELECT attname FROM pg_attribute WHERE attrelid = 'events'::regclass ORDER BY attnum`,
    );
    expect(after.rows).toEqual(columns.rows);

    const [, last = ''] = sqlOf('Going back');
    await client.query(last);
    expect(await rowsOf()).toEqual([{ event_type: 'scomp', destination_id: 1 }]);
  });

  test('shares the table by event type, and gives it back', async () => {
    await configure('etc/tailrace', 'var/log/tailrace/moved.jsonl', 'moved.json');
    await insert('engine_open');
    for (const statement of sqlOf('Side by side')) await client.query(statement);
    for (const type of ['engine_open', 'scomp', 'engine_click']) await insert(type);
    await insert('engine_open', { destination_id: 7 });
    const [init = '', start = ''] = commandsOf('Side by side');
    await run(init);
    await run(start);
    await run(`tailrace run --once --config /etc/tailrace/moved.json --database 'postgresql:///greenarrow${MOVED}'`);
    // Ours are gone or left; of the old one's nothing was touched.
    expect((await linesOf('var/log/tailrace/moved.jsonl')).map(({ event_id }) => event_id)).toEqual([2, 4]);
    expect(await rowsOf()).toEqual([
      { event_type: 'engine_open', destination_id: 1 },
      { event_type: 'scomp', destination_id: 1 },
      { event_type: 'engine_click', destination_id: 100 },
      { event_type: 'engine_open', destination_id: 7 },
    ]);
    for (const statement of sqlOf('Going back')) await client.query(statement);
    await insert('engine_open');
    expect(await rowsOf('destination_id <> 1')).toEqual([{ event_type: 'engine_open', destination_id: 7 }]);
    expect(await rowsOf()).toHaveLength(5);
  });
});
