// PWR (FAULTS P6): the power goes, again and again, for the file system of the log and the journal; PostgreSQL is on
// another one. What was not synced is gone then, which no kill can show.

import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { FULL, scaled } from '../acceptance/world.ts';
import { findTool, requireTool } from '../helpers/require-tool.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, rotate } from './scene.ts';
import { restart } from './sweep.ts';

const CUTS = scaled(100, 10);
/** Segments of the journal, the log, and room. */
const IMAGE_BYTES = 512 * 1024 * 1024;
/** EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: nothing that is not on disk yet gets there. */
const SHUTDOWN = `import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))`;

const run = promisify(execFile);
const canRun = ['mkfs.ext4', 'mount', 'umount', 'python3'].map(requireTool).every(Boolean);

/** An ext4 file system of its own. */
interface Disk extends AsyncDisposable {
  readonly path: string;
  /** Cuts its power. */
  cut(): Promise<void>;
  /** Mounts it again after a cut, which recovers it. Nobody may use it. */
  recover(): Promise<void>;
}

async function createDisk(): Promise<Disk> {
  const home = await mkdtemp(join(tmpdir(), 'tailrace-power-'));
  const image = join(home, 'image');
  const path = join(home, 'mount');
  await mkdir(path);
  await writeFile(image, '');
  await truncate(image, IMAGE_BYTES);
  await run(findTool('mkfs.ext4') ?? 'mkfs.ext4', ['-q', '-F', image]);
  const mount = () => run('mount', ['-o', 'loop', image, path]);
  await mount();
  return {
    path,
    cut: async () => void (await run('python3', ['-c', SHUTDOWN, path])),
    async recover() {
      await run('umount', [path]);
      await mount();
    },
    async [Symbol.asyncDispose]() {
      await run('umount', [path]).catch(() => run('umount', ['-l', path]));
      await rm(home, { recursive: true, force: true });
    },
  };
}

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
