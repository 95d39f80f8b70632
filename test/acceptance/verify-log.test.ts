// `tailrace verify-log` with the built program: what tailrace has written is clean across rotations, what somebody did
// to it afterwards is found at its place, and the queue is held against it.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { runCli, TAILRACE } from '../helpers/cli.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, httpPost, SLOW_MS, scaled, stopped, type World } from './world.ts';

const ROTATIONS = scaled(60, 6);

async function pack(path: string): Promise<void> {
  await writeFile(`${path}.gz`, gzipSync(await readFile(path)));
  await rm(path);
}

async function verified(world: World, ...args: string[]) {
  const { code, stdout, stderr } = await world.cli(['verify-log', '--json', ...args]);
  expect(stderr).toBe('');
  return { code, ...JSON.parse(stdout) };
}

/** Another folder with the three files of the log that `beforeAll` made, and a configuration that names it. */
async function copyOfLog() {
  const folder = await mkdtemp(join(tmpdir(), 'tailrace-verify-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const log = join(folder, 'events.jsonl');
  await writeFile(join(folder, 'event_processor.json'), JSON.stringify({ logfile: { filename: log } }));
  for (const name of ['.2.gz', '.1', '']) await copyFile(`${made.log}${name}`, `${log}${name}`);
  const cli = (...args: string[]) =>
    runCli(['verify-log', ...args], { cwd: folder, env: { TAILRACE_DATABASE_URL: made.database.url } });
  return { folder, log, cli };
}

/** A log in three files, the oldest one packed, with 20 events in each. */
let made: World;
beforeAll(async () => {
  made = await createWorld();
  for (const name of ['.2', '.1', '']) {
    await made.insert(20, { event_type: name === '' ? 'engine_open' : 'scomp', headers: '{"a": "ä"}' });
    await made.once();
    if (name !== '') await rename(made.log, `${made.log}${name}`);
  }
  await pack(`${made.log}.2`);
}, SLOW_MS);
afterAll(() => made[Symbol.asyncDispose]());

const edit = async (path: string, change: (text: string) => string): Promise<void> =>
  writeFile(path, change(await readFile(path, 'utf8')));

test(`a log of ${ROTATIONS} rotations under load is clean, while it is written and afterwards`, {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await world.configure({
    logfile: { filename: world.log },
    delivery_log: { filename: join(world.folder, 'events-deliveries.jsonl') },
    event_destinations: [httpPost(receiver.url(), {}, { matches: { event_type: 'scomp' } }), leave],
  });
  await using running = await world.run();
  const ids: string[] = [];
  for (let number = 0; number < ROTATIONS; number += 1) {
    ids.push(
      ...(await world.insert(100)),
      ...(await world.insert(3, { event_type: 'scomp', event_unique_id: `u${number}` })),
    );
    await waitFor(() => existsSync(world.log), { what: 'a new file' });
    await sleep(Math.random() * 60);
    const moved = `${world.log}.${String(ROTATIONS - number)}`;
    await rename(world.log, moved);
    if (number > 0 && number % 2 === 0) await pack(`${world.log}.${ROTATIONS - number + 1}`);
    if (number === ROTATIONS >> 1) expect(await verified(world)).toMatchObject({ code: 0, findings: [] });
  }
  await waitFor(async () => (await world.queued()) === ROTATIONS * 100, { timeoutMs: 60_000, what: 'all delivered' });
  const during = await verified(world, '--queue');
  expect(during).toMatchObject({ code: 0, findings: [], queue: { missing_judged: true } });
  expect(await stopped(running)).toBe(0);
  const after = await verified(world, '--queue');
  expect(after).toMatchObject({ code: 0, findings: [], counts: {}, lines: ids.length, events: ids.length });
  expect(after.queue).toMatchObject({ logged: ROTATIONS * 100, found: ROTATIONS * 100, unsettled: 0 });
  expect(after.files.length).toBeGreaterThanOrEqual(ROTATIONS);
});

const leave = { matches: { all: true }, destination: { type: 'leave_in_queue' } };

test('a whole log is said to be clean in a few words', { timeout: SLOW_MS }, async () => {
  const { folder, log, cli } = await copyOfLog();
  await writeFile(join(folder, 'events-eu.jsonl'), 'not ours\n');
  await writeFile(`${log}.bak`, 'nor is this\n');
  const { code, stdout, stderr } = await cli();
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^3 files, 60 lines, written from 2\S+Z to 2\S+Z: no findings\n$/);
  expect(code).toBe(0);
  // In any order, by any name.
  await symlink(log, join(folder, 'link'));
  expect(await cli('link', `${log}.1`, log, `${log}.2.gz`)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^3 files, 60 lines/),
  });
});

test('what was done to a log is found at its place, with what to do', { timeout: SLOW_MS }, async () => {
  const { log, cli } = await copyOfLog();
  const second =
    gunzipSync(await readFile(`${log}.2.gz`))
      .toString()
      .split('\n')[1] ?? '';
  await edit(`${log}.1`, (text) => {
    const lines = text.split('\n');
    lines[4] = '';
    lines[9] = (lines[9] ?? '').slice(0, 100);
    return lines.join('\n');
  });
  await edit(log, (text) => `${text}${second.replace(/^\{"[^"]*":\d+/, '{"time_written_to_logfile":9999999999')}\n`);
  const { code, stdout } = await cli('--max', '2');
  expect(code).toBe(1);
  expect(stdout.replaceAll(log, 'LOG').split('\n').slice(0, 3)).toEqual([
    'LOG.1:5: empty line',
    expect.stringMatching(
      /^LOG\.1:10:101: the line ends within its JSON, after 100 bytes; its event 30 has no whole line in these files$/,
    ),
    '… and 1 finding more',
  ]);
  expect(stdout).toMatch(/^ {2}event_twice \(1\): .*`tailrace trace ID` shows/m);
  expect(stdout).toMatch(/^3 files, 61 lines, .*: 3 findings$/m);
  const report = JSON.parse((await cli('--json')).stdout);
  expect(report).toMatchObject({ finding_count: 3, counts: { empty_line: 1, cut_line: 1, event_twice: 1 } });
  expect(report.findings[2]).toMatchObject({
    kind: 'event_twice',
    file: log,
    line: 21,
    event_id: '2',
    message: `event 2 stands at ${log}.2.gz:2 already`,
  });
});

test('an event that is noted as logged and has no line any more is found', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await world.configure({ logfile: { filename: world.log }, event_destinations: [leave] });
  await world.insert(3);
  const soon = Math.floor(Date.now() / 1_000) + 7_200;
  const ids = await world.insert(3, { event_time: soon });
  await world.once();
  expect(await verified(world, '--queue')).toMatchObject({ code: 0, queue: { logged: 6, found: 6, unsettled: 0 } });
  // The second of the old ones may have been logged before these files begin; the second of the new ones may not.
  await edit(world.log, (text) =>
    text
      .split('\n')
      .filter((_, at) => at !== 1 && at !== 4)
      .join('\n'),
  );
  const report = await verified(world, '--queue');
  expect(report).toMatchObject({
    code: 1,
    counts: { line_missing: 1 },
    queue: { logged: 6, found: 4, missing_judged: true },
  });
  expect(report.findings[0]).toMatchObject({ kind: 'line_missing', file: null, event_id: ids[1] });
  // Where the file that is written now is not among them, nobody knows.
  await rename(world.log, `${world.log}.1`);
  expect(await verified(world, '--queue', `${world.log}.1`)).toMatchObject({
    code: 0,
    queue: { missing_judged: false },
  });
});

test('a row that was put back after its line was written is found, an id that is used again is not', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  const [one, two] = await world.insert(2, { event_unique_id: 'mine' });
  await world.once();
  await world.database.query(
    `INSERT INTO events (id, event_type, event_unique_id) VALUES ($1, 'scomp', 'mine'), ($2, 'scomp', 'another')`,
    [one, two],
  );
  const report = await verified(world, '--database', world.database.url);
  expect(report).toMatchObject({ code: 1, counts: { row_came_back: 1 }, queue: { unsettled: 2 } });
  expect(report.findings[0]).toMatchObject({ kind: 'row_came_back', file: world.log, line: 1, event_id: one });
});

test('what cannot be done is said, with an exit code of its own', { timeout: SLOW_MS }, async () => {
  const { folder, log, cli } = await copyOfLog();
  const failing = async (...args: string[]) => {
    const { code, stdout, stderr } = await cli(...args);
    expect(stdout).toBe('');
    return `${code} ${stderr.replaceAll(folder, '')}`;
  };
  expect(await failing('--max', 'x')).toMatch(/^2 tailrace: --max is a whole number from 0/);
  expect(await failing('--config', '/none.json')).toMatch(
    /^1 .*none\.json.*there is no such file\ntailrace: .*none\.json cannot be used; mend it, or name/,
  );
  await mkdir(join(folder, 'sub'));
  expect(await failing('sub')).toMatch(/^1 tailrace: sub cannot be read: it is a folder; name the files in it/);
  expect(await failing('gone.jsonl')).toMatch(/^1 tailrace: gone\.jsonl cannot be read: there is no such file/);
  expect(await failing('--database', 'postgresql://127.0.0.1:1/none')).toMatch(/^69 tailrace: .*ECONNREFUSED/);
  for (const name of ['.2.gz', '.1', '']) await rm(`${log}${name}`);
  expect(await failing()).toMatch(/^2 tailrace: there is no file of the log \/events\.jsonl yet/);
});

test('every example of --help and of the page about it works', { timeout: SLOW_MS }, async () => {
  const { folder, log, cli } = await copyOfLog();
  await mkdir(join(folder, 'archive'));
  await rename(`${log}.2.gz`, join(folder, 'archive/events.jsonl.2.gz'));
  await writeFile(join(folder, 'tailrace'), `#!/bin/sh\nexec '${process.execPath}' '${TAILRACE}' "$@"\n`, {
    mode: 0o755,
  });
  const help = (await cli('--help')).stdout;
  const page = await readFile(fileURLToPath(new URL('../../docs/verify-log.md', import.meta.url)), 'utf8');
  const found = [...help.matchAll(/^ {2}(tailrace verify-log.*?)(?: {2,}.*)?$/gm), ...page.matchAll(/^\$ (.*)$/gm)];
  const examples = new Set(found.map(([, line = '']) => line.replaceAll('/var/log/tailrace', folder)));
  expect(examples.size).toBeGreaterThan(4);
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, TAILRACE_DATABASE_URL: made.database.url };
  for (const line of examples) execFileSync('sh', ['-c', line], { cwd: folder, env });
});
