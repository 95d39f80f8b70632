// `tailrace doctor` as a person meets it: on a good set-up, on one with failing destinations, on one whose processor died.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { OF_THE_MACHINE } from '../doctor/scene.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, httpPost, stopped, type World, waitUntilDrained } from './world.ts';

// Each looks several times, with a process of its own each time.
vi.setConfig({ testTimeout: 240_000 });

const PATIENCE = { timeoutMs: 120_000, intervalMs: 500 };

interface Check {
  readonly group: string;
  readonly check: string;
  readonly state: string;
  readonly found: string;
  readonly advice: readonly string[];
}

async function examined(world: World): Promise<{ code: number; state: string; checks: readonly Check[] }> {
  const { code, stdout, stderr } = await world.cli(['doctor', '--json']);
  expect(stderr).toBe('');
  return { code, ...JSON.parse(stdout) };
}

const named = (checks: readonly Check[], name: string): readonly Check[] =>
  checks.filter(({ check }) => check === name);

test('a good set-up is ok in every line, while events go through it, and exits with 0', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
  await using running = await world.run();
  await world.insert(300);
  await waitUntilDrained(world);
  const { code, state, checks } = await examined(world);
  expect(checks.filter((each) => each.state !== 'ok' && !OF_THE_MACHINE.includes(each.check))).toEqual([]);
  expect(checks.length).toBeGreaterThan(30);
  for (const each of checks) expect(Object.keys(each)).toEqual(['group', 'check', 'state', 'found', 'advice']);
  expect(named(checks, 'writer')).toMatchObject([
    { group: 'queue', found: expect.stringMatching(/^running, epoch 1, began/) },
  ]);
  expect(named(checks, 'log lock')[0]?.found).toContain(`held by pid ${running.pid}`);
  expect(named(checks, 'journal')[0]?.found).toMatch(/^intact, 1 segment, /);
  expect(named(checks, 'open files')[0]?.found).toContain(`for pid ${running.pid}`);
  expect(named(checks, 'rights')[0]?.found).toContain('which the processor runs as');
  expect([code, state]).toEqual(checks.some((each) => each.state === 'problem') ? [1, 'problem'] : [0, state]);

  const { stdout } = await world.cli(['doctor']);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(-1)).toMatch(/^(no|\d+) problems?, (no|\d+) warnings?, \d+ ok$/);
  expect(lines).toContain('queue table');
  expect(lines.filter((line) => line.length > 120 && line.includes(' '.repeat(20)))).toEqual([]);
  expect(stdout).not.toContain('\u001b');
});

test('destinations that fail, are parked or paused are named with what helps', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ status: 503, body: 'on fire' });
  const failing = httpPost(
    receiver.url(),
    { retry: { initial_ms: 20, max_ms: 200, max_attempts: 1 } },
    { name: 'crm', matches: { event_type: 'scomp' } },
  );
  const retrying = httpPost(receiver.url(), { retry: { initial_ms: 60_000, max_ms: 90_000 } }, { name: "bo's list" });
  await world.configure({ logfile: { filename: world.log }, event_destinations: [failing, retrying] });
  await using running = await world.run();
  const now = Math.floor(Date.now() / 1000);
  await world.insert(1, { event_type: 'scomp', event_time: now });
  await world.insert(1, { event_time: now - 7_200 });
  const checks = await waitFor(async () => {
    const found = named((await examined(world)).checks, 'destination');
    return found.length === 2 && found;
  }, PATIENCE);
  expect(checks).toMatchObject([
    { state: 'warning', found: expect.stringMatching(/^"crm": 0 waiting, 0 failed, 1 parked; last error: HTTP 503/) },
    { state: 'problem', found: expect.stringMatching(/^"bo's list": 0 waiting, 1 failed, 0 parked, oldest 2h/) },
  ]);
  expect(checks[0]?.advice).toContain('$ tailrace retry crm --parked');
  expect(checks[1]?.advice).toContain(`$ tailrace retry 'bo'\\''s list'`);
  expect((await world.cli(['pause', 'crm'])).code).toBe(0);
  const { code, checks: later } = await examined(world);
  expect(code).toBe(1);
  expect(named(later, 'destination')[0]).toMatchObject({
    state: 'warning',
    found: expect.stringContaining('"crm" is paused'),
    advice: ['$ tailrace resume crm'],
  });
  expect(await stopped(running)).toBe(0);
});

test('a processor that died is a problem, one that was stopped a warning', async () => {
  await using world = await createWorld();
  const first = await examined(world);
  expect(named(first.checks, 'writer')).toMatchObject([
    { state: 'warning', found: 'no process has been the writer yet' },
  ]);
  await using running = await world.run();
  running.signal('SIGKILL');
  await running.exit;
  await waitFor(async () => {
    const { code, checks } = await examined(world);
    return code === 1 && named(checks, 'writer')[0]?.found.startsWith('gone: it did not stop in order');
  }, PATIENCE);
  await using again = await world.run();
  expect(await stopped(again)).toBe(0);
  const { checks } = await examined(world);
  expect(named(checks, 'writer')).toMatchObject([
    { state: 'warning', found: expect.stringMatching(/^stopped in order, epoch 2/) },
  ]);
  expect(named(checks, 'log lock')[0]?.found).toMatch(/^free/);
});

test('one of two shards is not running', async () => {
  await using world = await createWorld();
  const config = join(world.folder, 'shard.json');
  await writeFile(config, JSON.stringify({ logfile: { filename: `${world.log}.0` } }));
  const running = await world.run({ args: ['--config', config, '--shard', '0/2'] });
  onTestFinished(() => running[Symbol.asyncDispose]());
  const { code, checks } = await examined(world);
  expect(code).toBe(1);
  expect(named(checks, 'writer')).toMatchObject([{ state: 'problem', found: '1 of 2 shards run' }]);
  expect(named(checks, 'shard 0/2')).toMatchObject([{ state: 'ok' }]);
  expect(named(checks, 'shard 1/2')).toMatchObject([
    { state: 'problem', advice: ['$ tailrace run --shard 1/2 --config FILE'] },
  ]);
});

test('a database URL that is none is wrong usage, a database that is down is not', async () => {
  await using world = await createWorld();
  expect(await world.cli(['doctor', '--database', 'mail'])).toMatchObject({ code: 2, stdout: '' });
  const down = await world.cli(['doctor', '--database', 'postgresql://postgres@127.0.0.1:1/mail']);
  expect(down).toMatchObject({ code: 1, stderr: '' });
  expect(down.stdout).toMatch(/^ {2}problem {2}database +cannot use the database: .*ECONNREFUSED/m);
  expect(down.stdout).toMatch(/^ {2}ok {7}log folder /m);
});
