// `run --once` as a user meets it first: events in, lines out, a summary, and a second run that finds nothing to do.

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/event/catalog.ts';
import { createHttpReceiver } from '../helpers/http-receiver.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { createWorld, expectGrowingTimes, httpPost } from './world.ts';

const NOTHING = { read: 0, logged: 0, delivered: 0, dropped: 0, left: 0, waiting: 0, failed: 0, parked: 0 };

describe('one event of every type', () => {
  test('becomes a line each, which jq reads', { skip: !requireTool('jq') }, async () => {
    await using world = await createWorld();
    const types = [...EVENT_TYPES.map(({ name }) => name), 'hook_bounce', 'a type of tomorrow'];
    for (const type of types) await world.insert(1, { event_type: type, event_time: null });
    expect(await world.once()).toEqual({ ...NOTHING, read: 16, logged: 16, delivered: 16 });
    const { stdout } = await promisify(execFile)('jq', ['-r', '.event_type', world.log]);
    expect(stdout).toBe(`${types.join('\n')}\n`);
    expectGrowingTimes(await world.lines());
  });

  test('is not written again by the next run', async () => {
    await using world = await createWorld();
    const entries = [
      { matches: { event_type: 'scomp' }, destination: { type: 'drop_from_queue' } },
      { matches: { all: true }, destination: { type: 'leave_in_queue' } },
    ];
    await world.configure({ logfile: { filename: world.log }, event_destinations: entries });
    for (const { name } of EVENT_TYPES) await world.insert(1, { event_type: name });
    expect(await world.once()).toEqual({ ...NOTHING, read: 14, logged: 14, dropped: 1, left: 13 });
    const before = await readFile(world.log, 'utf8');
    expect(await world.once()).toEqual(NOTHING);
    expect(await readFile(world.log, 'utf8')).toBe(before);
    expect(await world.queued()).toBe(13);
  });
});

describe('the summary', () => {
  test('counts an event that no destination accepts as failed, and the exit code is 0', async () => {
    await using world = await createWorld();
    await using receiver = await createHttpReceiver({ status: 500 });
    await world.configure({ logfile: { filename: world.log }, event_destinations: [httpPost(receiver.url())] });
    await world.insert(5);
    expect(await world.once()).toEqual({ ...NOTHING, read: 5, logged: 5, failed: 5 });
    receiver.script({});
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await world.once()).toEqual({ ...NOTHING, read: 5, delivered: 5 });
    expect(await world.lines()).toHaveLength(5);
  });

  test('is right for a backlog with a row in it that is too large', async () => {
    await using world = await createWorld();
    await world.configure({ logfile: { filename: world.log }, max_event_bytes: 2_000 });
    await world.insert(5);
    await world.insert(1, { bounce_text: 'x'.repeat(3_000) });
    await world.insert(12_000);
    expect(await world.once()).toEqual({ ...NOTHING, read: 12_006, logged: 12_005, delivered: 12_005, parked: 1 });
    expect(await world.queued()).toBe(1);
    expect(await world.lines()).toHaveLength(12_005);
  });
});

test('a queue that another process works on is exit code 75', async () => {
  await using world = await createWorld();
  await using _holder = await world.run();
  const { code, stdout, stderr } = await world.cli(['run', '--once']);
  expect({ code, stdout }).toEqual({ code: 75, stdout: '' });
  expect(stderr).toMatch(/^tailrace: another tailrace process .*; try again later\n$/);
});

test('an on_delivered of mark_processed marks rows and keeps them', async () => {
  await using world = await createWorld();
  await world.configure({ logfile: { filename: world.log }, on_delivered: 'mark_processed' });
  await world.insert(50);
  expect(await world.once()).toMatchObject({ read: 50, delivered: 50 });
  expect(await world.once()).toEqual(NOTHING);
  expect(await world.database.query('SELECT DISTINCT processed FROM events')).toEqual([{ processed: true }]);
  await world.insert(1);
  expect(await world.once()).toMatchObject({ read: 1, logged: 1 });
  expect(await world.lines()).toHaveLength(51);
  expect(await world.queued()).toBe(51);
});

test('without a log file events are delivered all the same', async () => {
  await using world = await createWorld();
  await using receiver = await createHttpReceiver();
  await world.configure({ event_destinations: [httpPost(receiver.url())] });
  await world.insert(300);
  expect(await world.once()).toEqual({ ...NOTHING, read: 300, delivered: 300 });
  expect(receiver.requests).toHaveLength(300);
  expect(await world.lines()).toEqual([]);
});

test('only rows with a destination_id of 1 are taken', async () => {
  await using world = await createWorld();
  await world.insert(3, { destination_id: 2 });
  await world.insert(2);
  await world.database.query('INSERT INTO events (event_type, destination_id) VALUES ($1, NULL)', ['scomp']);
  expect(await world.once()).toMatchObject({ read: 2 });
  expect(await world.queued()).toBe(4);
});
