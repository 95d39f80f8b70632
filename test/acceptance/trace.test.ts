// `tailrace trace` with the built program, and the delivery log that it reads.

import { readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, httpPost, readLines, stopped, type World, waitUntilDrained } from './world.ts';

const deliveriesOf = (world: World): string => join(world.folder, 'deliveries.jsonl');

interface AttemptLine {
  readonly event_id: number;
  readonly outcome: string;
  readonly [key: string]: unknown;
}

const attemptsIn = async (path: string): Promise<AttemptLine[]> =>
  (await readFile(path, 'utf8').catch(() => ''))
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

function configured(world: World, ...event_destinations: object[]): Promise<void> {
  return world.configure({
    logfile: { filename: world.log, mode: '0644' },
    delivery_log: { filename: deliveriesOf(world) },
    event_destinations,
  });
}

const secretive = (url: string): string => url.replace('http://', 'http://bob:hunter2@').concat('?token=t0psecret');

test('each attempt has a line in the delivery log, without a secret, and trace tells the story of them', async () => {
  await using world = await createWorld();
  await using good = await createHttpReceiver();
  await using bad = await createHttpReceiver({ status: 422, body: 'no such list' });
  await configured(
    world,
    httpPost(secretive(good.url()), {}, { name: 'crm', continue: true }),
    httpPost(secretive(bad.url()), { retry: { initial_ms: 600_000, max_ms: 600_000 } }, { name: 'list' }),
  );
  const [id] = await world.insert(1, { event_type: 'scomp', event_unique_id: 'größe "1"' });
  expect(await world.once()).toMatchObject({ failed: 1 });

  const attempts = await attemptsIn(deliveriesOf(world));
  expect(attempts).toHaveLength(2);
  const common = { event_id: Number(id), event_unique_id: 'größe "1"', event_type: 'scomp', attempt: 1 };
  expect(attempts.find(({ destination }) => destination === 'crm')).toMatchObject({
    ...common,
    outcome: 'delivered',
    error: null,
    next_attempt: null,
  });
  const failed = attempts.find(({ destination }) => destination === 'list');
  expect(failed).toMatchObject({ ...common, outcome: 'failed', error: expect.stringContaining('no such list') });
  expect(Number(failed?.next_attempt)).toBeGreaterThan(Number(failed?.time));
  expect(JSON.stringify(attempts)).not.toMatch(/hunter2|t0psecret/);

  for (const name of [String(id), 'größe "1"']) {
    const { code, stdout, stderr } = await world.cli(['trace', name]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`event ${id} (scomp, unique id größe "1")`);
    expect(stdout).toContain(`line       ${world.log}:1, written 20`);
    expect(stdout).toMatch(/now {8}in the queue, to be tried again/);
    expect(stdout).toMatch(/failed once at list, next attempt (now|in [\dms ]+ \(20.*\)): HTTP 422/);
    expect(stdout).toContain('done at crm');
    expect(stdout).toMatch(/crm {2}attempt 1 delivered after \d+ ms/);
    expect(stdout).toMatch(/list {2}attempt 1 failed after \d+ ms.*no such list/);
  }
  const { stdout } = await world.cli(['trace', '--json', String(id)]);
  expect(JSON.parse(stdout)).toMatchObject({
    events: [
      {
        event_id: id,
        state: 'failed',
        lines: [{ file: world.log, line: 1 }],
        destinations: [
          { destination: 'list', state: 'failed', attempts: 1 },
          { destination: 'crm', state: 'done' },
        ],
        attempts: [{ outcome: expect.any(String) }, { outcome: expect.any(String) }],
      },
    ],
    unreadable: [],
  });
});

test('an event that is gone is found in rotated and compressed files, and elsewhere when they are named', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await configured(world, httpPost(receiver.url()));
  const [, id] = await world.insert(3, { event_unique_id: 'u1' });
  await world.once();
  for (const file of [world.log, deliveriesOf(world)]) {
    await writeFile(`${file}.1.gz`, gzipSync(await readFile(file)));
    await rm(file);
  }
  await world.insert(1);
  await world.once();
  const found = await world.cli(['trace', String(id)]);
  expect(found.code).toBe(0);
  expect(found.stdout).toContain(`${world.log}.1.gz:2, written`);
  expect(found.stdout).toContain('gone from the queue: delivered to http_post ');
  expect(JSON.parse((await world.cli(['trace', '--json', 'u1'])).stdout).events).toHaveLength(3);

  const moved = join(world.folder, 'old.gz');
  await rename(`${world.log}.1.gz`, moved);
  await rm(`${deliveriesOf(world)}.1.gz`);
  const lost = await world.cli(['trace', String(id)]);
  expect(lost.code).toBe(1);
  expect(lost.stdout).toMatch(/^nothing is known of the event \d+: no row in public\.events .* not in .*events\.jsonl/);
  expect(lost.stdout).toContain('tailrace trace ID FILE…');
  expect(await world.cli(['trace', String(id), moved])).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`${moved}:2, written`),
  });
});

test('trace names each state of an event that is in the queue', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver({ status: 500 });
  await configured(
    world,
    httpPost(receiver.url(), {}, { matches: { event_type: 'scomp' }, enabled: false, name: 'off' }),
    httpPost(receiver.url('/p'), { retry: { max_attempts: 1 } }, { matches: { event_type: 'bounce_all' }, name: 'p' }),
    { matches: { all: true }, destination: { type: 'leave_in_queue' } },
  );
  const says = async (id: string | undefined): Promise<string> => (await world.cli(['trace', String(id)])).stdout;
  const [waiting] = await world.insert(1, { event_type: 'scomp' });
  const [parked] = await world.insert(1, { event_type: 'bounce_all' });
  const [left] = await world.insert(1);
  await world.once();
  const [fresh] = await world.insert(1);
  const [foreign] = await world.insert(1, { destination_id: 2 });
  expect(await says(waiting)).toContain('waits for off, not tried yet');
  expect(await says(parked)).toMatch(/given up; it waits for: tailrace retry --id \d+\n.*parked at p after once/);
  expect(await says(left)).toContain('left in the queue, as the configuration says');
  expect(await says(fresh)).toContain('not settled: it has not been read yet');
  expect(await says(foreign)).toContain('destination_id is not 1');
});

test('a delivery log that was moved or deleted is opened anew, idle or not', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  const file = deliveriesOf(world);
  await configured(world, httpPost(receiver.url()));
  await using running = await world.run();
  const [first] = await world.insert(1);
  await waitFor(async () => (await attemptsIn(file)).length === 1);
  await rename(file, `${file}.1`);
  await waitFor(() => readFile(file).then(Boolean, () => false));
  await world.insert(1);
  await waitFor(async () => (await attemptsIn(file)).length === 1);
  await rm(file);
  running.signal('SIGHUP');
  const [third] = await world.insert(1);
  await waitFor(async () => (await attemptsIn(file)).length === 1);
  expect([await attemptsIn(`${file}.1`), await attemptsIn(file)]).toMatchObject([
    [{ event_id: Number(first) }],
    [{ event_id: Number(third) }],
  ]);
  expect(await stopped(running)).toBe(0);
});

test('a delivery log that cannot be written holds up nothing, and says so once', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  const file = deliveriesOf(world);
  // A link is never followed.
  await symlink(world.log, file);
  await configured(world, httpPost(receiver.url()));
  await using running = await world.run();
  const ids = await world.insert(50);
  await waitUntilDrained(world);
  await running.waitForStderr('the delivery log cannot be written');
  expect((await readLines(world.log)).map(({ id }) => id)).toEqual(ids);
  await rm(file);
  await waitFor(async () => (await attemptsIn(file)).length === 50);
  expect(running.stderr.split('the delivery log cannot be written')).toHaveLength(2);
  expect(await stopped(running)).toBe(0);
});
