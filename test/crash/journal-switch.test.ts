// `logfile.filename` is changed while the program runs (QUEUE A7.7): what the old journal knows of events that PostgreSQL
// has not settled goes along, wherever a kill falls.

import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { insert } from './insert.ts';
import { startProducer } from './producer.ts';
import type { Program } from './program.ts';
import { createRandom } from './random.ts';
import { createQueue, createScene, type Scene } from './scene.ts';
import { injecting, pathsOf } from './strace.ts';
import { restart } from './sweep.ts';

/** Another name that the oracle counts among the log's own. */
const otherOf = ({ log }: Scene): string => `${log}-other`;

async function switchTo(scene: Scene, filename: string): Promise<void> {
  const config = JSON.parse(await readFile(scene.config, 'utf8'));
  const draft = join(scene.folder, 'draft.json');
  await writeFile(draft, JSON.stringify({ ...config, logfile: { filename } }));
  await rename(draft, scene.config);
}

const linesOf = async (path: string): Promise<number> =>
  (await readFile(path, 'utf8').catch(() => '')).split('\n').length - 1;

async function kill(program: Program): Promise<void> {
  program.signal('SIGKILL');
  await program.exit;
}

/** A process that was killed when its lines stood in the log and nothing was settled. */
async function crashUnsettled(scene: Scene, count: number): Promise<void> {
  const client = await scene.database.client();
  await client.query('BEGIN');
  await using program = scene.run();
  await program.started();
  await client.query('LOCK TABLE tailrace.writer IN EXCLUSIVE MODE');
  await insert(scene, createRandom(41), count);
  await waitFor(async () => (await linesOf(scene.log)) === count, { what: 'the lines of unsettled events' });
  await kill(program);
  await client.query('ROLLBACK');
  await client.end();
}

describe('a changed name of the log file', () => {
  for (let kills = 0; kills < 3; kills += 1) {
    test(`under load and kills repeats and loses nothing (${kills + 1})`, async () => {
      const random = createRandom(42 + kills);
      await using scene = await createScene({ database: await createQueue() });
      const producer = startProducer({ ...scene, url: scene.database.url, random, pauseMs: 20 });
      for (let at = 0; at < 4; at += 1) {
        await using program = scene.run();
        await program.started();
        const to = at % 2 === 0 ? otherOf(scene) : scene.log;
        await sleep(random.integer(0, 400));
        await switchTo(scene, to);
        await program.says(/configuration loaded/);
        await sleep(random.integer(0, 250));
        await kill(program);
      }
      await producer.end();
      // Both files are used twice, so that their times overlap.
      const faults = await restart(scene);
      expect(faults.filter((fault) => !/× times overlap/.test(fault))).toEqual([]);
    });
  }

  describe.skipIf(!requireTool('strace'))('cut short by a kill', () => {
    const points = [
      ...['openat', 'write', 'fdatasync', 'fsync', 'pwritev', 'rename'].map((call) => ({
        call,
        n: 1,
        files: 'new' as const,
      })),
      ...['fdatasync', 'pwritev'].map((call) => ({ call, n: 2, files: 'new' as const })),
      ...['close', 'fdatasync', 'pwritev'].map((call) => ({ call, n: 1, files: 'old' as const })),
    ];
    for (const { call, n, files } of points) {
      test(`in ${call} ${n} on the ${files} files repeats and loses nothing`, async () => {
        const random = createRandom(43);
        await using scene = await createScene({ database: await createQueue() });
        await crashUnsettled(scene, 60);
        const at = pathsOf(files === 'new' ? otherOf(scene) : scene.log, scene.folder);
        const paths = [...at.log, ...at.journal, ...at.state];
        await using program = scene.run({
          under: injecting({ call, paths, effect: 'signal=KILL', when: files === 'new' ? `${n}` : `${n + 20}` }),
        });
        await program.started().catch(() => undefined);
        await switchTo(scene, otherOf(scene));
        const producer = startProducer({ ...scene, url: scene.database.url, random, pauseMs: 20 });
        await Promise.race([program.exit, sleep(4_000)]);
        await producer.end();
        await program[Symbol.asyncDispose]();
        expect(await restart(scene)).toEqual([]);
      });
    }
  });
});
