// The log file that this process may write: its local lock, and the identity of the journal beside it. There is one, or
// none; two only while the writer changes from one to the next.

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { LogFileConfig } from '../config/config.ts';
import { EXIT, messageOf, TailraceError } from '../lib/errors.ts';
import { journalId } from '../log-file/journal-id.ts';
import { acquireLocalLock, type LocalLock, stateDirectory } from '../log-file/local-lock.ts';
import { type FolderState, keepFolder } from '../log-file/state-folder.ts';
import type { JournalAt } from '../queue/claim.ts';

/** Of a process without a log file: it leaves nothing behind that could stand in a file. */
const NO_FOLDER = '';

/** The hidden folder beside the log file whose lock is held. */
export interface HeldFolder {
  readonly directory: string;
  /** Of the journal in it. */
  readonly id: string;
}

export class HeldFile {
  /** The log file that the lock is of. */
  #file: LogFileConfig | null = null;
  #lock: LocalLock | null = null;
  #id = '';

  /** Of the journal in the folder of the lock that is held; without a log file that of no journal. */
  get id(): string {
    return this.#id;
  }

  /** null = no lock is held. */
  get folder(): HeldFolder | null {
    return this.#lock && { directory: this.#lock.directory, id: this.#id };
  }

  /**
   * Holds the lock of this file and of no other.
   *
   * @param file null: no log file.
   * @returns where what is in flight will be written down, or null when another process has the lock.
   * @throws {TailraceError} `LOG_FILE_…`, `LOCK_FAILED`; nothing is held then.
   */
  async take(file: LogFileConfig | null): Promise<JournalAt | null> {
    await this.release();
    return await this.#takeNext(file);
  }

  /**
   * Changes to another log file, both locks being held meanwhile. It is tried once: whoever has the lock may be waiting
   * for what we hold, or be ourselves, who inherited a journal there.
   *
   * @param takeOver brings what is in flight to the new place; after it the lock of the old file is given back.
   * @throws {TailraceError} `START_AFRESH` when the new file is taken or cannot be had; what `takeOver` throws.
   */
  async change(to: LogFileConfig | null, takeOver: (place: JournalAt) => Promise<void>): Promise<void> {
    if (to !== null && this.#lock?.directory === stateDirectory(to.filename)) {
      this.#file = to;
      return await takeOver(this.#place);
    }
    const before = this.#lock;
    const place = await this.#takeNext(to).catch((error) => {
      if (!(error instanceof TailraceError)) throw error;
      return error;
    });
    if (place === null || place instanceof TailraceError)
      throw startAfresh(
        place === null ? `another tailrace process holds ${describeLock(to)}` : messageOf(place),
        place,
      );
    try {
      await takeOver(place);
    } finally {
      await before?.release();
    }
  }

  /** Sees to it that lock and id are beside the log file still. */
  async keep(): Promise<FolderState> {
    if (this.#lock === null || this.#file === null) return 'in place';
    const kept = await keepFolder(this.#lock, this.#file, this.#id);
    this.#lock = kept.lock;
    return kept.state;
  }

  /** Lets another process have the log file; safe to call twice. */
  async release(): Promise<void> {
    const held = this.#lock;
    this.#lock = null;
    this.#file = null;
    await held?.release();
  }

  /** Takes a lock beside the one that is held, which is forgotten here, unless it gets none. */
  async #takeNext(file: LogFileConfig | null): Promise<JournalAt | null> {
    const lock = file && (await acquireLocalLock(file));
    if (file !== null && lock === null) return null;
    try {
      this.#id = lock === null ? randomUUID() : await journalId(lock.directory);
    } catch (error) {
      await lock?.release();
      throw error;
    }
    this.#lock = lock;
    this.#file = file;
    return this.#place;
  }

  get #place(): JournalAt {
    return { id: this.#id, at: `${hostname()}:${this.#lock?.directory ?? NO_FOLDER}` };
  }
}

/** For messages. */
export const describeLock = (file: LogFileConfig | null): string => `the lock of ${file?.filename}`;

const startAfresh = (why: string, cause: unknown): TailraceError =>
  new TailraceError('START_AFRESH', `cannot change to the log file that is configured now: ${why}; starting afresh`, {
    exitCode: EXIT.tryAgain,
    cause,
  });
