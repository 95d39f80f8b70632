// `tailrace plan` with the built program: what it foretells happens, and nothing happens while it does.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { spawnCli } from '../helpers/cli.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, httpPost, SLOW_MS, type World } from './world.ts';

const FIXTURE = fileURLToPath(new URL('../../fixtures/events.jsonl', import.meta.url));
const LEAVE = { matches: { all: true }, destination: { type: 'leave_in_queue' } };
const dropping = (type: string): object => ({
  matches: { event_type: type },
  destination: { type: 'drop_from_queue' },
});

interface Report {
  readonly [key: string]: unknown;
  readonly destinations: readonly { readonly destination: string; readonly events: number }[];
}

async function planned(world: World, args: readonly string[] = []): Promise<Report> {
  const { code, stdout, stderr } = await world.cli(['plan', '--json', ...args]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

function configured(world: World, ...event_destinations: object[]): Promise<void> {
  return world.configure({ logfile: { filename: world.log }, event_destinations });
}

/** Everything that tailrace has written. */
async function footprint(world: World): Promise<unknown> {
  const tables = ['writer', 'generation', 'destination', 'lane', 'pending', 'ledger'];
  const counts = tables.map((name) => `SELECT '${name}', count(*)::int AS n FROM tailrace.${name}`);
  return [await world.database.query(counts.join(' UNION ALL ')), await world.queued()];
}

test('foretells what a run does with the fixture, and does none of it', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ body: 'ok' });
  await world.cli(['record', '--all', FIXTURE]);
  await configured(
    world,
    httpPost(
      receiver.url('/all-bounces'),
      {},
      { name: 'b', matches: { event_type: ['hook_stat', 'scomp'] }, continue: true },
    ),
    httpPost(receiver.url('/letters'), { format: 'form' }, { name: 'l', matches: { mail_class: 'NEWSLETTER' } }),
    dropping('delivery_attempt'),
    LEAVE,
  );
  const before = await footprint(world);
  const report = await planned(world);
  expect(await footprint(world)).toEqual(before);
  expect(receiver.requests).toEqual([]);
  expect(report).toMatchObject({
    in_force: false,
    complete: true,
    estimate: null,
    running: false,
    events: 2400,
    lines: 2400,
    released: 0,
  });

  const summary = await world.once();
  const requestsTo = (path: string): number => receiver.requests.filter(({ url }) => url === path).length;
  expect(report.destinations.map(({ destination, events }) => [destination, events])).toEqual([
    ['b', requestsTo('/all-bounces')],
    ['l', requestsTo('/letters')],
  ]);
  expect(report).toMatchObject({
    lines: summary.logged,
    dropped: { events: summary.dropped, by_type: [{ event_type: 'delivery_attempt', events: summary.dropped }] },
  });
  // Those that went to `b` and are left as well count as left there, too.
  expect(report.left).toMatchObject({ events: await world.queued() });
});

test('says what a new configuration would release, throw away and leave as it was', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await configured(world, LEAVE);
  await world.insert(30, { event_type: 'scomp' });
  await world.insert(20, { event_type: 'engine_open' });
  await world.insert(10, { event_type: 'sms_sent' });
  await world.once();
  await world.insert(5, { event_type: 'scomp' });
  expect(await planned(world)).toMatchObject({
    in_force: true,
    events: 65,
    lines: 5,
    released: 0,
    left: { events: 65, were_left: 60 },
  });

  await configured(
    world,
    httpPost(receiver.url(), {}, { name: 'new', matches: { event_type: 'scomp' } }),
    dropping('engine_open'),
    LEAVE,
  );
  expect(await planned(world, ['--rate', '7'])).toMatchObject({
    in_force: false,
    released: 30,
    destinations: [
      {
        destination: 'new',
        events: 35,
        new: 5,
        released: 30,
        rate: { per_second: 7, from: 'given' },
        takes_seconds: 5,
      },
    ],
    dropped: { events: 20, released: 20 },
    left: { events: 10, were_left: 10 },
  });
  const { stdout, stderr } = await world.cli(['plan', '--rate', '7']);
  expect(stderr).toBe('');
  expect(stdout).toContain(
    'config   ./event_processor.json, not in force: all that was left, waits or failed would be decided anew\n',
  );
  expect(stdout).toContain('RELEASED 30 events that were left, or waited or failed elsewhere, and would now be sent\n');
  expect(stdout).toMatch(/^new +35 +5 +0 +0 +30 +0 +\d+d( \d+h)? +5s at 7\/s \(given\)$/m);
  expect(stdout).toMatch(
    /^dropped {2}20 events THROWN AWAY, .*; 20 of them were left, waiting or failed until now\n +engine_open {2}20$/m,
  );
  expect(stdout).toMatch(/^left {5}10 events in the queue, .*; 10 of them were left before\n +sms_sent {2}10$/m);
  expect(stdout).toContain('Nothing was sent, and nothing was changed.\n');
  await world.once();
  expect(receiver.requests).toHaveLength(35);
});

test('tells new, waiting, failed, released, parked and had apart, of each destination', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  await using good = await createHttpReceiver();
  await using bad = await createHttpReceiver({ status: 422 });
  const never = { initial_ms: 600_000, max_ms: 600_000 };
  const refusing = httpPost(bad.url(), { retry: never }, { name: 'refuses', continue: true });
  const giving = httpPost(
    bad.url('/up'),
    { retry: { ...never, max_attempts: 1 } },
    { name: 'gave up', continue: true },
  );
  const having = httpPost(good.url(), { max_per_second: 3 }, { name: 'has it', continue: true });
  await configured(world, refusing, giving, having, httpPost(good.url('/off'), {}, { name: 'off', enabled: false }));
  await world.insert(2);
  await world.once();
  await world.insert(1);
  await world.cli(['pause', 'gave up']);
  const { destinations } = await planned(world);
  expect(destinations).toMatchObject([
    { destination: 'refuses', events: 3, new: 1, failed: 2, waiting: 0, parked: 0 },
    { destination: 'gave up', events: 1, new: 1, failed: 0, parked: 2, paused: true },
    { destination: 'has it', events: 1, has_it: 2, rate: { per_second: 3, from: 'configured' }, takes_seconds: 1 },
    { destination: 'off', events: 3, new: 1, waiting: 2, enabled: false },
  ]);
  const { stdout } = await world.cli(['plan']);
  expect(stdout).toMatch(/^has it .* 1s at 3\/s \(max_per_second\); has 2 more already$/m);
  expect(stdout).toMatch(/^refuses .* unknown: give --rate$/m);
  expect(stdout).toMatch(/^gave up .* waits: paused$/m);
  expect(stdout).toMatch(/^off .* waits: disabled$/m);

  // Without the others: what failed or waited there goes to the new one, what is given up stays, and is wanted nowhere.
  await configured(world, httpPost(good.url('/new'), {}, { name: 'fresh' }));
  expect(await planned(world)).toMatchObject({
    released: 2,
    destinations: [{ destination: 'fresh', events: 3, new: 1, released: 2 }],
  });
  await configured(world, dropping('scomp'), having, dropping('engine_open'), LEAVE);
  expect(await planned(world)).toMatchObject({ parked: 2, finished: 0, dropped: { events: 0 }, left: { events: 0 } });
});

test('counts the rows that are ours, across holes and foreign rows', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await configured(world, dropping('engine_open'), LEAVE);
  await world.insert(6_000);
  await world.insert(500, { destination_id: 2 });
  await world.database.query("SELECT setval('events_seq', 9000000000)");
  await world.insert(7);
  await world.database.query("SELECT setval('events_seq', 9223372036854775000)");
  await world.insert(1, { event_type: 'ends it', event_time: null });
  expect(await planned(world)).toMatchObject({
    events: 6_008,
    dropped: { events: 6_007 },
    left: { events: 1, oldest_seconds: null, by_type: [{ event_type: 'ends it', events: 1 }] },
  });
});

test('estimates from a sample of a large queue, and counts a small one', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await configured(world, dropping('engine_open'), LEAVE);
  await world.insert(15_000, { email: 'x'.repeat(300) });
  await world.insert(15_000, { event_type: 'scomp', email: 'x'.repeat(300) });
  const report = await planned(world, ['--sample', '5000']);
  const { sampled } = report.estimate as { readonly sampled: number };
  expect(sampled).toBeGreaterThanOrEqual(5_000);
  expect(sampled).toBeLessThan(15_000);
  // Five standard deviations.
  for (const [figure, wanted] of [
    [report.events, 30_000],
    [(report.dropped as { readonly events: number }).events, 15_000],
  ] as const) {
    expect(figure).toBeGreaterThan(wanted * 0.5);
    expect(figure).toBeLessThan(wanted * 1.5);
  }
  const { stdout } = await world.cli(['plan', '--sample', '5000']);
  expect(stdout).toMatch(/^queue {4}about [\d,]+ events/m);
  expect(stdout).toMatch(/^ESTIMATE from [\d,]+ events \(\d+ % of the table\): small numbers are rough/m);
  expect(await planned(world, ['--sample', '30000'])).toMatchObject({ estimate: null, events: 30_000 });
});

test('Ctrl-C ends it with what was counted by then, and says so', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await configured(world, LEAVE);
  await world.insert(10);
  const holder = await world.database.client();
  await holder.query('BEGIN; LOCK TABLE tailrace.pending');
  await using running = spawnCli(['plan', '--json'], {
    cwd: world.folder,
    env: { TAILRACE_DATABASE_URL: world.database.url },
  });
  const waits =
    'SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = $1';
  await waitFor(async () => (await world.database.query<{ n: number }>(waits, ['Lock']))[0]?.n === 1, {
    what: 'plan to wait for the lock',
    timeoutMs: 60_000,
  });
  running.signal('SIGINT');
  // It has arrived before the lock is gone: a second signal would end it at once.
  await new Promise((resolve) => setTimeout(resolve, 500));
  await holder.query('ROLLBACK');
  expect(await running.exit).toBe(1);
  expect(JSON.parse(running.stdout)).toMatchObject({ complete: false });
  expect(running.stderr).toBe(
    'tailrace: interrupted: the figures are those of what had been counted; nothing was changed\n',
  );
});

test('wrong usage and a broken configuration are said', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  expect(await world.cli(['plan', '--rate', '0'])).toMatchObject({
    code: 2,
    stderr: 'tailrace: --rate takes events a second, a number above 0\n',
  });
  expect(await world.cli(['plan', '--sample', '1.5'])).toMatchObject({
    code: 2,
    stderr: 'tailrace: --sample takes a number of events, a whole number above 0\n',
  });
  await configured(world, { matches: { all: true }, destination: { type: 'nope' } });
  const { code, stderr } = await world.cli(['plan']);
  expect(code).toBe(1);
  expect(stderr).toContain(`${join('.', 'event_processor.json')}:`);
});
