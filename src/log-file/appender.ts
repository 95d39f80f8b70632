// Puts rendered lines into the file that is at the path at that moment, and says when they are on disk there. Looks
// before every write and after the sync. Stops at the first error; called again, it goes on where it stopped:
//
//   intended ──▶ writing (torn while between two writes) ──▶ written ──▶ synced, and the file still has a name
//                                                            └─ sync failed: unproven ──▶ written again in place
//   From any state back to writing, in the new file, when the old one has been moved or deleted.

import type { LogFileConfig } from '../config/config.ts';
import type { Logger } from '../lib/logger.ts';
import type { LineClock } from './clock.ts';
import { LogFileHandle, type LogFileSystem } from './handle.ts';
import type { IntentWriter } from './journal/intent.ts';

const NEWLINE = 0x0a;

/** Whole lines for one file. */
export interface Lines {
  readonly path: string;
  readonly bytes: Buffer;
  readonly ids: readonly string[];
  readonly lastTimeUs: number;
  /** Recovery: the intent whose missing lines these are. */
  readonly replaces?: number;
}

export interface AppenderOptions {
  readonly file: Pick<LogFileConfig, 'mode' | 'createDirectory'>;
  readonly clock: LineClock;
  readonly log: Logger;
  readonly journal?: IntentWriter | undefined;
  readonly fs?: LogFileSystem | undefined;
}

/** How far the lines in hand have come. */
interface Progress {
  readonly lines: Lines;
  /** The file that has bytes of them, null before the first and after a file was given up. */
  handle: LogFileHandle | null;
  /** Index in `bytes` of the first byte that belongs into `handle`; what is before is safe in an earlier file. */
  start: number;
  /** Index in `bytes` of the next byte to write. */
  written: number;
  /** Offset in the file of the byte at `start`. */
  offset: number;
  intended: boolean;
  /** A sync failed: the kernel may have dropped what it still shows. */
  unproven: boolean;
}

export class Appender {
  readonly #options: AppenderOptions;
  #file: AppenderOptions['file'];
  #handle: LogFileHandle | null = null;
  #progress: Progress | null = null;
  #reopen = false;
  #saidForeign = false;

  constructor(options: AppenderOptions) {
    this.#options = options;
    this.#file = options.file;
  }

  /** The file in use, null before the first and while there is none. */
  get path(): string | null {
    return this.#handle?.path ?? null;
  }

  /** Takes other settings for the files that are opened from now on. */
  configure(file: AppenderOptions['file']): void {
    this.#file = file;
  }

  /** Opens the file anew at the next call, unless lines are half written. */
  reopen(): void {
    this.#reopen = true;
  }

  /**
   * Looks at the path and opens what belongs there when our file has left it.
   *
   * @throws {Error} of the file system, or `LOG_FILE_NOT_REGULAR`; to be called again.
   */
  async ready(path: string): Promise<LogFileHandle> {
    const current = this.#handle;
    if (current !== null) {
      if (current.path === path && !(this.#reopen && this.#progress === null)) {
        const found = await current.look();
        if (found.inPlace) {
          if (found.size !== current.size) await this.#meetStranger(current, found.size);
          return current;
        }
      }
      await this.#letGo(current);
    }
    const next = await LogFileHandle.open(path, this.#file, this.#options.fs);
    this.#reopen = false;
    this.#handle = next;
    if (next.lastTimeUs !== null) this.#options.clock.startAfter(next.lastTimeUs);
    this.#options.log.info({ path, rotated: current?.path === path }, 'log file opened');
    return next;
  }

  /**
   * Appends the lines and resolves once they are on disk in a file that still has a name.
   *
   * @throws as `ready`; with the same lines it may be called again and finishes them, byte for byte.
   */
  async append(lines: Lines): Promise<void> {
    if (this.#progress?.lines !== lines) this.#progress = begin(lines);
    const progress = this.#progress;
    for (;;) {
      const handle = await this.ready(lines.path);
      if (progress.handle !== handle) {
        await this.#moveTo(progress, handle);
        continue; // a journal may have taken its time: look again
      }
      if (progress.written === progress.start) progress.offset = handle.size;
      if (progress.written < lines.bytes.length) {
        progress.written += await handle.write(lines.bytes, progress.written);
        if (progress.written < lines.bytes.length) continue;
      }
      if (!(await this.#makeDurable(progress, handle))) continue;
      if ((await handle.links()) > 0) break;
      this.#options.log.warn(
        { path: lines.path },
        'log file was deleted while it was written; its last lines are written again',
      );
    }
    this.#progress = null;
  }

  /** Closes the file; safe to call twice. */
  async close(): Promise<void> {
    const handles = new Set([this.#handle, this.#progress?.handle]);
    this.#handle = null;
    this.#progress = null;
    for (const handle of handles) await handle?.close();
  }

  /** The file in place grew or shrank without us: nothing of it is overwritten, our next line gets its own start. */
  async #meetStranger(handle: LogFileHandle, size: number): Promise<void> {
    const { log } = this.#options;
    const { path } = handle;
    if (size < handle.size) {
      log.error(
        { path, size, expected: handle.size },
        'log file was truncated; copytruncate loses lines, rotate by moving the file instead',
      );
    } else if (!this.#saidForeign) {
      this.#saidForeign = true;
      log.warn({ path, size, expected: handle.size }, 'another program writes to the log file');
    }
    const progress = this.#progress;
    if (progress?.handle === handle && progress.written > lineStart(progress)) restartAt(progress, lineStart(progress));
    await handle.beginLineAt(size);
  }

  /** Our file has left the path. Its descriptor is kept only as long as it may be needed: a deleted file holds space. */
  async #letGo(handle: LogFileHandle): Promise<void> {
    const progress = this.#progress?.handle === handle ? this.#progress : null;
    if (progress !== null && progress.written > progress.start && (await handle.links()) > 0) return;
    this.#handle = null;
    if (progress !== null) await this.#leave(progress, handle);
    else await handle.close();
  }

  async #moveTo(progress: Progress, handle: LogFileHandle): Promise<void> {
    const { journal } = this.#options;
    const { lines } = progress;
    if (progress.handle !== null) await this.#leave(progress, progress.handle);
    if (journal) {
      const place = await handle.end();
      if (progress.intended) await journal.placed(place, progress.start);
      else await journal.intend({ ...lines, place });
    }
    progress.intended = true;
    progress.handle = handle;
  }

  /** Gives up a file that was moved or deleted: what it holds for certain stays there, all else goes to the next one. */
  async #leave(progress: Progress, handle: LogFileHandle): Promise<void> {
    const { written } = progress;
    const deleted = (await handle.links()) === 0;
    const certain = !deleted && !progress.unproven && (await canSync(handle));
    const safe = certain ? lineStart(progress) : progress.start;
    if (!deleted && safe < written) {
      this.#options.log.error(
        { path: handle.path, bytes: written - safe },
        'log file was moved while it could not be written; lines at its end may be torn or stand in the new file too',
      );
    }
    restartAt(progress, safe);
    progress.handle = null;
    await handle.close();
  }

  /** @returns false when the lines have to be written once more. */
  async #makeDurable(progress: Progress, handle: LogFileHandle): Promise<boolean> {
    if (!progress.unproven) {
      progress.unproven = true;
      await handle.sync();
      progress.unproven = false;
      return true;
    }
    const outcome = await handle.rewrite(progress.lines.bytes.subarray(progress.start), progress.offset);
    if (outcome === 'rewritten') {
      progress.unproven = false;
      return true;
    }
    if (outcome === 'foreign') {
      this.#options.log.error(
        { path: handle.path },
        'lines that could not be synced are gone from the log file; they are appended again',
      );
      restartAt(progress, progress.start);
    }
    return false;
  }
}

function begin(lines: Lines): Progress {
  return { lines, handle: null, start: 0, written: 0, offset: 0, intended: false, unproven: false };
}

function restartAt(progress: Progress, start: number): void {
  progress.start = start;
  progress.written = start;
  progress.unproven = false;
}

/** Index in `bytes` at which the line begins that the next byte belongs to. */
function lineStart({ lines, start, written }: Progress): number {
  return written === 0 ? 0 : Math.max(start, lines.bytes.lastIndexOf(NEWLINE, written - 1) + 1);
}

async function canSync(handle: LogFileHandle): Promise<boolean> {
  try {
    await handle.sync();
    return true;
  } catch {
    return false;
  }
}
