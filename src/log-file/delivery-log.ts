// The delivery log: one JSON line for each attempt to deliver an event, for people and for `tailrace trace`. It is a
// convenience beside the data path: nothing waits for it, it is not fsynced, and what cannot be written while its file
// is in trouble is kept up to a bound, then counted and forgotten.

import { delay } from '../lib/delay.ts';
import { messageOf } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import { LogFileHandle } from './handle.ts';

/** Characters that wait for the file at most. */
const MAX_BUFFERED = 4 * 1024 * 1024;
/** One write; what comes meanwhile goes into the next one. */
const MAX_WRITE = 256 * 1024;
const FLUSH_MS = 100;
/** A file that was moved is replaced within a second, busy or idle. */
const LOOK_MS = 500;
const RETRY_MS = 1_000;
/** The end of the process waits this long for the last lines. */
const CLOSE_MS = 1_000;
const NEWLINE = 0x0a;

export interface DeliveryLogTarget {
  /** Absolute path. */
  readonly filename: string;
  /** Of a file, and folders, that have to be made. */
  readonly mode: number;
  readonly createDirectory: boolean;
}

export interface DeliveryLog {
  /** Takes one line, without its newline. Never waits, never throws. */
  write(line: string): void;
  /** SIGHUP: opens the file anew; resolves when nothing more is written to one that has left its path. */
  reopen(): Promise<void>;
  /** Writes what is there, within a second. */
  close(): Promise<void>;
}

export interface DeliveryLogOptions {
  /** The file as the configuration has it now; null = off. */
  readonly target: () => DeliveryLogTarget | null;
  readonly logger: Logger;
}

/** Creates the delivery log; no file is opened before the first line. */
export function createDeliveryLog(options: DeliveryLogOptions): DeliveryLog {
  return new BufferedLog(options);
}

class BufferedLog implements DeliveryLog {
  readonly #options: DeliveryLogOptions;
  readonly #warn: ReturnType<typeof createThrottle>;
  readonly #closing = new AbortController();
  #lines: string[] = [];
  #buffered = 0;
  #dropped = 0;
  #handle: LogFileHandle | null = null;
  #reopen = false;
  #timer: NodeJS.Timeout | undefined;
  #looking: NodeJS.Timeout | undefined;
  #working: Promise<void> | null = null;

  constructor(options: DeliveryLogOptions) {
    this.#options = options;
    this.#warn = createThrottle((fields, message) => options.logger.warn(fields, message));
  }

  write(line: string): void {
    if (this.#buffered + line.length > MAX_BUFFERED) {
      this.#dropped += 1;
      return;
    }
    this.#lines.push(line);
    this.#buffered += line.length + 1;
    this.#timer ??= setTimeout(() => this.#work(), FLUSH_MS);
  }

  async reopen(): Promise<void> {
    this.#reopen = true;
    await this.#working;
    this.#work();
    await this.#working;
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return;
    clearInterval(this.#looking);
    const lastLines = (async () => {
      await this.#working;
      this.#work();
      await this.#working;
    })();
    const late = new AbortController();
    await Promise.race([lastLines, delay(CLOSE_MS, late.signal)]);
    late.abort();
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#handle?.close();
  }

  /** Writes all that is there, unless that is under way. */
  #work(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#working || this.#closing.signal.aborted) return;
    const target = this.#options.target();
    this.#working = this.#writeAll(target).then(
      () => {
        this.#working = null;
        this.#sayDropped(target);
        if (this.#lines.length > 0) this.#timer ??= setTimeout(() => this.#work(), FLUSH_MS);
      },
      async (error: unknown) => {
        this.#working = null;
        this.#warn(
          { path: target?.filename, error: messageOf(error) },
          'the delivery log cannot be written; deliveries go on without it, trying again every second',
        );
        await this.#closeFile();
        if (!this.#closing.signal.aborted) this.#timer ??= setTimeout(() => this.#work(), RETRY_MS).unref();
      },
    );
  }

  async #writeAll(target: DeliveryLogTarget | null): Promise<void> {
    const isMeant = this.#handle?.path === target?.filename && !this.#reopen;
    this.#reopen = false;
    if (this.#handle && !(isMeant && (await this.#handle.look()).inPlace)) await this.#closeFile();
    if (target === null) {
      this.#take(Number.POSITIVE_INFINITY);
      return;
    }
    // Only a file that was open is made again while there is nothing to write: one that is named and never written is none.
    if (this.#lines.length === 0 && this.#looking === undefined) return;
    if (!this.#handle) {
      this.#handle = await LogFileHandle.open(target.filename, target);
      this.#looking ??= setInterval(() => this.#work(), LOOK_MS).unref();
    }
    const handle = this.#handle;
    while (this.#lines.length > 0) {
      const lines = this.#take(MAX_WRITE);
      const bytes = Buffer.from(`${lines.join('\n')}\n`);
      let done = 0;
      try {
        while (done < bytes.length) done += await handle.write(bytes, done);
      } catch (error) {
        // Whole lines are written; the one that is torn is written again, behind a newline of its own.
        const written = countNewlines(bytes.subarray(0, done));
        this.#giveBack(lines.slice(written));
        throw error;
      }
    }
  }

  #take(most: number): string[] {
    let at = 0;
    for (let size = 0; at < this.#lines.length && size < most; at += 1) size += this.#lines[at]?.length ?? 0;
    const lines = this.#lines.slice(0, at);
    this.#lines = this.#lines.slice(at);
    this.#buffered -= lines.reduce((sum, line) => sum + line.length + 1, 0);
    return lines;
  }

  #giveBack(lines: readonly string[]): void {
    this.#lines = [...lines, ...this.#lines];
    this.#buffered += lines.reduce((sum, line) => sum + line.length + 1, 0);
  }

  #sayDropped(target: DeliveryLogTarget | null): void {
    if (this.#dropped === 0) return;
    this.#options.logger.warn(
      { path: target?.filename, lines: this.#dropped },
      'lines of the delivery log were dropped while it could not be written; the deliveries themselves went on',
    );
    this.#dropped = 0;
  }

  async #closeFile(): Promise<void> {
    const handle = this.#handle;
    this.#handle = null;
    await handle?.close();
  }
}

function countNewlines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count += 1;
  return count;
}
