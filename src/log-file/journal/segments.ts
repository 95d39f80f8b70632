// The segments of a journal: the one that is written, the next one while it is made, and those behind them until all of
// them is settled. Each stays open for reading, so that what it holds is not lost with its name (QUEUE A7.9).
//
//   prepared ──▶ current ──▶ full ──▶ settled: two are kept ──▶ retired
//                   └─ an error: never written again

import { type FileHandle, lstat, readdir } from 'node:fs/promises';
import { codeOf, messageOf } from '../../lib/errors.ts';
import { IdSet } from '../../lib/id-set.ts';
import type { Logger } from '../../lib/logger.ts';
import { retireSegment, SEGMENT_BYTES, Segment, segmentNumber, segmentPath } from './segment.ts';

/** Settled segments that are kept behind the current one. */
const KEPT_SEGMENTS = 2;
/** The next segment is made while this much of the current one is still free. */
const PREPARE_BYTES = SEGMENT_BYTES / 2;

/** What is known of a segment without reading it. */
export interface SegmentFacts {
  readonly number: number;
  readonly file: FileHandle;
  /** Of which there is a line in it. */
  readonly ids: IdSet;
  /** Intents in it that are not settled. */
  open: number;
  /** Its name was lost or given away; what is unsettled of it stands in a later one. */
  gone: boolean;
}

export class Segments {
  readonly directory: string;
  readonly #journalId: string;
  readonly #log: Logger;
  readonly #all: SegmentFacts[];
  #current: Segment | null = null;
  #next: Promise<Segment> | null = null;
  #number: number;

  /** @param files the segments that are there, by number. */
  constructor(directory: string, journalId: string, log: Logger, files: ReadonlyMap<number, FileHandle>) {
    this.directory = directory;
    this.#journalId = journalId;
    this.#log = log;
    this.#all = [...files].sort(([a], [b]) => a - b).map(([number, file]) => factsOf(number, file));
    this.#number = this.#all.at(-1)?.number ?? 0;
  }

  /** Ascending. */
  get all(): readonly SegmentFacts[] {
    return this.#all;
  }

  get current(): Segment | null {
    return this.#current;
  }

  /** @throws {Error} when there is no such segment. */
  factsOf(number: number): SegmentFacts {
    const facts = this.#all.find((each) => each.number === number);
    if (!facts) throw new Error(`journal segment ${number} is not known`);
    return facts;
  }

  /** The current segment, or a new one when that has no room. */
  async withRoomFor(bytes: number): Promise<Segment> {
    if (this.#current?.hasRoomFor(bytes)) return this.#current;
    this.#current = null;
    const prepared = await this.#next?.catch(() => null);
    this.#next = null;
    this.#current = prepared?.hasRoomFor(bytes) ? prepared : await this.#create(bytes);
    return this.#current;
  }

  /** The current one is never written again. */
  abandon(): void {
    this.#current = null;
  }

  /** Has the next one made when the current one is half full. */
  prepare(): void {
    if (this.#next !== null || this.#current === null || this.#current.hasRoomFor(PREPARE_BYTES)) return;
    this.#next = this.#create(0);
    this.#next.catch(() => undefined);
  }

  /** Whether a restart would find them. @throws errors of the file system. */
  async areInPlace(): Promise<boolean> {
    for (const { number, file, gone } of this.#all) if (!gone && !(await this.#isAt(number, file))) return false;
    return true;
  }

  /** The next segment is a new one, behind all that stand in the folder. @returns those of before. */
  async startAnew(): Promise<readonly SegmentFacts[]> {
    await this.#next?.catch(() => null);
    this.#next = null;
    this.#current = null;
    const numbers = (await readdir(this.directory)).map((name) => segmentNumber(name) ?? 0);
    this.#number = Math.max(this.#number, ...numbers);
    return [...this.#all];
  }

  /** Another segment has what was unsettled of them. */
  async giveAway(some: readonly SegmentFacts[]): Promise<void> {
    for (const facts of some) {
      if (!facts.gone && (await this.#isAt(facts.number, facts.file)))
        await retireSegment(this.directory, facts.number);
      facts.gone = true;
    }
  }

  /**
   * Removes segments from the oldest on that are settled as a whole, but for those that are kept.
   *
   * @param inTurn runs what touches the folder after what is under way.
   */
  drop(inTurn: (work: () => Promise<void>) => void): void {
    const current = this.#current?.number ?? Number.POSITIVE_INFINITY;
    for (;;) {
      const oldest = this.#all[0];
      if (!oldest || oldest.open > 0 || oldest.number >= current) return;
      if (this.#all.filter(({ number }) => number <= current).length <= KEPT_SEGMENTS + 1) return;
      this.#all.shift();
      inTurn(() => this.#retire(oldest));
    }
  }

  /** Closes what is open; safe to call twice. */
  async close(): Promise<void> {
    await this.#next?.catch(() => null);
    this.#next = null;
    this.#current = null;
    for (const { file } of this.#all) await file.close().catch(() => undefined);
  }

  async #create(leastBytes: number): Promise<Segment> {
    const number = this.#number + 1;
    const segment = await Segment.create(this.directory, number, this.#journalId, leastBytes);
    this.#number = number;
    this.#all.push(factsOf(number, segment.file));
    return segment;
  }

  async #retire({ number, file, gone }: SegmentFacts): Promise<void> {
    await file.close().catch(() => undefined);
    if (gone) return;
    await retireSegment(this.directory, number).catch((error) =>
      this.#log.warn(
        { directory: this.directory, segment: number, error: messageOf(error) },
        'cannot remove a settled journal segment',
      ),
    );
  }

  async #isAt(number: number, file: FileHandle): Promise<boolean> {
    try {
      const ours = await file.stat({ bigint: true });
      const theirs = await lstat(segmentPath(this.directory, number), { bigint: true });
      return ours.ino === theirs.ino && ours.dev === theirs.dev;
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return false;
      throw error;
    }
  }
}

const factsOf = (number: number, file: FileHandle): SegmentFacts => ({
  number,
  file,
  ids: new IdSet(),
  open: 0,
  gone: false,
});
