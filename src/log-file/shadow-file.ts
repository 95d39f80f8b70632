// The file of a shadow run: made new, so that it can be nobody else's, and written without a journal, since nothing
// depends on it. It is never rotated; who moves it takes the rest of the run with it.

import { constants } from 'node:fs';
import { type FileHandle, lstat, open, realpath, rmdir, unlink } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Config } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import { toBatchEvent } from '../flow/batch.ts';
import { FRESH } from '../flow/standing.ts';
import { codeOf, EXIT, TailraceError } from '../lib/errors.ts';
import { createLineClock } from './clock.ts';
import { explainFailure } from './failure.ts';
import { acquireLocalLock, type LocalLock } from './local-lock.ts';
import { createRenderer } from './rendering.ts';

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_APPEND | constants.O_NOFOLLOW;
/** What `logfile.mode` is where nothing is said: SPEC 5. */
const DEFAULT_MODE = 0o640;
/** What `filename_append_date` appends. */
const DATE = /^\.\d{4}-\d{2}-\d{2}$/;

export class ShadowFile {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #lock: LocalLock;
  readonly #clock = createLineClock({ onStepBack: () => undefined });
  readonly #renderer = createRenderer();

  private constructor(path: string, file: FileHandle, lock: LocalLock) {
    this.#path = path;
    this.#file = file;
    this.#lock = lock;
  }

  /**
   * Makes the file, and keeps tailrace processes from writing to it as well.
   *
   * @throws {TailraceError} `SHADOW_LOG_FILE` when it is there already or is one that the configuration names; `BUSY` when a processor
   * has it; `LOG_FILE_…`.
   */
  static async create(file: string, config: Config): Promise<ShadowFile> {
    const path = resolve(file);
    await assertNotNamed(path, config);
    if (await lstat(path).catch(() => null)) throw alreadyThere(path);
    const lock = await acquireLocalLock({ filename: path, createDirectory: false });
    if (lock === null) {
      throw new TailraceError('BUSY', `a tailrace process writes ${path}; name another file with --log-file`, {
        exitCode: EXIT.tryAgain,
      });
    }
    try {
      return new ShadowFile(path, await open(path, NEW_FILE, config.logFile?.mode ?? DEFAULT_MODE), lock);
    } catch (error) {
      await giveBack(lock);
      throw codeOf(error) === 'EEXIST' ? alreadyThere(path) : (explainFailure(error, path) ?? error);
    }
  }

  /** Appends a line for each event. @throws {TailraceError} `LOG_FILE_…` */
  async append(events: readonly QueuedEvent[], { expandJsonColumns }: Config): Promise<void> {
    if (events.length === 0) return;
    const batch = events.map((event) => toBatchEvent(event, FRESH, false));
    const lines = await this.#renderer.render(batch, this.#clock.reserve(batch.length), expandJsonColumns);
    try {
      await this.#file.appendFile(lines);
    } catch (error) {
      throw explainFailure(error, this.#path) ?? error;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
    await giveBack(this.#lock);
  }
}

const alreadyThere = (path: string): TailraceError =>
  new TailraceError(
    'SHADOW_LOG_FILE',
    `${path} is there already, and a shadow run, which remembers nothing of an earlier one, begins a new file; move it away or name another with --log-file`,
  );

/** The old processor may be writing there, under that very name. */
async function assertNotNamed(path: string, { logFile, deliveryLog }: Config): Promise<void> {
  const real = await realFolder(path);
  for (const named of [logFile?.filename, deliveryLog?.filename]) {
    if (named === undefined) continue;
    const taken = await realFolder(named);
    const rest = real.startsWith(taken) ? real.slice(taken.length) : null;
    if (rest !== '' && !(rest !== null && DATE.test(rest))) continue;
    throw new TailraceError(
      'SHADOW_LOG_FILE',
      `${path} is a file that the configuration names, and the processor in charge may be writing there; name another with --log-file`,
    );
  }
}

/** The path with the links of its folder followed; as it stands while there is no such folder. */
async function realFolder(path: string): Promise<string> {
  const folder = await realpath(dirname(path)).catch(() => dirname(path));
  return join(folder, basename(path));
}

/** The lock was made for this run alone, and so was its folder unless it holds something else. */
async function giveBack(lock: LocalLock): Promise<void> {
  await unlink(join(lock.directory, 'lock')).catch(() => undefined);
  await rmdir(lock.directory).catch(() => undefined);
  await lock.release();
}
