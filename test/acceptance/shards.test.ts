// Several processes on one queue: `run --shard i/n`. Together they handle every event once, each in a log file of its
// own; a shard is taken over by its standby; those that do not fit together are refused.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { RunningCli } from '../helpers/cli.ts';
import { createHttpReceiver, type HttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, expectOneLineEach, httpPost, stopped, type World, waitUntilDrained } from './world.ts';

/** Writes the configuration of one shard: the same destinations, a log file of its own. @returns its path. */
async function configure(world: World, name: string, destinations: readonly object[] = []): Promise<string> {
  const file = join(world.folder, `${name}.json`);
  const logfile = { filename: `${world.log}.${name}` };
  await writeFile(
    file,
    JSON.stringify({ logfile, ...(destinations.length > 0 && { event_destinations: destinations }) }),
  );
  return file;
}

/** Starts shard i of n and waits until it has its slots, or stands by. */
async function start(
  world: World,
  index: number,
  of: number,
  { destinations = [], standby = false }: { destinations?: readonly object[]; standby?: boolean } = {},
): Promise<RunningCli> {
  const config = await configure(world, `${index}`, destinations);
  const running = await world.run({ args: ['--config', config, '--shard', `${index}/${of}`], standby });
  onTestFinished(() => running[Symbol.asyncDispose]());
  return running;
}

const startAll = (world: World, of: number, destinations: readonly object[] = []): Promise<RunningCli[]> =>
  Promise.all(Array.from({ length: of }, (_, index) => start(world, index, of, { destinations })));

/** Few events that lie in all slots. */
const spread = (world: World): Promise<unknown> => world.database.query('ALTER SEQUENCE events_seq INCREMENT BY 211');

const slotOf = (id: string): number => Number((BigInt(id) >> 10n) & 63n);

const deliveredIds = ({ requests }: HttpReceiver): string[] =>
  requests.map(({ body }) => String(JSON.parse(body).id)).sort();

async function statusOf(world: World) {
  return JSON.parse((await world.cli(['status', '--json'])).stdout);
}

test.each([2, 4])('%i shards handle each event once, each those of its slots', async (of) => {
  await using world = await createWorld({ notify: of === 4 });
  await using receiver = await createHttpReceiver();
  await spread(world);
  const ids = await world.insert(1_500);
  const shards = await startAll(world, of, [httpPost(receiver.url(), {}, { name: 'all' })]);
  // Committed after events with higher ids, in all slots.
  const late = await world.database.client();
  await late.query('BEGIN');
  const { rows } = await late.query<{ id: string }>(
    `INSERT INTO events (event_type, event_time) SELECT 'engine_open', 1 FROM generate_series(1, 200) RETURNING id`,
  );
  ids.push(...rows.map(({ id }) => String(id)), ...(await world.insert(1_000)));
  await waitFor(async () => (await world.queued()) === 0, { what: 'the others', timeoutMs: 60_000 });
  await late.query('COMMIT');
  await late.end();
  await waitUntilDrained(world);

  const { writer, shards: running, destinations } = await statusOf(world);
  expect(running).toMatchObject(
    Array.from({ length: of }, (_, index) => ({ shard: `${index}/${of}`, state: 'running' })),
  );
  expect(writer.state).toBe('running');
  expect(destinations).toMatchObject([{ destination: 'all', waiting: 0, retrying: 0, parked: 0 }]);
  expect((await world.cli(['status'])).stdout).toMatch(
    /^shard {4}0\/\d running, epoch \d+, began .* ago \(.*\.0\.tailrace\)$/m,
  );
  for (const each of shards) expect(await stopped(each)).toBe(0);

  const files = await world.files();
  expect(files.size).toBe(of);
  for (const [name, lines] of files) {
    expect(lines.length).toBeGreaterThan(0);
    expect([...new Set(lines.map(({ id }) => slotOf(id) % of))], name).toEqual([Number(name.at(-1))]);
  }
  expectOneLineEach(await world.lines(), ids);
  expect(deliveredIds(receiver)).toEqual([...ids].sort());
});

test('the standby of a shard takes over when it is killed, and the other shards go on', async () => {
  await using world = await createWorld();
  await spread(world);
  const [first, second] = await startAll(world, 2);
  const standby = await start(world, 0, 2, { standby: true });
  const ids = await world.insert(2_000);
  first?.signal('SIGKILL');
  await first?.exit;
  ids.push(...(await world.insert(500)));
  await standby.waitForStderr(/started as the writer/, 30_000);
  await waitUntilDrained(world);
  for (const each of [standby, second]) expect(each && (await stopped(each))).toBe(0);
  expectOneLineEach(await world.lines(), ids);
  expect([...(await world.files()).keys()]).toEqual(['events.jsonl.0', 'events.jsonl.1']);
});

test('`run --once` handles the events of its shard and leaves the others', async () => {
  await using world = await createWorld();
  await spread(world);
  const ids = await world.insert(1_000);
  const own = ids.filter((id) => slotOf(id) % 2 === 1);
  const config = await configure(world, '1');
  const { code, stdout } = await world.cli(['run', '--once', '--shard', '1/2', '--config', config]);
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { read: own.length, logged: own.length }]);
  expectOneLineEach(await world.lines(), own);
  expect((await statusOf(world)).shards).toMatchObject([
    { shard: '0/2', state: 'absent', epoch: null },
    { shard: '1/2', state: 'stopped' },
  ]);
});

test('a process that does not fit those that run is refused and says what to do', async () => {
  await using world = await createWorld();
  const running = await start(world, 0, 2);
  const config = await configure(world, 'other');
  const run = (...args: string[]) => world.cli(['run', ...args]);
  const says = 'while another process runs shard 0/2';
  for (const [shard, file] of [
    // Slots that nobody has would be left to nobody all the same.
    ['1/4', config],
    ['0/4', config],
    ['1/3', config],
    // The log file of the other one is no reason to stand by.
    ['0/4', join(world.folder, '0.json')],
  ] as const) {
    const { code, stderr } = await run('--shard', shard, '--config', file);
    expect([code, stderr]).toEqual([75, expect.stringContaining(`cannot run shard ${shard} ${says}`)]);
    expect(stderr).toContain('start this one with --shard i/2');
  }
  const whole = await run('--config', config);
  expect([whole.code, whole.stderr]).toEqual([75, expect.stringContaining(`cannot run the whole queue ${says}`)]);

  const sameFile = await run('--shard', '1/2', '--config', join(world.folder, '0.json'));
  expect(sameFile.code).toBe(1);
  expect(sameFile.stderr).toMatch(
    /shard 0\/2 \(.*\) writes to the log file of shard 1\/2; each shard needs one of its own/,
  );

  // These two fit.
  const twin = await start(world, 0, 2, { standby: true });
  const sibling = await start(world, 1, 2);
  for (const each of [twin, sibling, running]) expect(await stopped(each)).toBe(0);
  expect(running.stderr).not.toMatch(/"level":50/);

  const alone = await world.run();
  const shard = await run('--shard', '0/2', '--config', config);
  expect([shard.code, shard.stderr]).toEqual([
    75,
    expect.stringContaining('cannot run shard 0/2 while another process runs the whole queue'),
  ]);
  expect(shard.stderr).toContain('start this one without --shard');
  expect(await stopped(alone)).toBe(0);
});

test.each(['2/2', '-1/2', '0/0', '0/33', '1', 'a/b'])('--shard %s is wrong usage', async (shard) => {
  await using world = await createWorld({ bare: true });
  const { code, stderr } = await world.cli(['run', `--shard=${shard}`]);
  expect([code, stderr]).toEqual([2, expect.stringContaining('--shard takes i/n')]);
});

test('what waits, failed, was left or was in flight when two shards stop is found by four, and by one after them', async () => {
  await using world = await createWorld();
  await spread(world);
  await using receiver = await createHttpReceiver(({ url }) =>
    url === '/hangs' ? { kind: 'hang' } : { status: url === '/fails' ? 500 : 200 },
  );
  const to = (name: string, type: string, path: string): object => ({
    ...httpPost(receiver.url(path), { retry: { initial_ms: 500, max_ms: 500 } }, { name }),
    matches: { event_type: type },
  });
  const rest = { matches: { all: true }, destination: { type: 'leave_in_queue' } };
  const destinations = [
    to('hangs', 'engine_open', '/hangs'),
    to('fails', 'engine_click', '/fails'),
    to('paused', 'engine_unsub', '/paused'),
    rest,
  ];
  const two = await startAll(world, 2, destinations);
  await waitFor(async () => (await world.cli(['pause', 'paused'])).code === 0, { what: 'a known destination' });
  const ids = [];
  for (const type of ['engine_open', 'engine_click', 'engine_unsub', 'scomp'])
    ids.push(...(await world.insert(150, { event_type: type })));
  await waitFor(async () => (await world.lines()).length === ids.length, { what: 'all lines', timeoutMs: 60_000 });
  await Promise.all(two.map((each) => stopped(each)));

  receiver.script({});
  expect((await world.cli(['resume', 'paused'])).code).toBe(0);
  const four = await startAll(world, 4, destinations);
  const [marker = ''] = await world.insert(1, { event_type: 'scomp' });
  ids.push(marker);
  await waitFor(async () => (await world.queued()) === 151, { what: 'all but what is left', timeoutMs: 60_000 });
  for (const each of four) expect(await stopped(each)).toBe(0);

  await configure(world, 'whole', [to('left', 'scomp', '/left'), rest]);
  const { code } = await world.cli(['run', '--once', '--config', join(world.folder, 'whole.json')]);
  expect([code, await world.queued()]).toEqual([0, 0]);
  expectOneLineEach(await world.lines(), ids);
  expect([...new Set(deliveredIds(receiver))]).toEqual([...ids].sort());
});
