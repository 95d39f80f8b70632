// Puts rendered lines into the file that is at the path at that moment, and says when they are on disk there. Looks
// before every write and after the sync. Stops at the first error; called again, it goes on where it stopped:
//
//   intended ──▶ writing (torn while between two writes) ──▶ written ──▶ synced, and the file still has a name
//                                                            └─ sync failed: unproven ──▶ written again in place
//   From any state back to writing, in the new file, when the old one has been moved or deleted.
//
// While lines are being synced the next ones may be announced: the place behind those is known, so that their intent
// goes to disk at the same time. Should they have to go elsewhere after all, the journal is told before.

import type { LogFileConfig } from '../config/config.ts';
import type { LogVitals } from '../flow/vitals.ts';
import type { Logger } from '../lib/logger.ts';
import type { LineClock } from './clock.ts';
import { LogFileHandle, type LogFileSystem } from './handle.ts';
import type { IntentWriter } from './journal/intent.ts';
import { LATE_MS, type LateLines } from './late-lines.ts';
import {
  begin,
  endOfTaken,
  isEndOf,
  type JournalledIntent,
  keepLate,
  type Lines,
  lineStart,
  type Progress,
  restartAt,
} from './progress.ts';

export interface AppenderOptions {
  readonly file: Pick<LogFileConfig, 'mode' | 'createDirectory'>;
  readonly clock: LineClock;
  readonly log: Logger;
  readonly journal?: IntentWriter | undefined;
  readonly fs?: LogFileSystem | undefined;
  readonly vitals?: LogVitals | undefined;
}

export class Appender {
  readonly #options: AppenderOptions;
  #file: AppenderOptions['file'];
  #handle: LogFileHandle | null = null;
  #progress: Progress | null = null;
  /** null when it failed: then the lines are journalled in their turn. */
  #announced: { readonly lines: Lines; readonly intent: Promise<JournalledIntent | null> } | null = null;
  #reopen = false;
  #saidForeign = false;
  /** Of the file before. */
  #inode: bigint | null = null;

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
    this.#noteFile(next);
    return next;
  }

  /** Journals lines that are to be appended next, at the end of what is written by now. Never fails. */
  announce(lines: Lines): void {
    const { journal } = this.#options;
    const handle = this.#handle;
    const isWritten = this.#progress === null || this.#progress.written === this.#progress.lines.bytes.length;
    if (!journal || handle?.path !== lines.path || !isWritten) return;
    const intend = async (): Promise<JournalledIntent> => {
      const place = await handle.end();
      return { seq: await journal.intend({ ...lines, place }), place, from: 0 };
    };
    this.#announced = { lines, intent: intend().catch(() => null) };
  }

  /**
   * Appends the lines and resolves once they are on disk in a file that still has a name.
   *
   * @returns those that were written so late that a compressing of the moved file may have missed them: nobody may rely on
   * them before their `missing` is known.
   * @param onWritten called, perhaps more than once, when all bytes are written and while they are synced.
   * @throws as `ready`; with the same lines it may be called again and finishes them, byte for byte.
   */
  async append(lines: Lines, onWritten?: () => void): Promise<readonly LateLines[]> {
    if (this.#progress?.lines !== lines) this.#progress = begin(lines);
    const progress = this.#progress;
    if (this.#announced?.lines === lines) progress.intent ??= await this.#announced.intent;
    for (;;) {
      const lookedMs = performance.now();
      const handle = await this.ready(lines.path);
      if (progress.handle !== handle) {
        // The journal takes its time: look again.
        if (await this.#moveTo(progress, handle)) continue;
      }
      if (progress.written === progress.start) progress.offset = handle.size;
      if (progress.written < lines.bytes.length) {
        progress.written += await handle.write(lines.bytes, progress.written);
        if (performance.now() - lookedMs > LATE_MS && !(await handle.look()).inPlace) progress.late = true;
        if (progress.written < lines.bytes.length) continue;
      }
      const durable = this.#makeDurable(progress, handle);
      onWritten?.();
      if (!(await durable)) continue;
      if ((await handle.links()) > 0) break;
      this.#options.log.warn(
        { path: lines.path },
        'log file was deleted while it was written; its last lines are written again',
      );
    }
    if (progress.late && progress.handle !== null) {
      keepLate(progress, progress.handle, lines.bytes.length);
      this.#handle = null; // theirs now: it has left the path
    }
    if (progress.intent && progress.lates.length === 0) this.#options.journal?.appended(progress.intent.seq);
    const { vitals } = this.#options;
    if (vitals) {
      vitals.bytes += lines.bytes.length;
      vitals.batches += 1;
    }
    this.#progress = null;
    return progress.lates;
  }

  /** Late lines stand where they must: as if `append` had ended with them now. */
  async accept(late: LateLines): Promise<void> {
    if (late.seq !== null) this.#options.journal?.appended(late.seq);
    await late.close();
  }

  /** Closes the file; safe to call twice. */
  async close(): Promise<void> {
    // The journal is closed next, and would begin a segment anew for what is still to be written there.
    await this.#announced?.intent;
    this.#announced = null;
    for (const late of this.#progress?.lates ?? []) await late.close();
    const handles = new Set([this.#handle, this.#progress?.handle]);
    this.#handle = null;
    this.#progress = null;
    for (const handle of handles) await handle?.close();
  }

  #noteFile({ inode }: LogFileHandle): void {
    const { vitals } = this.#options;
    if (vitals && this.#inode !== null && this.#inode !== inode) {
      vitals.rotations += 1;
      vitals.rotatedAtMs = Date.now();
    }
    this.#inode = inode;
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

  /** @returns whether something had to be written to the journal. */
  async #moveTo(progress: Progress, handle: LogFileHandle): Promise<boolean> {
    const { journal } = this.#options;
    const { lines, intent } = progress;
    if (progress.handle !== null) await this.#leave(progress, progress.handle);
    const { start } = progress;
    const isKnown = !journal || (intent !== null && intent.from === start && isEndOf(handle, intent.place));
    if (!isKnown) {
      const place = await handle.end();
      const seq = intent?.seq ?? (await journal.intend({ ...lines, place }));
      if (intent !== null) await journal.placed(seq, place, start);
      progress.intent = { seq, place, from: intent === null ? 0 : start };
    }
    progress.handle = handle;
    return !isKnown;
  }

  /** Gives up a file that was moved or deleted: what it holds for certain stays there, all else goes to the next one. */
  async #leave(progress: Progress, handle: LogFileHandle): Promise<void> {
    const { written } = progress;
    const deleted = (await handle.links()) === 0;
    const certain = !deleted && !progress.unproven && (await canSync(handle));
    const safe = certain ? lineStart(progress) : deleted ? await endOfTaken(progress) : progress.start;
    if (!deleted && safe < written) {
      this.#options.log.error(
        { path: handle.path, bytes: written - safe },
        'log file was moved while it could not be written; lines at its end may be torn or stand in the new file too',
      );
    }
    const isLate = progress.late && certain && safe > progress.start;
    if (isLate) keepLate(progress, handle, safe);
    restartAt(progress, safe);
    progress.handle = null;
    if (!isLate) await handle.close();
  }

  /** @returns false when the lines have to be written once more. */
  async #makeDurable(progress: Progress, handle: LogFileHandle): Promise<boolean> {
    if (!progress.unproven) {
      progress.unproven = true;
      const beganMs = performance.now();
      await handle.sync();
      this.#options.vitals?.sync.observe((performance.now() - beganMs) / 1_000);
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

async function canSync(handle: LogFileHandle): Promise<boolean> {
  try {
    await handle.sync();
    return true;
  } catch {
    return false;
  }
}
