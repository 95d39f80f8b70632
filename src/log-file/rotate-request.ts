// How `tailrace rotate` reaches the process that writes a log file: through files in the hidden folder beside it, which
// work for another user, in another container, and on another host that shares the directory.
//
//   rotate-ID (asked) ──▶ rotated-ID (done: nothing more goes to what was moved) ──▶ removed by who asked
//
// The file `rotate` is the bell: it is made after each question, and removed before they are looked for. So whoever
// writes has one name to look at, and a question is never overlooked.

import { lstat, readdir, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { onBeat } from '../lib/beat.ts';
import { codeOf } from '../lib/errors.ts';
import { createRandomHex } from '../lib/random-hex.ts';
import { isLocked } from './local-lock.ts';

const BELL = 'rotate';
const QUESTION = /^rotate-[0-9a-f]{16}$/;
const ANSWER = /^rotated-[0-9a-f]{16}$/;
/** A process that writes looks for the bell this often, and whoever waits for answers somewhat oftener. */
const LOOK_MS = 400;
const POLL_MS = 50;
/** A process that writes has answered by then unless it is busy; only then is asked whether there is one at all. */
const FIRST_PROBE_MS = 800;
const PROBE_MS = 1_000;
/** An answer that stands for so long was for somebody who is gone. */
const FORGOTTEN_MS = 60 * 60 * 1_000;
const randomId = createRandomHex(8);

/**
 * Answers what is asked in some folders, several times a second. What fails is done when the bell rings again.
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
      if (directory === null || (await isGone(join(directory, BELL)))) continue;
      await remove(join(directory, BELL));
      const names = await readdir(directory);
      await reopen();
      for (const name of names) {
        const path = join(directory, name);
        if (QUESTION.test(name)) await rename(path, answerTo(path)).catch(unlessGone);
        else if (ANSWER.test(name) && (await isForgotten(path))) await remove(path);
      }
    }
  };
  const endLooking = onBeat(LOOK_MS, () => {
    looking ??= look()
      .catch(() => undefined)
      .finally(() => {
        looking = null;
      });
  });
  return async () => {
    endLooking();
    await looking;
  };
}

/**
 * Asks for a log file to be opened anew, and waits for nothing.
 *
 * @param directory the state folder of the log file.
 * @returns false when no process writes it.
 * @throws errors of the file system, and `LOCK_FAILED`.
 */
export async function askToReopen(directory: string): Promise<boolean> {
  if (!(await isLocked(directory))) return false;
  await ring(directory);
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
  const question = join(directory, `rotate-${randomId()}`);
  // The name is all that is said: whoever answers may not be allowed to read it.
  const ask = async (): Promise<void> => {
    await writeFile(question, '', { mode: 0o600 });
    await ring(directory);
  };
  let isAnswered = false;
  try {
    await ask();
    for (let probeMs = FIRST_PROBE_MS; ; ) {
      isAnswered = !(await isGone(answerTo(question)));
      if (isAnswered) return 'left';
      const waitedMs = performance.now() - began;
      if (waitedMs > Math.min(probeMs, timeoutMs)) {
        if (!(await isLocked(directory))) return 'nobody';
        if (waitedMs > timeoutMs) return 'silent';
        probeMs += PROBE_MS;
        // The folder may have been replaced, and the question gone with it; or the answer came just now.
        if (await isGone(answerTo(question))) await ask();
      }
      await sleep(POLL_MS);
    }
  } finally {
    for (const path of [question, answerTo(question)]) await remove(path);
    // Else it is somebody else's.
    if (!isAnswered) await remove(join(directory, BELL));
  }
}

const answerTo = (question: string): string => question.replace(/rotate-(?=[^/]*$)/, 'rotated-');

/** One that hangs there already may be another user's, and does as well. */
async function ring(directory: string): Promise<void> {
  await writeFile(join(directory, BELL), '', { flag: 'wx', mode: 0o600 }).catch((error) => {
    if (codeOf(error) !== 'EEXIST') throw error;
  });
}

async function isForgotten(path: string): Promise<boolean> {
  const stats = await lstat(path).catch(() => null);
  return stats !== null && Date.now() - stats.mtimeMs > FORGOTTEN_MS;
}

const remove = (path: string): Promise<void> => unlink(path).catch(unlessGone);

const isGone = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => false,
    (error) => {
      unlessGone(error);
      return true;
    },
  );

/** Who asked may have given up, and who answers may have been quicker. */
function unlessGone(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error;
}
