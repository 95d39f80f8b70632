// PWR (FAULTS P6): the power goes, again and again, for the file system of the log and the journal; PostgreSQL is on
// another one. What was not synced is gone then, which no kill can show.

import { execFile } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { FULL, scaled } from '../acceptance/world.ts';
import { requireTool } from '../helpers/require-tool.ts';
import { createDisk, DISK_TOOLS } from './disk.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, rotate } from './scene.ts';
import { restart } from './sweep.ts';

const CUTS = scaled(100, 10);
const run = promisify(execFile);
const canRun = DISK_TOOLS.map(requireTool).every(Boolean);

describe.skipIf(!canRun)('power', () => {
  test(`cut ${CUTS} times under load loses and repeats nothing`, {
    timeout: FULL ? 3_600_000 : 300_000,
  }, async () => {
    const random = createRandom(SEED);
    await using disk = await createDisk();
    await using scene = await createScene({ database: await createQueue(), parent: disk.path });
    await run('sync', ['-f', disk.path]); // the configuration is not what the test is about
    const producer = startProducer({ ...scene, url: scene.database.url, random, pauseMs: 60 });
    for (let cuts = 0; cuts < CUTS; cuts += 1) {
      await using program = scene.run();
      await program.started();
      await sleep(random.integer(50, 800));
      if (cuts % 2 === 0) await rotate(scene, 'rename');
      await sleep(random.integer(0, 300));
      await disk.cut();
      // What the program does without its disk must not be believed by PostgreSQL either.
      await sleep(random.integer(0, 200));
      program.signal('SIGKILL');
      await program.exit;
      await disk.recover();
    }
    await producer.end();
    expect(await restart(scene, { mayBeTorn: true, timeoutMs: 120_000 }), `TAILRACE_SEED=${SEED}`).toEqual([]);
    process.stderr.write(`${CUTS} power cuts, ${scene.committed.size} events\n`);
  });
});
