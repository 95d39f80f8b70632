// One open log file. Promises that it is a regular file reached without following a link, that its name is on disk,
// and that what it appends begins on a line of its own. It never truncates and never overwrites foreign bytes.

import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { LogFileConfig } from '../config/config.ts';
import { codeOf } from '../lib/errors.ts';
import { makeFolders } from '../lib/make-folders.ts';
import { syncDirectory } from './directory.ts';
import { notARegularFile } from './failure.ts';
import { fingerprintAt } from './journal/fingerprint.ts';
import type { LogPlace } from './journal/intent.ts';
import { endsWithNewline, lastLineTimeUs } from './tail.ts';

/** The system calls of this stage; a test replaces those that it wants to see fail. */
export interface LogFileSystem {
  readonly open: typeof open;
  readonly lstat: typeof lstat;
  readonly mkdir: typeof mkdir;
}
export const LOG_FILE_SYSTEM: LogFileSystem = { open, lstat, mkdir };

// Non-blocking, so that a FIFO at the path cannot hold us; readable, because the end of an existing file is looked at.
const SAFELY = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
const INTERRUPTED_TRIES = 10;
const COMPARED_BYTES = 64 * 1024;
/** Equal to no size: the next look finds the file changed and ends its torn line then. */
const SIZE_UNKNOWN = Number.NaN;

export class LogFileHandle {
  readonly path: string;
  readonly inode: bigint;
  /** Stamp of the last line that was in the file when it was opened, in microseconds since the epoch. */
  readonly lastTimeUs: number | null;
  readonly #device: bigint;
  readonly #file: FileHandle;
  readonly #fs: LogFileSystem;
  /** Bytes in the file as far as we know: where our next byte goes unless somebody else writes or truncates. */
  #size: number;

  private constructor(path: string, file: FileHandle, fs: LogFileSystem, facts: HandleFacts) {
    this.path = path;
    this.#file = file;
    this.#fs = fs;
    this.inode = facts.inode;
    this.#device = facts.device;
    this.#size = facts.size;
    this.lastTimeUs = facts.lastTimeUs;
  }

  /**
   * Opens the file for appending and creates it when it is missing, with its directory when that is configured.
   * A torn last line that it finds is ended with a newline.
   *
   * @throws {TailraceError} `LOG_FILE_NOT_REGULAR`, or the error of the system call.
   */
  static async open(
    path: string,
    options: Pick<LogFileConfig, 'mode' | 'createDirectory'>,
    fs: LogFileSystem = LOG_FILE_SYSTEM,
  ): Promise<LogFileHandle> {
    if (options.createDirectory) await createDirectory(dirname(path), options.mode, fs);
    const file = await openOrCreate(path, options.mode, fs);
    try {
      const stats = await file.stat({ bigint: true });
      if (!stats.isFile()) throw notARegularFile(path, stats);
      // Each time, and not only for a file that we made: logrotate's `create` makes one without fsync.
      await syncDirectory(dirname(path), fs.open);
      const size = Number(stats.size);
      const lastTimeUs = await lastLineTimeUs(file, size);
      const handle = new LogFileHandle(path, file, fs, { inode: stats.ino, device: stats.dev, size, lastTimeUs });
      await handle.beginLineAt(size);
      return handle;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get size(): number {
    return this.#size;
  }

  /** Looks at the path: whether it still leads to this file, and the file's size there. */
  async look(): Promise<{ readonly inPlace: boolean; readonly size: number }> {
    try {
      const stats = await this.#fs.lstat(this.path, { bigint: true });
      return { inPlace: stats.ino === this.inode && stats.dev === this.#device, size: Number(stats.size) };
    } catch (error) {
      const code = codeOf(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return { inPlace: false, size: 0 };
      throw error;
    }
  }

  /** The file's end as a place that can be found again after a restart. */
  async end(): Promise<LogPlace> {
    return {
      path: this.path,
      inode: this.inode,
      offset: this.#size,
      before: await fingerprintAt(this.#file, this.#size),
    };
  }

  /** How many names the file has; 0 = deleted, what was written to it is lost. */
  async links(): Promise<number> {
    return Number((await this.#file.stat({ bigint: true })).nlink);
  }

  /** Takes `size` for the file's end and ends a torn line there, so that ours is not glued to it. */
  async beginLineAt(size: number): Promise<void> {
    if (await endsWithNewline(this.#file, size)) {
      this.#size = size;
      return;
    }
    this.#size = SIZE_UNKNOWN;
    await this.write(Buffer.from('\n'), 0);
    this.#size = size + 1;
  }

  /** One write(2) of `bytes` from index `from` on: returns how many bytes it took, which may be fewer than there are. */
  async write(bytes: Buffer, from: number): Promise<number> {
    for (let tries = 1; ; tries += 1) {
      try {
        const { bytesWritten } = await this.#file.write(bytes, from, bytes.length - from);
        this.#size += bytesWritten;
        return bytesWritten;
      } catch (error) {
        const code = codeOf(error);
        if (tries === INTERRUPTED_TRIES || (code !== 'EINTR' && code !== 'EAGAIN')) throw error;
      }
    }
  }

  /** fdatasync(2). After an error only `rewrite` can tell that the bytes are on disk. */
  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  /**
   * Writes bytes again where they stand and syncs them, through a descriptor of its own: after a failed fdatasync the
   * kernel holds the pages for clean and would never write them (https://lwn.net/Articles/752063/).
   *
   * @returns `foreign` when something else stands there, `moved` when the path leads to another file; nothing was written.
   */
  async rewrite(bytes: Buffer, offset: number): Promise<'rewritten' | 'foreign' | 'moved'> {
    const file = await this.#fs.open(this.path, SAFELY);
    try {
      const stats = await file.stat({ bigint: true });
      if (stats.ino !== this.inode || stats.dev !== this.#device) return 'moved';
      if (!(await holdsOrEnds(file, Number(stats.size), bytes, offset))) return 'foreign';
      for (let done = 0; done < bytes.length; ) {
        done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }
      await file.datasync();
      this.#size = Math.max(Number(stats.size), offset + bytes.length);
      return 'rewritten';
    } finally {
      await file.close();
    }
  }

  /** Closes the descriptor; safe to call twice. What matters was synced before, so an error here means nothing. */
  async close(): Promise<void> {
    await this.#file.close().catch(() => {});
  }
}

interface HandleFacts {
  readonly inode: bigint;
  readonly device: bigint;
  readonly size: number;
  readonly lastTimeUs: number | null;
}

async function openOrCreate(path: string, mode: number, fs: LogFileSystem): Promise<FileHandle> {
  try {
    return await fs.open(path, SAFELY | constants.O_APPEND);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw (await whatStandsAt(path, fs)) ?? error;
  }
  let file: FileHandle;
  try {
    file = await fs.open(path, SAFELY | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL, mode);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return openOrCreate(path, mode, fs);
    throw error;
  }
  // The configured mode is meant as it stands, not as the umask leaves it. Where a file system knows no modes
  // (vfat, some network mounts) the file works all the same, and the umask can only have made it stricter.
  await file.chmod(mode).catch(() => {});
  return file;
}

/** Says better than the errno why the path cannot be opened: ELOOP, EISDIR and ENXIO are things in our place. */
async function whatStandsAt(path: string, fs: LogFileSystem): Promise<Error | null> {
  const stats = await fs.lstat(path, { bigint: true }).catch(() => null);
  return stats === null || stats.isFile() ? null : notARegularFile(path, stats);
}

async function createDirectory(directory: string, fileMode: number, fs: LogFileSystem): Promise<void> {
  // Who may read the file may enter its directory: 0640 gives 0750.
  const mode = 0o700 | (fileMode & 0o044) | ((fileMode & 0o044) >> 2);
  const first = await makeFolders(directory, { mode, mkdir: fs.mkdir });
  if (first === undefined) return;
  for (let made = directory; made.length >= first.length; made = dirname(made)) {
    await syncDirectory(dirname(made), fs.open);
  }
}

/** Whether the file holds these bytes at the offset, or ends there or among them. */
async function holdsOrEnds(file: FileHandle, size: number, bytes: Buffer, offset: number): Promise<boolean> {
  if (size < offset) return false;
  const found = Buffer.alloc(COMPARED_BYTES);
  const length = Math.min(bytes.length, size - offset);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(found, 0, Math.min(COMPARED_BYTES, length - done), offset + done);
    if (bytesRead === 0) return true;
    if (!found.subarray(0, bytesRead).equals(bytes.subarray(done, done + bytesRead))) return false;
    done += bytesRead;
  }
  return true;
}
