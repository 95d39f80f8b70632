// What the stage between reader and router takes and gives: its options, and what the pipeline may ask of it.

import type { Transform } from 'node:stream';
import type { LogFileConfig } from '../config/config.ts';
import type { LogVitals } from '../flow/vitals.ts';
import type { TailraceError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { LogFileSystem } from './handle.ts';
import type { JournalOptions } from './target.ts';

export interface LogFileStageOptions {
  /** In force at the start: the file is opened at once, so that a fault shows before the first event. null = no log file. */
  readonly logFile: LogFileConfig | null;
  readonly log: Logger;
  /** Ends the waiting for a file that cannot be written; the batch in hand is then not passed on. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Called between two batches before another log file is used: everything that was passed on is to be settled, and
   * the new file's local lock taken, when it calls `takeOver`, after which the new journal knows what the old one does
   * of events that are not settled. When it resolves the new file is used. A rejection ends the stage, whose end waits
   * for it.
   */
  readonly beforeSwitch: (
    from: LogFileConfig | null,
    to: LogFileConfig | null,
    takeOver: () => Promise<void>,
  ) => Promise<void>;
  readonly onDegraded?: ((state: { readonly error: TailraceError }) => void) | undefined;
  readonly onRecovered?: (() => void) | undefined;
  /** So many new lines are on disk. */
  readonly onLines?: ((count: number) => void) | undefined;
  /** The journal of a log file; undefined = none (a test of the stage without it). */
  readonly journal?: JournalOptions | undefined;
  /** Wall clock in microseconds since the epoch; a test gives its own. */
  readonly now?: (() => number) | undefined;
  readonly fs?: LogFileSystem | undefined;
  /** Counted when somebody watches. */
  readonly vitals?: LogVitals | undefined;
}

export interface LogFileStatus {
  /** The file in use, with its date; null when none is configured or open. */
  readonly path: string | null;
  /** What it goes by: that of the batch in hand, or of the last one. */
  readonly config: LogFileConfig | null;
  readonly state: 'ok' | 'degraded';
  readonly lastError: TailraceError | null;
}

/** Takes batches and passes them on in order, logged. */
export interface LogFileStage extends Transform {
  /**
   * `SIGHUP`, `tailrace rotate`: opens the file anew between two batches.
   *
   * @returns resolves when nothing more can be written to a file that had left its path at the call: what was under way
   * then is over, and each later write looks at the path first.
   */
  reopen(): Promise<void>;
  /** Committed in PostgreSQL: the journal may forget them. */
  settled(ids: readonly string[]): void;
  /** How many events have a line of which PostgreSQL does not know: what a crash left is read again after a while. */
  unsettled(): number;
  status(): LogFileStatus;
  /** Ends it and gives the files back, however it came to its end; safe to call twice. */
  close(): Promise<void>;
}
