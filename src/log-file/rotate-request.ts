// How `tailrace rotate` reaches the process that writes a log file: through files in the hidden folder beside it, which
// work for another user, in another container, and on another host that shares the directory.
//
//   rotate-ID (asked: leave what was moved) ──▶ rotated-ID (done: nothing more goes there) ──▶ removed by who asked
//   reopen-ID (asked, nobody waits) ──▶ removed when it is done

import { lstat, readdir, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf } from '../lib/errors.ts';
import { createRandomHex } from '../lib/random-hex.ts';
import { isLocked } from './local-lock.ts';

const REQUEST = /^(?:rotate|reopen)-[0-9a-f]{16}$/;
const ANSWER = /^rotated-[0-9a-f]{16}$/;
/** A process that writes looks for requests this often, and whoever waits for answers somewhat oftener. */
const LOOK_MS = 200;
const POLL_MS = 50;
/** A process that writes has answered by then unless it is busy; only then is asked whether there is one at all. */
const FIRST_PROBE_MS = 400;
const PROBE_MS = 1_000;
/** An answer that stands for so long was for somebody who is gone. */
const FORGOTTEN_MS = 60 * 60 * 1_000;
const randomId = createRandomHex(8);

/**
 * Answers what is asked in some folders, several times a second. What fails is tried again.
 *
 * @param directories those whose locks are held, asked at each look; null = none.
 * @param reopen resolves when nothing more will be written to a file that had left its path at the call.
 * @returns ends it; resolves when nothing is under way.
 */
export function answerRequests(
  directories: () => readonly (string | null)[],
  reopen: () => Promise<unknown>,
): () => Promise<void> {
  let looking: Promise<void> | null = null;
  const look = async (): Promise<void> => {
    for (const directory of directories()) {
      const names = directory === null ? [] : await readdir(directory);
      const asked = names.filter((name) => REQUEST.test(name));
      if (directory === null || asked.length === 0) continue;
      await reopen();
      for (const name of asked) await answer(directory, name);
      for (const name of names) if (ANSWER.test(name)) await forget(join(directory, name));
    }
  };
  const timer = setInterval(() => {
    looking ??= look()
      .catch(() => undefined)
      .finally(() => {
        looking = null;
      });
  }, LOOK_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await looking;
  };
}

async function answer(directory: string, name: string): Promise<void> {
  const path = join(directory, name);
  const done = name.startsWith('rotate-')
    ? rename(path, join(directory, name.replace('rotate', 'rotated')))
    : unlink(path);
  await done.catch(unlessGone);
}

async function forget(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => null);
  if (stats !== null && Date.now() - stats.mtimeMs > FORGOTTEN_MS) await unlink(path).catch(unlessGone);
}

/** Who asked may have given up. */
function unlessGone(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error;
}

/**
 * Asks for a log file to be opened anew, and waits for nothing.
 *
 * @param directory the state folder of the log file.
 * @returns false when no process writes it.
 * @throws errors of the file system.
 */
export async function askToReopen(directory: string): Promise<boolean> {
  if (!(await isLocked(directory))) return false;
  await ask(directory, 'reopen');
  return true;
}

/**
 * Waits until nothing more will be written to a log file that was moved before the call. Without a process that writes
 * it this is so at once: one that is started later never writes to a file that has left its path, by recovery either.
 *
 * @param directory the state folder of the log file.
 * @returns `left`: the process that writes it has said so. `nobody`: there is none. `silent`: there is one, and it said
 * nothing in time.
 * @throws errors of the file system, and `LOCK_FAILED`.
 */
export async function waitUntilLeft(directory: string, timeoutMs: number): Promise<'left' | 'nobody' | 'silent'> {
  const began = performance.now();
  let name = await ask(directory, 'rotate');
  try {
    for (let probeMs = FIRST_PROBE_MS; ; ) {
      if (await isGone(join(directory, name))) {
        if (!(await isGone(join(directory, name.replace('rotate', 'rotated'))))) return 'left';
        // The folder was removed or replaced, and the question with it.
        name = await ask(directory, 'rotate');
      }
      const waitedMs = performance.now() - began;
      if (waitedMs > Math.min(probeMs, timeoutMs)) {
        if (!(await isLocked(directory))) return 'nobody';
        if (waitedMs > timeoutMs) return 'silent';
        probeMs += PROBE_MS;
      }
      await sleep(POLL_MS);
    }
  } finally {
    for (const each of [name, name.replace('rotate', 'rotated')]) await unlink(join(directory, each)).catch(unlessGone);
  }
}

/** The name is all that is said: whoever answers may not be allowed to read it. */
async function ask(directory: string, what: 'rotate' | 'reopen'): Promise<string> {
  const name = `${what}-${randomId()}`;
  await writeFile(join(directory, name), '', { flag: 'wx', mode: 0o600 });
  return name;
}

const isGone = async (path: string): Promise<boolean> =>
  await lstat(path).then(
    () => false,
    (error) => {
      unlessGone(error);
      return true;
    },
  );
