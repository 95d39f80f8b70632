// What the journal remembers of a batch that is on its way into the log file, and what the writer asks of a journal.

/** A position in one log file. */
export interface LogPlace {
  readonly path: string;
  /** Tells a moved file from the one that took its name, within one boot at least. */
  readonly inode: bigint;
  /** Byte offset in the file at which the bytes shall stand. */
  readonly offset: number;
  /** What stands before the offset: with the inode it is the file's identity across restarts. */
  readonly before: Fingerprint;
}

/** CRC-32 of the bytes before an offset, at most 4 KiB of them. Device numbers and birth times do not survive a reboot. */
export interface Fingerprint {
  readonly length: number;
  readonly crc: number;
}

/** Bytes that a fingerprint covers at most. */
export const FINGERPRINT_BYTES = 4096;

/** What is about to be appended: whole lines, rendered once and never again. */
export interface Intent {
  readonly place: LogPlace;
  readonly bytes: Buffer;
  /** The events' ids, one per line of `bytes`. */
  readonly ids: readonly string[];
  /** Stamp of the last line, in microseconds since the epoch. */
  readonly lastTimeUs: number;
  /** Recovery: the number of an older intent whose missing lines these are. */
  readonly replaces?: number | undefined;
  /** These lines are on disk in a log file already: written down so that they are known, not to be written again. */
  readonly logged?: true | undefined;
}

export interface IntentWriter {
  /**
   * Called before any byte of an intent goes to the log file; resolves once the intent is on disk. After a rejection
   * nothing was written to the log file, and the same intent comes again. `bytes` may be kept only until it resolves.
   *
   * @returns the intent's number.
   */
  intend(intent: Intent): Promise<number>;
  /** Called before the bytes of an intent from index `from` on go to another place; resolves once that is on disk. */
  placed(seq: number, place: LogPlace, from: number): Promise<void>;
  /** All bytes of an intent are on disk in a log file. */
  appended(seq: number): void;
}
