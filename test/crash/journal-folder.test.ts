// The hidden folder beside the log goes while the program runs (QUEUE A7.9): removed, renamed, covered by a mount, or only
// a part of it. It is made anew, and a kill after that finds in it what was under way.

import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { stateDirectory } from '../../src/log-file/local-lock.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import type { Program } from './program.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { restart, stop } from './sweep.ts';

const MADE_ANEW = /is made anew, nothing is lost/;
const run = promisify(execFile);

const namesIn = async (scene: Scene): Promise<string[]> => readdir(stateDirectory(scene.log)).catch(() => []);
const segmentsIn = async (scene: Scene): Promise<string[]> =>
  (await namesIn(scene)).filter((name) => name.startsWith('journal-'));

/** As `rm -rf` does; a program under load makes and renames files in there meanwhile. */
const removeFolder = ({ log }: Scene): Promise<void> =>
  rm(stateDirectory(log), { recursive: true, force: true, maxRetries: 50, retryDelay: 1 });

/** The ways to lose it. */
const LOSSES: readonly (readonly [string, (scene: Scene) => Promise<unknown>])[] = [
  ['its folder is removed', removeFolder],
  ['its folder is renamed', ({ log }) => rename(stateDirectory(log), `${stateDirectory(log)}.away`)],
  [
    'its folder is replaced by an empty one',
    async ({ log }) => {
      await rename(stateDirectory(log), `${stateDirectory(log)}.away`);
      await mkdir(stateDirectory(log), { mode: 0o700 });
    },
  ],
  [
    'its segments are removed',
    async (scene) => {
      for (const name of await segmentsIn(scene)) await rm(join(stateDirectory(scene.log), name), { force: true });
    },
  ],
  ['its lock is removed', ({ log }) => unlink(join(stateDirectory(log), 'lock'))],
  ['its id is removed', ({ log }) => unlink(join(stateDirectory(log), 'id'))],
];

/** Settling waits for as long as this is held; lines are written all the same. */
async function holdSettling(scene: Scene): Promise<AsyncDisposable> {
  const client = await scene.database.client();
  await client.query('BEGIN');
  await client.query('LOCK TABLE tailrace.writer IN EXCLUSIVE MODE');
  return {
    async [Symbol.asyncDispose]() {
      await client.query('ROLLBACK').catch(() => undefined);
      await client.end().catch(() => undefined);
    },
  };
}

const linesOf = async ({ log }: Scene): Promise<number> =>
  (await readFile(log, 'utf8').catch(() => '')).split('\n').length - 1;

async function kill(program: Program): Promise<void> {
  program.signal('SIGKILL');
  await program.exit;
}

describe('while the program runs', () => {
  for (const [name, lose] of LOSSES) {
    test(`${name}, and a kill after that loses and repeats nothing`, async () => {
      const random = createRandom(31);
      await using scene = await createScene({ database: await createQueue() });
      await using program = scene.run();
      await program.started();
      await insert(scene, random, 12);
      await waitUntilSettled(scene);
      {
        await using _ = await holdSettling(scene);
        await insert(scene, random, 30);
        await waitFor(async () => (await linesOf(scene)) === 42, { what: 'the lines of unsettled events' });
        await lose(scene);
        await program.says(MADE_ANEW);
        expect(await namesIn(scene)).toEqual(expect.arrayContaining(['id', 'lock']));
        expect(await segmentsIn(scene)).not.toEqual([]);
        await insert(scene, random, 6);
        await waitFor(async () => (await linesOf(scene)) >= 43, { what: 'the lines of more events' });
        await kill(program);
      }
      await using again = scene.run();
      await again.started();
      await waitUntilSettled(scene);
      await passFreshEvent(scene);
      await stop(again);
      expect(await judge(scene), again.said).toEqual([]);
      expect(again.said).not.toMatch(/"level":(40|50)/);
      expect(program.said.match(/made anew/g)).toHaveLength(1);
    });

    test(`under load ${name}, and it goes on`, async () => {
      await using scene = await createScene({ database: await createQueue() });
      const producer = startProducer({ ...scene, url: scene.database.url, random: createRandom(32), pauseMs: 20 });
      await using program = scene.run();
      await program.started();
      await waitFor(async () => (await linesOf(scene)) > 100, { what: 'some lines' });
      await lose(scene);
      await program.says(MADE_ANEW);
      const count = await linesOf(scene);
      await waitFor(async () => (await linesOf(scene)) > count + 100, { what: 'more lines' });
      await kill(program);
      await producer.end();
      expect(await restart(scene)).toEqual([]);
    });
  }

  test.skipIf(process.getuid?.() !== 0 || !requireTool('mount'))(
    'a mount covers the directory of the log, and a kill after that repeats nothing in the new one',
    async () => {
      const random = createRandom(33);
      await using scene = await createScene({ database: await createQueue() });
      const directory = join(scene.folder, 'log');
      await mkdir(directory);
      const log = join(directory, 'events.jsonl');
      const config = JSON.parse(await readFile(scene.config, 'utf8'));
      await writeFile(scene.config, JSON.stringify({ ...config, logfile: { filename: log } }));
      const moved = { ...scene, log };
      await using program = scene.run();
      await program.started();
      try {
        {
          await using _ = await holdSettling(scene);
          await insert(scene, random, 30);
          await waitFor(async () => (await linesOf(moved)) === 30, { what: 'lines' });
          await run('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', directory]);
          await program.says(MADE_ANEW);
          await kill(program);
        }
        await using again = scene.run();
        await again.started();
        await waitUntilSettled(scene);
        expect(await linesOf(moved)).toBe(0);
        await passFreshEvent(scene);
        await stop(again);
        expect(again.said).not.toMatch(/"level":(40|50)/);
      } finally {
        await kill(program);
        await run('umount', [directory]);
      }
      expect(await linesOf(moved)).toBe(30);
    },
  );

  test('another process may be quicker to lock the new folder, and nothing is lost or repeated', async () => {
    const random = createRandom(34);
    await using scene = await createScene({ database: await createQueue() });
    await using first = scene.run();
    await first.started();
    await using second = scene.run();
    await second.says(/standing by/);
    await insert(scene, random, 12);
    first.signal('SIGSTOP');
    await removeFolder(scene);
    await waitFor(async () => (await namesIn(scene)).includes('lock'), { what: 'the lock of the other' });
    first.signal('SIGCONT');
    // The other one gives the lock back each time when it finds the queue taken: who is quicker now has both, and the
    // first may make the folder anew, or stand by for a moment.
    const goesOn = /it is made anew|stopped writing[\s\S]*started as the writer/;
    await waitFor(() => goesOn.test(first.said) || /started as the writer/.test(second.said), { timeoutMs: 30_000 });
    await insert(scene, random, 12);
    await waitUntilSettled(scene);
    await passFreshEvent(scene);
    await stop(second);
    await stop(first);
    expect(await judge(scene), first.said + second.said).toEqual([]);
  });
});
