import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { ENGINE_SWITCHES } from '../../src/event/recording-switches.ts';
import {
  type ControlDirectory,
  findControlDirectory,
  readControlDirectory,
  writeSwitch,
} from '../../src/recording/control-directory.ts';
import { watchControlDirectory } from '../../src/recording/watch-control.ts';
import { scaled } from '../acceptance/world.ts';
import { waitFor } from '../helpers/wait-for.ts';

async function createDirectory(files: Readonly<Record<string, string>> = {}): Promise<ControlDirectory> {
  const path = await mkdtemp(join(tmpdir(), 'tailrace-control-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) await writeFile(join(path, name), content);
  return { path, named: true };
}

/** The program looks again for a tenth of a second before it believes that an empty file is meant. */
const SLOW_WRITE_MS = 50;

const switchOfType = (type: string) => ENGINE_SWITCHES.filter((each) => each.type === type);

/** What one file with this content does: on, off, or off with a problem. */
async function readOne(name: string, content: string): Promise<string> {
  const directory = await createDirectory({ [name]: content });
  const { on, problems } = await readControlDirectory(directory);
  return problems.get(join(directory.path, name)) ?? (on.size === 1 ? 'on' : 'off');
}

test.each([
  ['1\n', 'on'],
  ['1', 'on'],
  [' 1 \r\n', 'on'],
  ['0\n', 'off'],
  ['', 'off'],
  ['\n', 'off'],
  ['yes', 'holds "yes", not 1'],
  ['true', 'holds "true", not 1'],
  ['11', 'holds "11", not 1'],
  ['{"enabled": true}', 'holds "{\\"enabled\\": true}", not 1'],
  ['1'.repeat(5_000), 'is longer than 4096 bytes'],
  ['x'.repeat(100), `holds "${'x'.repeat(40)}…", not 1`],
])('a file of SimpleMH that holds %j is %s', async (content, expected) => {
  expect(await readOne('record_events.simplemh.scomp', content)).toBe(expected);
  expect(await readOne('record_events.bounce_lite', content)).toBe(expected);
});

test.each([
  ['{"enabled": true}\n', 'on'],
  ['{"enabled": true, "sample": 0.5}', 'on'],
  ['{"enabled": false}', 'off'],
  ['', 'off'],
  ['{}', 'holds "{}", not {"enabled": true}'],
  ['{"enabled": "yes"}', 'holds "{\\"enabled\\": \\"yes\\"}", not {"enabled": true}'],
  ['1', 'holds "1", not {"enabled": true}'],
  ['[true]', 'holds "[true]", not {"enabled": true}'],
  ['{"enabled": tr', 'holds "{\\"enabled\\": tr", not {"enabled": true}'],
])('record_events.delivery_attempt.json that holds %j is %s', async (content, expected) => {
  expect(await readOne('record_events.delivery_attempt.json', content)).toBe(expected);
});

test('each file switches its own type', async () => {
  for (const { type, where, form } of ENGINE_SWITCHES) {
    const directory = await createDirectory({ [where]: form === 'json' ? '{"enabled":true}' : '1' });
    expect([...(await readControlDirectory(directory)).on]).toEqual([type]);
  }
});

test('a folder, a pipe and a broken link in the place of a file are off and said, and nothing waits for the pipe', async () => {
  const directory = await createDirectory();
  await mkdir(join(directory.path, 'record_events.simplemh.scomp'));
  execFileSync('mkfifo', [join(directory.path, 'record_events.simplemh.open')]);
  execFileSync('ln', ['-s', 'record_events.simplemh.click', join(directory.path, 'record_events.simplemh.click')]);
  const { on, problems } = await readControlDirectory(directory);
  expect([...on]).toEqual([]);
  expect([...problems.values()].sort()).toEqual([
    expect.stringContaining('ELOOP'),
    'is not a regular file',
    'is not a regular file',
  ]);
});

test('a directory that is not there is one problem, and everything is off', async () => {
  const { on, problems } = await readControlDirectory({ path: '/nonexistent/control', named: true });
  expect([...on]).toEqual([]);
  expect([...problems.keys()]).toEqual(['/nonexistent/control']);
});

test('the directory is the option, else the variable, else none on a machine without one', async () => {
  const env = { TAILRACE_CONTROL_DIR: '/from/env' };
  expect(await findControlDirectory('/from/option', env)).toEqual({ path: '/from/option', named: true });
  expect(await findControlDirectory(undefined, env)).toEqual({ path: '/from/env', named: true });
  const usual = await Promise.all(
    ['/etc/tailrace/control', '/var/hvmail/control'].map((path) => stat(path).catch(() => null)),
  );
  if (usual.every((found) => found === null)) expect(await findControlDirectory(undefined, {})).toBeNull();
});

test('a switch is written in one step, into a directory that is made, and leaves nothing beside it', async () => {
  const { path } = await createDirectory();
  const directory = { path: join(path, 'made', 'control'), named: true };
  for (const each of ENGINE_SWITCHES) await writeSwitch(directory, each, true);
  expect((await readControlDirectory(directory)).on.size).toBe(ENGINE_SWITCHES.length);
  for (const each of ENGINE_SWITCHES) await writeSwitch(directory, each, false);
  expect(await readControlDirectory(directory)).toMatchObject({ on: new Set(), problems: new Map() });
  expect((await readdir(directory.path)).sort()).toEqual(ENGINE_SWITCHES.map(({ where }) => where).sort());
});

test('other settings in record_events.delivery_attempt.json stay', async () => {
  const name = 'record_events.delivery_attempt.json';
  const directory = await createDirectory({ [name]: '{"enabled": false, "sample": [1, 2]}' });
  for (const each of switchOfType('delivery_attempt')) await writeSwitch(directory, each, true);
  expect(JSON.parse(await readFile(join(directory.path, name), 'utf8'))).toEqual({ enabled: true, sample: [1, 2] });
});

test('a directory that cannot be written is said with its path', async () => {
  const { path } = await createDirectory({ file: '' });
  for (const each of switchOfType('scomp')) {
    await expect(writeSwitch({ path: join(path, 'file'), named: true }, each, true)).rejects.toMatchObject({
      code: 'SWITCH_NOT_SET',
      message: expect.stringContaining(join(path, 'file', 'record_events.simplemh.scomp')),
    });
  }
});

test('changes are seen within a second, also after the directory was away, and a problem is said once', async () => {
  const directory = await createDirectory({ 'record_events.simplemh.open': 'what' });
  const states: string[] = [];
  const problems: string[] = [];
  const ending = new AbortController();
  const watching = watchControlDirectory(directory, {
    signal: ending.signal,
    onState: ({ on }) => states.push([...on].join()),
    onProblem: (path, problem) => problems.push(`${path.slice(directory.path.length)}: ${problem}`),
  });
  const within = { timeoutMs: scaled(1_000, 5_000) };
  const file = join(directory.path, 'record_events.simplemh.scomp');
  await waitFor(() => states.length === 1);
  await writeFile(file, '1\n');
  await waitFor(() => states.at(-1) === 'scomp', within);
  await writeFile(file, '0\n');
  await waitFor(() => states.at(-1) === '', within);
  await writeFile(`${file}.new`, '1\n');
  await rename(`${file}.new`, file);
  await waitFor(() => states.at(-1) === 'scomp', within);
  await rm(file);
  await waitFor(() => states.at(-1) === '', within);
  expect(problems).toEqual(['/record_events.simplemh.open: holds "what", not 1']);

  await rename(directory.path, `${directory.path}.away`);
  await waitFor(() => problems.length === 2, within);
  expect(problems[1]).toContain('cannot be read: there is no such folder');
  await mkdir(directory.path);
  await writeFile(file, '1\n');
  await waitFor(() => states.at(-1) === 'scomp', within);
  await rm(`${directory.path}.away`, { recursive: true });
  ending.abort();
  await watching;
});

test('a switch that is written again with `echo 1` is not off in between', async () => {
  const directory = await createDirectory({ 'record_events.simplemh.scomp': '1\n' });
  const states: string[] = [];
  const ending = new AbortController();
  const watching = watchControlDirectory(directory, {
    signal: ending.signal,
    onState: ({ on }) => states.push([...on].join()),
    onProblem: () => undefined,
  });
  await waitFor(() => states.length === 1);
  const file = join(directory.path, 'record_events.simplemh.scomp');
  let slow = 0;
  for (let times = 0; times < 100; times += 1) {
    const began = performance.now();
    await writeFile(file, '');
    await writeFile(file, '1\n');
    // A disk that is busy leaves the file empty for longer than anybody would wait for the rest.
    if (performance.now() - began > SLOW_WRITE_MS) slow += 1;
    await sleep(5);
  }
  await writeFile(join(directory.path, 'record_events.simplemh.open'), '1\n');
  await waitFor(() => states.at(-1) === 'scomp,engine_open');
  if (slow === 0) expect(states).toEqual(['scomp', 'scomp,engine_open']);
  else expect(states.filter((state) => state === '').length).toBeLessThanOrEqual(slow);
  ending.abort();
  await watching;
});
