// `tailrace explain` with the built program: where events come from, what is said of them, and that nothing is sent.

import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, onTestFinished, test } from 'vitest';
import { type CliResult, runCli } from '../helpers/cli.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { createWorld, httpPost, SLOW_MS, type World } from './world.ts';

const entry = (matches: object, destination: object, more: object = {}) => ({ matches, destination, ...more });
const LEAVE = entry({ all: true }, { type: 'leave_in_queue' });

/** One destination of each kind. */
const everyKind = (url: string): object[] => [
  entry({ event_type: 'scomp' }, { type: 'http_post', url, format: 'json' }, { name: 'suppression', continue: true }),
  entry(
    { event_type: 'engine_open', mail_class: 'password-reset' },
    { type: 'http_post', url, format: 'form' },
    { name: 'opens' },
  ),
  entry(
    { event_type: ['hook_bounce', 'scomp'] },
    {
      type: 'custom_sql',
      db_dsn: 'mysql://crm@10.0.0.5/crm',
      db_password: 'pa55word',
      sql: 'UPDATE s SET x = 1 WHERE email = ?',
      bind_list: ['email'],
    },
    { name: 'crm', enabled: false },
  ),
  entry(
    { event_type: 'engine_click' },
    { type: 'sql_insert', db_dsn: 'postgresql://l:pa55word@10.0.0.6/m', table: 'mail' },
  ),
  entry({ event_type: 'delivery_attempt' }, { type: 'drop_from_queue' }),
  LEAVE,
];

function configured(world: World, destinations: readonly object[]): Promise<void> {
  return world.configure({ logfile: { filename: world.log }, event_destinations: destinations });
}

async function explained(world: World, args: readonly string[], input = ''): Promise<Record<string, never>[]> {
  const { code, stdout, stderr } = await world.cli(['explain', '--json', ...args], { input });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));
}

test('says of each entry which condition is met and why not, who gets the event, and what would be sent', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await configured(world, everyKind(receiver.url('/x').replace('http://', 'http://bob:hunter2@')));
  const [id] = await world.insert(1, {
    event_type: 'scomp',
    mailclass: 'Newsletter',
    event_unique_id: 'u1',
    email: 'j@example.org',
  });
  const { code, stdout, stderr } = await world.cli(['explain', '--id', String(id)]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(
    `event ${id} ("scomp", mail_class "Newsletter"), in the queue, under ./event_processor.json, not in force yet\n`,
  );
  expect(stdout).toContain(
    '* 1. suppression (http_post, continue): matches, and gets it\n       yes  event_type is "scomp"\n',
  );
  expect(stdout).toContain(`POST ${receiver.url('/x')}\n`);
  expect(stdout).toContain('authorization: Basic [secret]\n');
  expect(stdout).toContain('idempotency-key: u1\n');
  expect(stdout).toContain('"email":"j@example.org"');
  expect(stdout).toContain('  2. opens (http_post): does not match\n');
  expect(stdout).toContain('       no   event_type is "scomp", wanted "engine_open"\n');
  expect(stdout).toContain('       no   mail_class is "Newsletter", wanted "password-reset"\n');
  expect(stdout).toContain(
    '* 3. crm (custom_sql, disabled): matches; the event waits, since the destination is disabled\n',
  );
  expect(stdout).toContain('       yes  event_type is "scomp", one of "bounce_bad_address", "scomp"\n');
  expect(stdout).toContain(
    'on MySQL at 10.0.0.5:3306\n         UPDATE s SET x = 1 WHERE email = ?\n           email  j@example.org\n',
  );
  expect(stdout).toContain('  6. leave_in_queue: would match, but entry 3 takes the event and does not continue\n');
  expect(stdout).toMatch(/ {2}=> goes to suppression, and waits for crm\n$/);
  expect(stdout).not.toMatch(/hunter2|pa55word/);
  expect(receiver.requests).toEqual([]);
  expect(await world.queued()).toBe(1);
});

test('takes JSON from standard input: lines, an array, and objects that are spread over lines as jq prints them', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  await configured(world, everyKind('http://127.0.0.1:1/x'));
  const events = [
    { event_type: 'delivery_attempt' },
    { event_type: 'ENGINE_OPEN', mailclass: 'Password-Reset' },
    { event_type: 'engine_click', headers: { a: [1] } },
    { id: 7, event_type: 'sms_sent' },
  ];
  const inputs = [
    events.map((event) => `${JSON.stringify(event)}\n`).join(''),
    JSON.stringify(events),
    events.map((event) => `${JSON.stringify(event, null, 2)}\n`).join(''),
  ];
  for (const input of inputs) {
    const found = await explained(world, ['-'], input);
    expect(found.map(({ outcome }) => outcome)).toEqual(['dropped', 'delivered', 'delivered', 'left']);
    expect(found.map(({ event }) => event)).toMatchObject([
      { id: null },
      { mailclass: 'Password-Reset' },
      {},
      { id: '7' },
    ]);
  }
  const { stdout } = await world.cli(['explain', '-'], { input: inputs[0] ?? '' });
  expect(stdout).toContain(
    'an event without an id, 0 stands for it ("delivery_attempt", mail_class empty), standard input:1',
  );
  expect(stdout).toContain('* 5. drop_from_queue: matches, and throws it away\n');
  expect(stdout).toContain('=> is thrown away: deleted from the queue, sent nowhere\n');
  expect(stdout).toContain('=> stays in the queue\n');
  expect(stdout).toContain('note: which of these columns the remote table has is not looked up\n');
});

test('a bad line is said with its place, and the others are explained', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await configured(world, [LEAVE]);
  const input = '{"event_type":"scomp"}\nnot json\n{"email":"a"}\n{"event_type":"scomp"}\n';
  const { code, stdout, stderr } = await world.cli(['explain', '-', '--json'], { input });
  expect(code).toBe(1);
  expect(stdout.trimEnd().split('\n')).toHaveLength(2);
  expect(stderr).toMatch(/^tailrace: standard input:2: it is not JSON: .*\n/);
  expect(stderr).toContain('tailrace: standard input:3: it has no event_type, so it is no event\n');
});

test('an event that is gone from the queue is found in the log files, rotated and compressed ones too', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  await configured(world, [entry({ all: true }, { type: 'drop_from_queue' })]);
  const ids = await world.insert(3, { event_type: 'scomp', studio_rl_seq: '9007199254740993' });
  await world.once();
  const rotated = `${world.log}.1.gz`;
  await writeFile(rotated, gzipSync(await readFile(world.log)));
  await rename(world.log, join(world.folder, 'elsewhere'));
  await configured(world, [httpPost('http://127.0.0.1:1/x')]);
  const [found] = await explained(world, ['--id', String(ids[1])]);
  expect(found).toMatchObject({
    source: { from: 'file', file: rotated, line: 2 },
    outcome: 'delivered',
    in_force: false,
  });
  expect(JSON.stringify(found)).toContain('\\"studio_rl_seq\\":9007199254740993,');

  const unknown = await world.cli(['explain', '--id', '999']);
  expect(unknown).toMatchObject({ code: 1, stdout: '' });
  expect(unknown.stderr).toContain('the event 999 is not in the queue table public.events, nor in ');
});

test('takes a range of the lines of a file, both ends included, compressed or not', { timeout: SLOW_MS }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const lines = Array.from({ length: 30_000 }, (_, at) => `{"event_id":${at + 1},"event_type":"scomp"}\n`).join('');
  await writeFile(join(folder, 'plain'), lines);
  await writeFile(join(folder, 'packed.gz'), gzipSync(lines));
  await writeFile(join(folder, 'event_processor.json'), JSON.stringify({ event_destinations: [LEAVE] }));
  const wanted: [string, string, string[]][] = [
    ['plain', '10-12', ['10', '11', '12']],
    ['packed.gz', '29999-', ['29999', '30000']],
    ['packed.gz', '7', ['7']],
  ];
  const results = await Promise.all(
    wanted.map(([file, range]) => runCli(['explain', '--json', file, '--lines', range], { cwd: folder })),
  );
  for (const [at, [file, , ids]] of wanted.entries()) {
    const { code, stdout } = results[at] as CliResult;
    const found = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect({ code, sources: found.map(({ source }) => source) }).toEqual({
      code: 0,
      sources: ids.map((id) => ({ from: 'file', file, line: Number(id) })),
    });
    expect(found.map(({ event }) => event.id)).toEqual(ids);
  }
  const behind = await runCli(['explain', 'plain', '--lines', '30001'], { cwd: folder });
  expect(behind).toMatchObject({ code: 1, stderr: 'tailrace: there is no event in these lines in plain\n' });
});

test('says where an event stands: delivered already, failed, given up, paused', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using good = await createHttpReceiver();
  await using bad = await createHttpReceiver({ status: 422, body: 'no such list' });
  const slow = { retry: { initial_ms: 600_000, max_ms: 600_000 } };
  const giveUp = { retry: { initial_ms: 600_000, max_ms: 600_000, max_attempts: 1 } };
  await configured(world, [
    httpPost(good.url(), {}, { name: 'has it', continue: true }),
    httpPost(bad.url(), slow, { name: 'refuses', continue: true }),
    httpPost(bad.url('/other'), giveUp, { name: 'gave up' }),
  ]);
  const [id] = await world.insert(1, { event_type: 'scomp' });
  expect(await world.once()).toMatchObject({ failed: 1 });
  const first = await world.cli(['explain', '--id', String(id)]);
  expect(first.stdout).toContain('under ./event_processor.json, in force\n');
  expect(first.stdout).toContain('has it (http_post, continue): matches, and has it already: it is not sent again\n');
  expect(first.stdout).toMatch(
    /refuses \(http_post, continue\): matches, and gets it again \(failed once: HTTP 422.*no such list/,
  );
  expect(first.stdout).toMatch(/gave up \(http_post\): matches; given up there, waits for tailrace retry \(HTTP 422/);
  await world.cli(['pause', 'refuses']);
  const [paused] = await explained(world, ['--id', String(id)]);
  expect(paused).toMatchObject({
    destinations: [{}, { action: 'wait', paused: true, standing: { state: 'failed' } }, {}],
  });
});

test('goes on without a database where the events come from a file or the log', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await configured(world, [LEAVE]);
  const [id] = await world.insert(1);
  await world.once();
  const nowhere = { env: { TAILRACE_DATABASE_URL: 'postgresql://postgres@127.0.0.1:1/x' } };
  const byId = await world.cli(['explain', '--id', String(id)], nowhere);
  expect(byId.code).toBe(0);
  expect(byId.stdout).toContain(`event ${id} ("engine_open", mail_class empty), ${world.log}:1, under`);
  expect(byId.stderr).toContain('going on without it');
  const none = await world.cli(['explain', world.log, '--json'], { env: { TAILRACE_DATABASE_URL: '' } });
  expect(none).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(none.stdout)).toMatchObject({ in_force: null, destinations: [{ paused: null }] });
});

test('a row of another destination_id is said to be none of ours', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await configured(world, [LEAVE]);
  const [id] = await world.insert(1, { destination_id: 2 });
  const { code, stderr } = await world.cli(['explain', '--id', String(id)]);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `tailrace: the event ${id} has another destination_id than 1: it is not tailrace's, and stays untouched\n`,
  });
});

test('a configuration with a log file alone sends nothing', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  const [found] = await explained(world, ['-'], '{"event_type":"scomp"}');
  expect(found).toMatchObject({ outcome: 'file_only', destinations: [] });
});

test('wrong usage is said before anything is looked at', { timeout: SLOW_MS }, async () => {
  const usages: [string[], string][] = [
    [[], 'name one of: --id ID, a FILE, or - for standard input'],
    [
      ['--id', 'd1f0c2'],
      '--id takes an event_id, which is a number, not "d1f0c2"; tailrace trace finds it by its unique id',
    ],
    [['--id', '1', '--lines', '2'], '--lines goes with a FILE'],
    [
      ['x.jsonl', '--lines', '5-2'],
      '--lines takes a line or a range, such as 7, 10-20 or 10-, counted from 1; not "5-2"',
    ],
  ];
  const results = await Promise.all(usages.map(([args]) => runCli(['explain', ...args])));
  expect(results).toEqual(usages.map(([, message]) => ({ code: 2, stdout: '', stderr: `tailrace: ${message}\n` })));
});
