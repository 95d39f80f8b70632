// Rows that no tidy producer writes go through intact or are set aside alone; none loses or repeats another event.

import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { peakMiB } from '../crash/process-facts.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createWorld, expectOneLineEach, report, SLOW_MS, stopped, waitUntilDrained } from './world.ts';

test('a type nobody knows and a row of nothing but an id are logged', async () => {
  await using world = await createWorld();
  await world.database.query(`INSERT INTO events (event_type, email) VALUES ('of tomorrow', 'a@example.com')`);
  const empty = `INSERT INTO events (id, event_type) VALUES (-7, NULL)`;
  await world.database.query(empty);
  expect(await world.once()).toMatchObject({ read: 2, logged: 2, delivered: 2 });
  const [first, second] = await world.lines();
  expect(Object.keys(first?.event ?? {})).toEqual(['time_written_to_logfile', 'event_id', 'event_time', 'event_type']);
  expect(second?.event).toMatchObject({ event_type: 'of tomorrow', email: 'a@example.com' });
});

describe('ids', () => {
  const IDS = ['-9223372036854775807', '-1', '0', '9007199254740993', '9223372036854775806', '9223372036854775807'];

  test.for([IDS, ...IDS.map((id) => [id])])('%s are read by `run --once`', async (ids) => {
    await using world = await createWorld();
    for (const id of ids) await world.database.query(`INSERT INTO events (id, event_type) VALUES ($1, 'scomp')`, [id]);
    expect(await world.once()).toMatchObject({ read: ids.length, delivered: ids.length });
    expect((await world.lines()).map(({ id }) => id)).toEqual(ids);
  });

  test('at both ends of the range stop nothing that comes later', async () => {
    await using world = await createWorld();
    const insert = `INSERT INTO events (id, event_type) VALUES ($1, 'scomp')`;
    await using running = await world.run();
    for (const id of [...IDS].reverse()) await world.database.query(insert, [id]);
    await waitUntilDrained(world, 20_000);
    const later = await world.insert(10);
    await waitUntilDrained(world, 20_000);
    expectOneLineEach(await world.lines(), [...IDS, ...later]);
    expect(running.stderr).not.toContain('cannot read the queue');
    expect(await stopped(running)).toBe(0);
  });
});

test('texts of a megabyte pass whole', async () => {
  await using world = await createWorld();
  const text = `\u0001"\\\n\u2028ü😀`.repeat(100_000);
  await world.insert(6, { event_type: 'bounce_all', bounce_text: text, message: text });
  expect(await world.once()).toMatchObject({ read: 6, logged: 6 });
  for (const { event } of await world.lines()) {
    expect(event.bounce_text === text && event.message === text).toBe(true);
  }
});

test('a row above max_event_bytes is parked alone', async () => {
  await using world = await createWorld();
  await world.configure({ logfile: { filename: world.log }, max_event_bytes: 100_000 });
  await using running = await world.run();
  const before = await world.insert(10);
  const [large] = await world.insert(1, { message: 'x'.repeat(100_001) });
  const after = await world.insert(10);
  await running.waitForStderr(/parked events that are too large/);
  await world.insert(1);
  const { stdout } = await world.cli(['status', '--json']);
  expect(JSON.parse(stdout).destinations).toMatchObject([{ destination: '(too large)', parked: 1 }]);
  expect(await stopped(running)).toBe(0);
  expect(await world.once()).toMatchObject({ parked: 0 });
  const lines = await world.lines();
  expectOneLineEach(lines.slice(0, 20), [...before, ...after]);
  expect(await world.database.query('SELECT id FROM events')).toEqual([{ id: large }]);
});

const SMALL_HEAP = { NODE_OPTIONS: '--max-old-space-size=96' };

test('columns of 100 MB are parked alone with their reason, in a small heap', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await world.database.query('ALTER TABLE events ADD blob bytea, ADD document jsonb');
  const before = await world.insert(20);
  const sizes = [100_000_000, 200_000_002, 100_000_002];
  await world.database.query(`INSERT INTO events (event_type, message) VALUES ('scomp', repeat('x', 100000000))`);
  await world.database.query(
    `INSERT INTO events (event_type, blob) VALUES ('scomp', convert_to(repeat('x', 100000000), 'UTF8'))`,
  );
  await world.database.query(
    `INSERT INTO events (event_type, document) VALUES ('scomp', to_jsonb(repeat('x', 100000000)))`,
  );
  const after = await world.insert(20);
  await using running = await world.run({ env: SMALL_HEAP });
  await waitFor(async () => (await world.queued()) === sizes.length, { what: 'the others', timeoutMs: SLOW_MS });
  const late = await world.insert(1);
  await waitFor(async () => (await world.queued()) === sizes.length, { what: 'one more', timeoutMs: SLOW_MS });
  const peak = await peakMiB(running.pid);
  report({ peakMiB: peak });
  expect(peak).toBeLessThan(250);
  const { stdout } = await world.cli(['status', '--json']);
  expect(JSON.parse(stdout).destinations).toMatchObject([
    {
      destination: '(too large)',
      parked: 3,
      last_error: expect.stringMatching(/^too_large: \d+ bytes of text, max_event_bytes is/),
    },
  ]);
  const errors = await world.database.query('SELECT last_error FROM tailrace.pending ORDER BY event_id');
  for (const [at, size] of sizes.entries()) {
    const bytes = Number(/too_large: (\d+)/.exec(errors[at]?.last_error)?.[1]);
    expect(bytes - size, errors[at]?.last_error).toBeLessThan(1_000);
    expect(bytes).toBeGreaterThanOrEqual(size);
  }
  expect(await stopped(running)).toBe(0);
  expectOneLineEach(await world.lines(), [...before, ...after, ...late]);
});

test('a row of 60 MB passes where `max_event_bytes` allows it', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await world.configure({ logfile: { filename: world.log }, max_event_bytes: 64 * 1024 * 1024 });
  const before = await world.insert(20);
  await world.database.query(`INSERT INTO events (event_type, message) VALUES ('scomp', repeat('x', 60000000))`);
  const after = await world.insert(20);
  await using running = await world.run();
  await waitUntilDrained(world, SLOW_MS);
  const peak = await peakMiB(running.pid);
  report({ peakMiB: peak });
  // Text, line, journal and file each want it for a moment.
  expect(peak).toBeLessThan(1_000);
  expect(await stopped(running)).toBe(0);
  const lines = await world.lines();
  expect(lines).toHaveLength(before.length + after.length + 1);
  expect(lines.filter(({ event }) => String(event.message ?? '').length === 60_000_000)).toHaveLength(1);
});

test('malformed lines given to `record` are kept aside, and the rest is recorded', async () => {
  await using world = await createWorld();
  const lines = ['{"event_type":"scomp"}', 'not json', '{"event_type":"scomp","emial":"a"}', '[]', '{"event_type":5}'];
  await writeFile(`${world.folder}/in.jsonl`, `${lines.join('\n')}\n{"event_type":"scomp","email":"z@example.com"}`);
  const { code, stdout, stderr } = await world.cli(['record', '--all', 'in.jsonl']);
  expect(code).toBe(1);
  expect(stdout).toMatch(/^recorded 2, rejected 4 /);
  for (const line of [2, 3, 4, 5]) expect(stderr).toContain(`in.jsonl:${line}: `);
  const rejected = (await readFile(`${world.folder}/in.jsonl.rejected.jsonl`, 'utf8')).trimEnd().split('\n');
  expect(rejected.map((line) => JSON.parse(line).input)).toEqual(lines.slice(1));
  expect(await world.once()).toMatchObject({ read: 2, logged: 2 });
});
