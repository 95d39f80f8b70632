// What may come between the program and its file while it runs under load (FAULTS F4, F5, F7, F8): links, things that
// are no files, folders and disks that go away, permissions that are lost. It says so, touches nothing, holds everything
// back, and goes on by itself with nothing lost or doubled.

import { execFile } from 'node:child_process';
import {
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { requireTool } from '../helpers/require-tool.ts';
import { insert } from './insert.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene, type Scene, type SceneOptions } from './scene.ts';
import { stop } from './sweep.ts';
import { type Account, asUser, DEGRADED, expectUntouched, saysAgain, unprivilegedAccount } from './trouble.ts';

const run = promisify(execFile);
/** Long enough for the program to have done what it must not do. */
const WATCHED_MS = 600;

interface Obstacle {
  readonly name: string;
  readonly said: RegExp;
  readonly logFolder?: string;
  /** Before the program starts. */
  prepare?(scene: Scene): Promise<unknown>;
  put(scene: Scene): Promise<unknown>;
  /** Holds that it was left alone. */
  untouched?(scene: Scene): Promise<unknown>;
  mend(scene: Scene): Promise<unknown>;
  /** When the program has ended: brings all files to where the judge looks. */
  gather?(scene: Scene): Promise<unknown>;
}

let moves = 0;
/** Moves the log away, as often as the program has made it anew, until something else stands in its place. */
async function takePlace({ log }: Scene, make: () => Promise<unknown>): Promise<void> {
  for (;;) {
    moves += 1;
    await rename(log, `${log}.${moves}`).catch(() => undefined);
    try {
      await make();
      return;
    } catch (error) {
      if (!`${error}`.includes('EEXIST') && !`${error}`.includes('File exists')) throw error;
    }
  }
}

const takeAway = ({ log }: Scene): Promise<void> => rm(log, { recursive: true });
const victimOf = ({ folder }: Scene): string => join(folder, 'victim');
const VICTIM = 'root:x:0:0:root:/root:/bin/bash\n';
/** Ends without a newline: nothing may be added to it either. */
const makeVictim = (scene: Scene): Promise<void> => writeFile(victimOf(scene), VICTIM.trimEnd(), { mode: 0o600 });
const gone = ({ log }: Scene): string => `${dirname(log)}.gone`;

const OBSTACLES: readonly Obstacle[] = [
  {
    name: "a symbolic link to somebody else's file",
    said: /symbolic link/,
    prepare: makeVictim,
    put: (scene) => takePlace(scene, () => symlink(victimOf(scene), scene.log)),
    untouched: async (scene) => expect(await readFile(victimOf(scene), 'utf8')).toBe(VICTIM.trimEnd()),
    mend: takeAway,
  },
  {
    name: 'a symbolic link to itself',
    said: /symbolic link/,
    put: (scene) => takePlace(scene, () => symlink(basename(scene.log), scene.log)),
    mend: takeAway,
  },
  {
    name: 'a symbolic link to nothing',
    said: /symbolic link/,
    put: (scene) => takePlace(scene, () => symlink('nowhere', scene.log)),
    untouched: async ({ log }) => expect(await stat(join(dirname(log), 'nowhere')).catch(() => null)).toBeNull(),
    mend: takeAway,
  },
  {
    name: 'a directory',
    said: /is a directory/,
    put: (scene) => takePlace(scene, () => mkdir(scene.log)),
    untouched: async ({ log }) => expect(await readdir(log)).toEqual([]),
    mend: takeAway,
  },
  {
    name: 'a FIFO that nobody reads',
    said: /is a FIFO/,
    put: (scene) => takePlace(scene, () => run('mkfifo', [scene.log])),
    mend: takeAway,
  },
  {
    name: 'a device',
    said: /is a device/,
    put: (scene) => takePlace(scene, () => run('mknod', [scene.log, 'c', '1', '3'])),
    untouched: async ({ log }) => expect((await lstat(log)).isCharacterDevice()).toBe(true),
    mend: takeAway,
  },
  {
    name: 'a folder that is moved away and comes back',
    said: /is missing/,
    logFolder: 'logs',
    put: (scene) => rename(dirname(scene.log), gone(scene)),
    mend: (scene) => rename(gone(scene), dirname(scene.log)),
  },
  {
    name: 'a folder that is moved away, and another one made',
    said: /is missing/,
    logFolder: 'logs',
    put: (scene) => rename(dirname(scene.log), gone(scene)),
    mend: ({ log }) => mkdir(dirname(log)),
    gather: async (scene) => {
      for (const name of await readdir(gone(scene))) {
        if (!name.startsWith('.')) await rename(join(gone(scene), name), `${scene.log}.gone-${name}`);
      }
    },
  },
  {
    name: 'a file system that is unmounted and mounted again',
    said: /is missing/,
    logFolder: 'mount/logs',
    prepare: async ({ folder, log }) => {
      await rmdir(dirname(log));
      await mkdir(join(folder, 'disk/logs'), { recursive: true });
      await run('mount', ['--bind', join(folder, 'disk'), join(folder, 'mount')]);
    },
    put: ({ folder }) => run('umount', ['-l', join(folder, 'mount')]),
    mend: ({ folder }) => run('mount', ['--bind', join(folder, 'disk'), join(folder, 'mount')]),
    gather: async ({ folder, log }) => {
      await run('umount', [join(folder, 'mount')]);
      await rmdir(join(folder, 'mount'));
      await rename(join(folder, 'disk'), join(folder, 'mount'));
      await stat(log);
    },
  },
];

/** Obstacles for who is not root. */
const MISSING_RIGHTS: readonly Obstacle[] = [
  {
    name: 'a folder that may no longer be entered',
    said: /may not be read and written/,
    logFolder: 'logs',
    put: ({ log }) => chmod(dirname(log), 0o000),
    mend: ({ log }) => chmod(dirname(log), 0o755),
  },
  {
    name: 'a folder in which no file may be made, after a rotation',
    said: /may not be read and written/,
    logFolder: 'logs',
    put: async (scene) => {
      const { uid, gid } = await stat(dirname(scene.log));
      await chown(dirname(scene.log), 0, 0);
      await rename(scene.log, `${scene.log}.1`);
      await writeFile(join(scene.folder, 'owner'), `${uid} ${gid}`);
    },
    mend: async ({ folder, log }) => {
      const [uid = 0, gid = 0] = (await readFile(join(folder, 'owner'), 'utf8')).split(' ').map(Number);
      await chown(dirname(log), uid, gid);
    },
  },
  {
    name: "a file of root's in its place",
    said: /may not be read and written/,
    put: (scene) => takePlace(scene, async () => (await open(scene.log, 'wx', 0o600)).close()),
    untouched: async ({ log }) => expect((await stat(log)).size).toBe(0),
    mend: async ({ folder, log }) => {
      const { uid, gid } = await stat(folder);
      await chown(log, uid, gid);
    },
  },
];

async function holdsOut(obstacle: Obstacle, account: Account | null): Promise<void> {
  const random = createRandom(SEED);
  const { logFolder } = obstacle;
  const options: SceneOptions = { database: await createQueue(), ...(logFolder ? { logFolder } : {}) };
  await using scene = await createScene(options);
  await obstacle.prepare?.(scene);
  if (account) for (const path of [scene.folder, dirname(scene.log)]) await chown(path, account.uid, account.gid);
  await using program = scene.run(account ? { under: asUser(account) } : {});
  await program.started();
  const producer = startProducer({ ...scene, url: scene.database.url, random, pauseMs: 40 });
  await sleep(300);
  const before = program.said;
  await obstacle.put(scene);
  await saysAgain(program, DEGRADED, before);
  expect(program.said.slice(before.length)).toMatch(obstacle.said);
  const ids = await insert(scene, random, 6);
  await sleep(WATCHED_MS);
  await expectUntouched(scene, ids);
  await obstacle.untouched?.(scene);
  await obstacle.mend(scene);
  await producer.end();
  await waitUntilSettled(scene);
  await passFreshEvent(scene);
  await stop(program);
  await obstacle.gather?.(scene);
  expect(await judge(scene), `TAILRACE_SEED=${SEED}\n${program.said}`).toEqual([]);
}

describe.skipIf(!['mkfifo', 'mknod', 'mount', 'umount'].map(requireTool).every(Boolean))('under load', () => {
  for (const obstacle of OBSTACLES) {
    test(`${obstacle.name} holds everything back until it is mended`, () => holdsOut(obstacle, null));
  }
});

describe.skipIf(!requireTool('setpriv'))('under load, as a user without special rights,', () => {
  for (const obstacle of MISSING_RIGHTS) {
    test(`${obstacle.name} holds everything back until it is mended`, async ({ skip }) => {
      const account = await unprivilegedAccount();
      if (account === null) return skip('needs root, to become somebody else');
      await holdsOut(obstacle, account);
    });
  }
});
