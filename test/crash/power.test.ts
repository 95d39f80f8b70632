// PWR (FAULTS P6): the power goes, again and again, for the file system of the log and the journal; PostgreSQL is on
// another one. What was not synced is gone then, which no kill can show.

import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { FULL, scaled } from '../acceptance/world.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { createDisk, DISK_TOOLS } from './disk.ts';
import { startProducer } from './producer.ts';
import type { Program } from './program.ts';
import { createRandom, type Random, SEED } from './random.ts';
import { createQueue, createScene, rotate, type Scene } from './scene.ts';
import { restart } from './sweep.ts';

const CUTS = scaled(100, 10);
const run = promisify(execFile);
const canRun = DISK_TOOLS.map(requireTool).every(Boolean);

describe.skipIf(!canRun)('power', { timeout: FULL ? 3_600_000 : 300_000 }, () => {
  test(`cut ${CUTS} times under load, with rotations, loses and repeats nothing`, async () => {
    await cutAgainAndAgain(async ({ cut, program, random, scene, number }) => {
      await sleep(random.integer(50, 800));
      if (number % 2 === 0) await rotate(scene, 'rename');
      await sleep(random.integer(0, 300));
      // With the power the program goes, too. Were it to run on, it would hear answers that no machine lives to hear: a
      // sync that is under way while ext4 is shut down is confirmed by the kernel, though its bytes are not kept.
      program.signal('SIGSTOP');
      await cut();
    });
  });

  // A volume that goes away. The kernel confirms a sync that it did not make, the program believes it, and PostgreSQL has
  // the events as done: the journal brings their lines back.
  test(`gone ${CUTS} times for the disk alone, while the program runs on, loses and repeats nothing`, async () => {
    await cutAgainAndAgain(async ({ cut, random, scene }) => {
      await waitFor(async () => ((await stat(scene.log).catch(() => null))?.size ?? 0) > 0, { what: 'a first line' });
      await sleep(random.integer(50, 800));
      await cut();
      await sleep(random.integer(0, 200));
    });
  });
});

interface Cut {
  readonly scene: Scene;
  readonly program: Program;
  readonly random: Random;
  readonly number: number;
  readonly cut: () => Promise<void>;
}

async function cutAgainAndAgain(work: (cut: Cut) => Promise<void>): Promise<void> {
  const random = createRandom(SEED);
  await using disk = await createDisk();
  await using scene = await createScene({ database: await createQueue(), parent: disk.path });
  await run('sync', ['-f', disk.path]); // the configuration is not what the test is about
  const producer = startProducer({ ...scene, url: scene.database.url, random, pauseMs: 60 });
  for (let number = 0; number < CUTS; number += 1) {
    await using program = scene.run();
    await program.started();
    await work({ scene, program, random, number, cut: () => disk.cut() });
    program.signal('SIGKILL');
    await program.exit;
    await disk.recover();
  }
  await producer.end();
  expect(await restart(scene, { mayBeTorn: true, timeoutMs: 120_000 }), `TAILRACE_SEED=${SEED}`).toEqual([]);
  process.stderr.write(`${CUTS} power cuts, ${scene.committed.size} events\n`);
}
