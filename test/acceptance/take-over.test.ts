// Two processors, one queue, one file: whatever happens to the one that holds the queue, there is never a second writer,
// and nothing is lost or doubled (FAULTS B8, S1).

import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { RunningCli } from '../helpers/cli.ts';
import { waitFor } from '../helpers/wait-for.ts';
import {
  createWorld,
  expectGrowingTimes,
  expectOneLineEach,
  report,
  SLOW_MS,
  scaled,
  stopped,
  type World,
  waitUntilDrained,
} from './world.ts';

const TERMINATIONS = scaled(50, 8);
const FREEZES = scaled(20, 3);

/** Inserts events until `end` is called, which resolves with their ids. */
function load(world: World): { end(): Promise<string[]> } {
  const ids: string[] = [];
  let going = true;
  const work = async (): Promise<string[]> => {
    while (going) {
      ids.push(...(await world.insert(200)));
      await sleep(20);
    }
    return ids;
  };
  const working = work();
  return {
    end() {
      going = false;
      return working;
    },
  };
}

/** Terminates the back ends of whoever holds the queue's locks, and every second time those of all. */
async function terminateHolder(world: World): Promise<boolean> {
  const ofHolder = `AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')`;
  const [row] = await world.database.query<{ n: number }>(
    `SELECT count(pg_terminate_backend(pid))::int AS n FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = 'tailrace' ${Math.random() < 0.5 ? ofHolder : ''}
       AND EXISTS (SELECT FROM pg_locks l WHERE locktype = 'advisory' AND l.database = pg_stat_activity.datid)`,
  );
  return (row?.n ?? 0) > 0;
}

async function expectAllOnce(world: World, ids: readonly string[]): Promise<void> {
  await waitUntilDrained(world, 60_000);
  const lines = await world.lines();
  expectOneLineEach(lines, ids);
  expectGrowingTimes(lines);
}

test(`${TERMINATIONS} terminated back ends lose and double nothing`, { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using holder = await world.run();
  await using standby = await world.run({ standby: true });
  const inserting = load(world);
  for (let time = 0; time < TERMINATIONS; time += 1) {
    await sleep(200 * Math.random());
    await waitFor(() => terminateHolder(world), { what: 'a back end that holds the locks' });
  }
  const ids = await inserting.end();
  await expectAllOnce(world, ids);
  expect(await stopped(holder)).toBe(0);
  expect(await stopped(standby)).toBe(0);
  report({ events: ids.length, terminated: TERMINATIONS });
});

test(`a holder that is frozen and woken ${FREEZES} times is never a second writer`, { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  const processes: RunningCli[] = [];
  await using first = await world.run();
  await using second = await world.run({ standby: true });
  processes.push(first, second);
  const inserting = load(world);
  for (let time = 0; time < FREEZES; time += 1) {
    const each = processes[time % 2];
    await sleep(200 * Math.random());
    each?.signal('SIGSTOP');
    await sleep(300 + scaled(2_000, 1_200) * Math.random());
    each?.signal('SIGCONT');
  }
  const ids = await inserting.end();
  await expectAllOnce(world, ids);
  for (const each of processes) expect(await stopped(each)).toBe(0);
  report({ events: ids.length });
});

test('the standby takes over soon after a kill -9', { timeout: SLOW_MS }, async () => {
  await using world = await createWorld();
  await using holder = await world.run();
  await using standby = await world.run({ standby: true });
  const before = await world.insert(1_000);
  await waitUntilDrained(world);
  holder.signal('SIGKILL');
  const killed = performance.now();
  const after = await world.insert(10);
  await waitFor(async () => (await world.queued()) === 0, {
    timeoutMs: scaled(3_000, 20_000),
    what: 'events of the new writer',
  });
  report({ takenOverMs: performance.now() - killed });
  const lines = await world.lines();
  expectOneLineEach(lines, [...before, ...after]);
  expectGrowingTimes(lines);
  expect(await stopped(standby)).toBe(0);
});

test('a standby whose configuration names another file takes that one, and its lock', {
  timeout: SLOW_MS,
}, async () => {
  await using world = await createWorld();
  await using holder = await world.run();
  await using standby = await world.run({ standby: true });
  const other = `${world.log}.other`;
  await world.configure({ logfile: { filename: other } });
  await holder.waitForStderr(/configuration loaded/);
  await world.insert(1);
  await waitUntilDrained(world);
  await sleep(2_000); // the standby has had the time to take the lock that is free now
  expect(await stopped(holder)).toBe(0);
  await standby.waitForStderr(/started as the writer/);
  await world.insert(1);
  await waitUntilDrained(world);
  expect((await world.files()).get('events.jsonl.other')).toHaveLength(2);
  await using third = await world.run({ standby: true });
  await third.waitForStderr(/holds the lock of .*events\.jsonl\.other/);
});
