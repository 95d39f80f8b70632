// A reader that follows the log as `tail -F` and log shippers do, under load, rotations and kills (FAULTS F11): whole
// lines only, in order, none twice, and nothing that it has read changes afterwards.

import { type FileHandle, open, rename, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FULL, scaled } from '../acceptance/world.ts';
import { judge, passFreshEvent, waitUntilSettled } from './oracle.ts';
import { startProducer } from './producer.ts';
import { createRandom, SEED } from './random.ts';
import { createQueue, createScene } from './scene.ts';
import { killAgainAndAgain, stop } from './sweep.ts';

const KILLS = scaled(200, 8);
const ROTATE_EVERY_MS = 500;
const LOOK_EVERY_MS = 5;
const READ_BYTES = 1024 * 1024;
const HEAD = /^\{"time_written_to_logfile":(\d+)\.(\d{6}),"event_id":(-?\d+),/;

interface Followed {
  readonly file: FileHandle;
  readonly inode: number;
  readonly chunks: Buffer[];
  read: number;
}

interface Follower {
  /** Whether the file that stands at the path now is one that is being read. */
  hasCurrent(): Promise<boolean>;
  /** Reads the rest and lets go. @returns the bytes of each file, in the order in which they were met, and what was wrong. */
  end(): Promise<{ readonly files: readonly Buffer[]; readonly faults: readonly string[] }>;
}

/** Follows the file at a path, and those that stood there before, by looking at them again and again. */
function follow(path: string): Follower {
  const files: Followed[] = [];
  const faults: string[] = [];
  let going = true;

  const look = async (): Promise<void> => {
    const { ino } = await stat(path).catch(() => ({ ino: 0 }));
    if (ino !== 0 && !files.some(({ inode }) => inode === ino)) {
      const file = await open(path).catch(() => null);
      if (file) files.push({ file, inode: (await file.stat()).ino, chunks: [], read: 0 });
    }
    for (const each of files) await readOn(each);
  };
  const readOn = async (each: Followed): Promise<void> => {
    const { size } = await each.file.stat();
    if (size < each.read) faults.push(`a file of ${each.read} bytes shrank to ${size}`);
    while (each.read < size) {
      const { buffer, bytesRead } = await each.file.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, each.read);
      if (bytesRead === 0) return;
      each.chunks.push(buffer.subarray(0, bytesRead));
      each.read += bytesRead;
    }
  };
  const working = (async () => {
    while (going) {
      await look();
      await sleep(LOOK_EVERY_MS);
    }
    await look();
  })();
  return {
    async hasCurrent() {
      const { ino } = await stat(path).catch(() => ({ ino: 0 }));
      return files.some(({ inode }) => inode === ino);
    },
    async end() {
      going = false;
      await working;
      const contents: Buffer[] = [];
      for (const { file, chunks, read } of files) {
        const seen = Buffer.concat(chunks);
        const { buffer } = await file.read(Buffer.alloc(read), 0, read, 0);
        if (!buffer.equals(seen)) faults.push('bytes that had been read were changed');
        contents.push(seen);
        await file.close();
      }
      return { files: contents, faults };
    },
  };
}

test(`a reader that follows the log over ${KILLS} kills and rotations sees each line once, whole and in order`, {
  timeout: FULL ? 3_600_000 : 120_000,
}, async () => {
  const random = createRandom(SEED);
  await using scene = await createScene({ database: await createQueue() });
  const follower = follow(scene.log);
  const producer = startProducer({ ...scene, url: scene.database.url, random, pauseMs: 40 });
  const stopRotating = new AbortController();
  let rotations = 0;
  const rotating = (async () => {
    while (!stopRotating.signal.aborted) {
      await sleep(ROTATE_EVERY_MS, undefined, { signal: stopRotating.signal }).catch(() => undefined);
      if (!(await follower.hasCurrent())) continue; // nobody could follow a file that is gone before it is seen
      rotations += 1;
      await rename(scene.log, `${scene.log}.${rotations}`).catch(() => undefined);
    }
  })();
  await killAgainAndAgain(scene, random, KILLS);
  stopRotating.abort();
  await rotating;
  await using program = scene.run();
  await program.started();
  await producer.end();
  await waitUntilSettled(scene, 60_000);
  await passFreshEvent(scene);
  await stop(program);

  const { files, faults } = await follower.end();
  const seen: { readonly id: string; readonly timeUs: number }[] = [];
  const wrong: string[] = [...faults];
  for (const [at, bytes] of files.entries()) {
    const lines = bytes.toString('utf8').split('\n');
    const rest = lines.pop() ?? '';
    if (rest !== '' && at === files.length - 1) wrong.push(`the last file ends within a line: ${rest.slice(0, 80)}`);
    for (const line of lines) {
      const [, seconds, micros, id] = HEAD.exec(line) ?? [];
      if (id === undefined || !isObject(line)) wrong.push(`no whole line: ${line.slice(0, 120)}`);
      else seen.push({ id, timeUs: Number(seconds) * 1e6 + Number(micros) });
    }
  }
  const late = seen.filter(({ timeUs }, at) => at > 0 && timeUs <= (seen[at - 1]?.timeUs ?? 0));
  const context = `TAILRACE_SEED=${SEED}\n${program.said}`;
  expect(wrong, context).toEqual([]);
  expect(late, context).toEqual([]);
  expect(files.length).toBeGreaterThan(KILLS / 2);
  expect(seen.map(({ id }) => id).sort(), context).toEqual([...scene.committed.keys()].sort());
  expect(await judge({ ...scene, mayBeTorn: true }), context).toEqual([]);
});

function isObject(line: string): boolean {
  try {
    return typeof JSON.parse(line) === 'object';
  } catch {
    return false;
  }
}
