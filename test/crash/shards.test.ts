// Several processes on one queue, each with its slots and its log file, killed again and again and started in another
// number: whoever owns a slot now finds what was in flight, waited or failed, whatever file its line is in (QUEUE B6).

import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { stateDirectory } from '../../src/log-file/local-lock.ts';
import { readLines, scaled } from '../acceptance/world.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import type { Program } from './program.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { stop } from './sweep.ts';

/** Numbers of shards, one after the other; all are killed in between. */
const LAYOUTS = scaled(24, 5);
const SIZES = [2, 4, 3, 1, 4, 2];

/** Starts a shard with the scene's configuration, and a log file of its own beside the scene's. */
async function start(scene: Scene, index: number, of: number, name = `${index}`): Promise<Program> {
  const config = JSON.parse(await readFile(scene.config, 'utf8'));
  const file = `${scene.config}.${name}`;
  await writeFile(file, JSON.stringify({ ...config, logfile: { filename: `${scene.log}.${name}` } }));
  const program = scene.run({ args: ['--config', file, ...(of > 1 ? ['--shard', `${index}/${of}`] : [])] });
  onTestFinished(() => program[Symbol.asyncDispose]());
  return program;
}

/** @param turn the log files of four shards, given to them in turn from another one on. */
const startShards = (scene: Scene, of: number, turn = 0): Promise<Program[]> =>
  Promise.all(Array.from({ length: of }, (_, index) => start(scene, index, of, `${(index + turn) % 4}`)));

/** Few events that lie in all slots. */
const spread = (scene: Scene): Promise<unknown> => scene.database.query('ALTER SEQUENCE events_seq INCREMENT BY 97');

const linesOf = async (path: string): Promise<number> => (await readLines(path).catch(() => [])).length;

const kill = (programs: readonly Program[]): Promise<unknown> =>
  Promise.all(
    programs.map((each) => {
      each.signal('SIGKILL');
      return each.exit;
    }),
  );

test('shards that are killed and started in another number lose and repeat nothing', { timeout: 600_000 }, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  await spread(scene);
  const producer = startProducer({ ...scene, url: scene.database.url, random, pauseMs: 60 });
  let adopted = 0;
  let programs: Program[] = [];
  for (let at = 0; at < LAYOUTS; at += 1) {
    programs = await startShards(scene, SIZES[at % SIZES.length] ?? 1, random.integer(0, 3));
    // Now and then before all of them have begun.
    if (random.next() < 0.8) await Promise.all(programs.map((each) => each.started()));
    else await programs[0]?.started();
    await sleep(random.integer(100, 700));
    await kill(programs);
    adopted += programs.filter(({ said }) => /brought in what processes with another/.test(said)).length;
  }
  await producer.end();
  programs = await startShards(scene, 2);
  const said = (): string => `TAILRACE_SEED=${SEED}\n${programs.map((each) => each.said.slice(-4_000)).join('\n')}`;
  await Promise.all(programs.map((each) => each.started()));
  await waitUntilSettled(scene, 60_000).catch((error: Error) => {
    throw new Error(`${error.message}\n${said()}`);
  });
  await passFreshEvent(scene);
  for (const each of programs) await stop(each);
  expect(await judge({ ...scene, mayBeTorn: false, sideBySide: true }), said()).toEqual([]);
  expect(adopted).toBeGreaterThan(0);
});

/** Starts shards, has lines written for so many events that PostgreSQL is not told of, and kills all. */
async function dieInFlight(scene: Scene, of: number, events: number): Promise<void> {
  const programs = await startShards(scene, of);
  await Promise.all(programs.map((each) => each.started()));
  const client = await scene.database.client();
  await client.query('BEGIN; LOCK TABLE tailrace.writer');
  await insert(scene, createRandom(SEED), events);
  const logged = async (): Promise<number> => {
    const counts = programs.map((_, index) => linesOf(`${scene.log}.${index}`));
    return (await Promise.all(counts)).reduce((sum, each) => sum + each, 0);
  };
  await waitFor(async () => (await logged()) === events, { what: 'the lines of what is in flight' });
  await kill(programs);
  await client.query('COMMIT');
  await client.end();
}

test('fewer shards begin although one of them has the log file of a killed one whose slots are the other one’s', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await spread(scene);
  await dieInFlight(scene, 4, 120);
  // Shard 2/4 wrote to the second one's file, and its slots are the first one's now.
  const two = [await start(scene, 0, 2, '0')];
  await two[0]?.started();
  two.push(await start(scene, 1, 2, '2'));
  await two[1]?.started();
  await waitUntilSettled(scene);
  await passFreshEvent(scene);
  for (const each of two) await stop(each);
  const said = two.map((each) => each.said).join('\n');
  expect(await judge({ ...scene, sideBySide: true }), `TAILRACE_SEED=${SEED}\n${said}`).toEqual([]);
  expect(said).not.toMatch(/may stand in its file and in ours/);
});

test('shards that were killed and have each other’s log files now begin and repeat nothing', async () => {
  await using scene = await createScene({ database: await createQueue() });
  await spread(scene);
  await dieInFlight(scene, 2, 120);
  const two = await Promise.all([start(scene, 0, 2, '1'), start(scene, 1, 2, '0')]);
  await Promise.all(two.map((each) => each.started()));
  await waitUntilSettled(scene);
  await passFreshEvent(scene);
  for (const each of two) await stop(each);
  const said = two.map((each) => each.said).join('\n');
  expect(await judge({ ...scene, sideBySide: true }), `TAILRACE_SEED=${SEED}\n${said}`).toEqual([]);
  expect(said).not.toMatch(/may stand in its file and in ours/);
});

test.each(['removed', 'damaged'])(
  'a journal that was %s beside the log file is made up for by the end of that file',
  async (fate) => {
    await using scene = await createScene({ database: await createQueue() });
    await spread(scene);
    await dieInFlight(scene, 2, 120);
    const directory = stateDirectory(`${scene.log}.0`);
    const segments = (await readdir(directory)).filter((name) => name.startsWith('journal-'));
    expect(segments.length).toBeGreaterThan(0);
    for (const name of segments) {
      if (fate === 'removed') await rm(join(directory, name));
      else await writeFile(join(directory, name), Buffer.alloc(4096, 'x'));
    }
    const four = await Promise.all([0, 1, 2, 3].map((index) => start(scene, index, 4)));
    await Promise.all(four.map((each) => each.started()));
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    for (const each of four) await stop(each);
    const said = four.map((each) => each.said).join('\n');
    expect(await judge({ ...scene, sideBySide: true }), `TAILRACE_SEED=${SEED}\n${said}`).toEqual([]);
    expect(said).toMatch(/missing or damaged; the end of the log file is read instead/);
  },
);

test('slots whose lines are in a journal that is not there are read by nobody until it is back', async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  await spread(scene);
  const two = await startShards(scene, 2);
  await Promise.all(two.map((each) => each.started()));
  await insert(scene, random, 120);
  await waitUntilSettled(scene);
  // In flight when both die: their lines are written, PostgreSQL does not know it.
  const client = await scene.database.client();
  await client.query('BEGIN; LOCK TABLE tailrace.writer');
  await insert(scene, random, 90);
  const logged = async (): Promise<number> => (await linesOf(`${scene.log}.0`)) + (await linesOf(`${scene.log}.1`));
  await waitFor(async () => (await logged()) === 210, { what: 'the lines of what is in flight' });
  await kill(two);
  await client.query('COMMIT');
  await client.end();

  const journal = stateDirectory(`${scene.log}.0`);
  await rename(journal, `${journal}.away`);
  const [second, fourth] = [await start(scene, 1, 4, 'b'), await start(scene, 3, 4, 'd')];
  await Promise.all([second.started(), fourth.started()]);
  const [first, third] = [await start(scene, 0, 4, 'a'), await start(scene, 2, 4, 'c')];
  await first.says(/shard 0\/2 \(epoch \d+\) ran in another --shard layout .* is not on this machine/);
  await third.says(/cannot start; trying again every second/);
  await waitFor(async () => (await linesOf(`${scene.log}.0`)) + (await linesOf(`${scene.log}.1`)) === 210);
  expect((await linesOf(`${scene.log}.a`)) + (await linesOf(`${scene.log}.c`))).toBe(0);

  await rename(`${journal}.away`, journal);
  await Promise.all([first.started(), third.started()]);
  await waitUntilSettled(scene);
  await insert(scene, random, 60);
  await waitUntilSettled(scene);
  await passFreshEvent(scene);
  for (const each of [first, second, third, fourth]) await stop(each);
  expect(await judge({ ...scene, sideBySide: true }), `TAILRACE_SEED=${SEED}`).toEqual([]);
  const all = [first, second, third, fourth].map(({ said }) => said).join('');
  expect(all.match(/brought in what processes with another/g)).toHaveLength(2);
});
