// The place of the journal in the data path: what the writer says, and when, so that a restart can finish or recognise
// a batch that was on its way into the log file. This file only says what the writer asks of a journal.

/** A position in one log file. The inode tells a moved file from the one that took its name. */
export interface LogPlace {
  readonly path: string;
  readonly inode: bigint;
  /** Byte offset in the file at which the bytes shall stand. */
  readonly offset: number;
}

/** What is about to be appended: whole lines, rendered once and never again. */
export interface Intent {
  readonly place: LogPlace;
  readonly bytes: Buffer;
  /** The events' ids, one per line of `bytes`. */
  readonly ids: readonly string[];
  /** Stamp of the last line, in microseconds since the epoch. */
  readonly lastTimeUs: number;
}

export interface Journal {
  /**
   * Called before any byte of an intent goes to the log file; resolves once the intent is on disk. After a rejection
   * nothing was written to the log file, and the same intent comes again. `bytes` may be kept only until it resolves.
   */
  intend(intent: Intent): Promise<void>;
  /** Called before the bytes of the last intent from index `from` on go to another file; resolves once that is on disk. */
  placed(place: LogPlace, from: number): Promise<void>;
}
