// What the readers of recording hand on: one event as JSON text with the place it came from. Nothing is parsed here, so
// that numbers keep their digits and a rejected event can be kept exactly as it came.

import type { SharedBytes } from './shared-bytes.ts';

/** The longest event that is read, in bytes; a longer one is rejected without being held in memory. */
export const MAX_EVENT_BYTES = 16 * 1024 * 1024;

/** What is said of an event beyond that limit. */
export const TOO_LONG = `longer than ${MAX_EVENT_BYTES / 1024 / 1024} MiB`;

/** How much of an event that was not read as a whole goes into the reject file, in characters. */
export const EXCERPT_LENGTH = 1024;

export interface InputRecord {
  /** Line of the input on which the event begins, from 1. */
  readonly line: number;
  /** JSON text of the event; when there is a `problem`, as much of it as was read. */
  readonly text: string;
  /** Why the event cannot be recorded, when that is known already: too long, or not JSON any more. */
  readonly problem?: string;
  /** The input ends in it, without a line feed or a bracket: if it is bad, the rest of it may still be written. */
  readonly isLast?: true;
}

/** Records in the order of the input, as many at a time as one chunk of it has: what costs is a turn, not a record. */
export type InputRecords = AsyncIterable<readonly InputRecord[]>;

/** A record that stays the bytes it was read as, good UTF-8, until somebody asks for its text: few do. */
export class LineRecord implements InputRecord {
  readonly line: number;
  readonly start: number;
  /** Where its line feed stands. */
  readonly end: number;
  readonly #shared: SharedBytes;

  /** @param shared where it lies, with the lines around it. */
  constructor(line: number, shared: SharedBytes, start: number, end: number) {
    this.line = line;
    this.start = start;
    this.end = end;
    this.#shared = shared;
    shared.addUser();
  }

  get bytes(): Buffer {
    return this.#shared.bytes;
  }

  get text(): string {
    return this.bytes.toString('utf8', this.start, this.end);
  }

  /** Its bytes are needed no longer; to be called once, and then nothing else. */
  letGo(): void {
    this.#shared.letGo();
  }
}
