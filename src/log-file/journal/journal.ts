// The journal beside the log file: before any byte of a batch goes to the log file its lines stand here, on disk, with
// the place where they shall go. A restart finishes what was begun, so no line is lost, torn or written twice.
//
//   intent ──▶ (placed ──▶)* in the log file ──▶ settled in PostgreSQL ──▶ its segment goes when all of it is settled
//
// Two settled segments are kept: a row that comes back after it was settled (a fail-over to an asynchronous replica)
// is recognised by them and not logged again.

import { messageOf } from '../../lib/errors.ts';
import { IdSet } from '../../lib/id-set.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Intent, IntentWriter, LogPlace } from './intent.ts';
import type { Ids, KnownLines } from './known-lines.ts';
import { type LoadedIntent, type LoadedJournal, loadJournal } from './load.ts';
import { encodeRecord, intentMeta, placedMeta } from './record.ts';
import { retireSegment, SEGMENT_BYTES, Segment } from './segment.ts';

/** Settled segments that are kept behind the current one. */
const KEPT_SEGMENTS = 2;
/** The next segment is made while this much of the current one is still free. */
const PREPARE_BYTES = SEGMENT_BYTES / 2;
/** At most of a record besides its lines and ids: a path may be 4 KiB, and six times that as JSON. */
const META_BYTES = 64 * 1024;
const ID_BYTES = 24;
/** A number in the note of settled intents. */
const SEQ_BYTES = 16;

/** What is known of a segment without reading it. */
interface SegmentFacts {
  readonly number: number;
  readonly ids: IdSet;
  /** Intents in it that are not settled. */
  open: number;
}

interface OpenIntent {
  readonly seq: number;
  readonly facts: SegmentFacts;
  left: number;
}

export class Journal implements IntentWriter, KnownLines {
  readonly directory: string;
  /** `damaged`: what stood in a part of it is not known. `unsure`: there is none, or its last record is not whole. */
  readonly condition: 'whole' | 'unsure' | 'damaged';
  readonly #id: string;
  readonly #log: Logger;
  readonly #segments: SegmentFacts[];
  readonly #openIds = new Map<string, OpenIntent>();
  #current: Segment | null = null;
  #next: Promise<Segment> | null = null;
  #seq: number;
  #highestId = '';
  #number: number;
  #settledSeqs: number[] = [];
  /** What is done with the segments is done one thing after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(directory: string, id: string, log: Logger, loaded: LoadedJournal) {
    const { segments, intents } = loaded;
    this.directory = directory;
    this.condition = loaded.damaged.length > 0 ? 'damaged' : loaded.torn || segments.length === 0 ? 'unsure' : 'whole';
    this.#id = id;
    this.#log = log;
    this.#segments = segments.map((number) => ({ number, ids: new IdSet(), open: 0 }));
    this.#number = segments.at(-1) ?? 0;
    this.#seq = intents.at(-1)?.seq ?? 0;
    for (const { ids, segment } of intents) {
      const facts = this.#segments.find(({ number }) => number === segment);
      if (facts) this.#remember(facts, ids);
    }
  }

  /**
   * Opens the journal of a state directory whose lock is held; makes nothing before the first intent.
   *
   * @returns the journal, and what it held: the unclosed intents are to be recovered before the first new one.
   */
  static async open(
    directory: string,
    id: string,
    log: Logger,
  ): Promise<{ readonly journal: Journal; readonly loaded: LoadedJournal }> {
    const loaded = await loadJournal(directory);
    return { journal: new Journal(directory, id, log, loaded), loaded };
  }

  /** Whether a line with this id stands in a segment that is still here. */
  knows(id: string): boolean {
    // Nearly every event is the newest so far.
    if (isAbove(id, this.#highestId)) return false;
    return this.#segments.some(({ ids }) => ids.has(id));
  }

  /** The lines, without their newline, that the segments hold for some ids; several when an id was used again. */
  linesOf(ids: ReadonlySet<string>): Promise<Map<string, string[]>> {
    return this.#inTurn(async () => {
      const lines = new Map<string, string[]>();
      const holders = this.#segments.filter((segment) => [...ids].some((id) => segment.ids.has(id)));
      const { intents } = await loadJournal(
        this.directory,
        holders.map(({ number }) => number),
      );
      for (const intent of intents) {
        if (!intent.ids.some((id) => ids.has(id))) continue;
        const texts = (await intent.read()).toString('utf8').split('\n');
        for (const [at, id] of intent.ids.entries()) {
          const text = texts[at];
          if (ids.has(id) && text !== undefined) lines.set(id, [...(lines.get(id) ?? []), text]);
        }
      }
      return lines;
    });
  }

  /** Of intents that were never noted as settled: those ids that are in the queue and unsettled keep their segments here. */
  keepOpen(intents: readonly LoadedIntent[], unsettled: Ids): void {
    for (const { seq, segment, ids } of intents) {
      const facts = this.#segments.find(({ number }) => number === segment);
      const open = ids.filter((id) => unsettled.has(id));
      if (facts) this.#register(seq, open, facts);
    }
  }

  intend(intent: Intent): Promise<number> {
    return this.#inTurn(async () => {
      const seq = this.#seq + 1;
      const segment = await this.#segmentWith(META_BYTES + intent.bytes.length + intent.ids.length * ID_BYTES);
      const record = encodeRecord('intent', intentMeta(seq, intent), intent.bytes, segment.seed);
      await this.#append(segment, [record, intent.bytes]);
      this.#seq = seq;
      const facts = this.#factsOf(segment);
      this.#remember(facts, intent.ids);
      this.#register(seq, intent.ids, facts);
      this.#prepare(segment);
      return seq;
    });
  }

  placed(seq: number, place: LogPlace, from: number): Promise<void> {
    return this.#inTurn(async () => {
      const segment = await this.#segmentWith(META_BYTES);
      await this.#append(segment, [encodeRecord('placed', placedMeta(seq, place, from), null, segment.seed)]);
    });
  }

  get unsettled(): number {
    return this.#openIds.size;
  }

  /** Committed in PostgreSQL: noted with the next intent, since a restart only looks once more at what was not noted. */
  settled(ids: Iterable<string>): void {
    for (const id of ids) this.#settle(id);
    this.#drop();
  }

  /** Notes what is settled and closes; safe to call twice. */
  close(): Promise<void> {
    return this.#inTurn(() => this.#close());
  }

  async #close(): Promise<void> {
    const segment = this.#current;
    this.#current = null;
    const next = await this.#next?.catch(() => null);
    this.#next = null;
    if (segment && this.#settledSeqs.length > 0) {
      await segment.append([this.#note(segment)], true).catch(() => undefined);
    }
    await segment?.close();
    await next?.close();
  }

  #register(seq: number, ids: readonly string[], facts: SegmentFacts): void {
    if (ids.length === 0) {
      this.#settledSeqs.push(seq);
      return;
    }
    facts.open += 1;
    const open = { seq, facts, left: ids.length };
    for (const id of ids) {
      this.#settle(id); // an older intent that the id came back after, or whose lines this one replaces
      this.#openIds.set(id, open);
    }
  }

  #remember(facts: SegmentFacts, ids: readonly string[]): void {
    for (const id of ids) {
      facts.ids.add(id);
      if (isAbove(id, this.#highestId)) this.#highestId = id;
    }
  }

  #settle(id: string): void {
    const open = this.#openIds.get(id);
    if (!open) return;
    this.#openIds.delete(id);
    open.left -= 1;
    if (open.left > 0) return;
    open.facts.open -= 1;
    this.#settledSeqs.push(open.seq);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async #append(segment: Segment, parts: readonly Buffer[]): Promise<void> {
    const note = this.#settledSeqs.length > 0 ? [this.#note(segment)] : [];
    const noted = this.#settledSeqs.length;
    try {
      await segment.append([...note, ...parts], true);
    } catch (error) {
      // After a failed sync nobody knows what is on disk: this segment is never written again. What it held before
      // was synced before; what failed is written again to another one.
      this.#current = null;
      await segment.close();
      throw error;
    }
    this.#settledSeqs = this.#settledSeqs.slice(noted);
  }

  #note(segment: Segment): Buffer {
    return encodeRecord('settled', { seqs: this.#settledSeqs }, null, segment.seed);
  }

  async #segmentWith(recordBytes: number): Promise<Segment> {
    const bytes = recordBytes + this.#settledSeqs.length * SEQ_BYTES;
    if (this.#current?.hasRoomFor(bytes)) return this.#current;
    const full = this.#current;
    this.#current = null;
    await full?.close();
    const prepared = await this.#next?.catch(() => null);
    this.#next = null;
    if (prepared?.hasRoomFor(bytes)) this.#current = prepared;
    else {
      await prepared?.close();
      this.#current = await this.#create(bytes);
    }
    return this.#current;
  }

  async #create(leastBytes: number): Promise<Segment> {
    const number = this.#number + 1;
    const segment = await Segment.create(this.directory, number, this.#id, leastBytes);
    this.#number = number;
    this.#segments.push({ number, ids: new IdSet(), open: 0 });
    return segment;
  }

  #prepare(segment: Segment): void {
    if (this.#next !== null || segment.hasRoomFor(PREPARE_BYTES)) return;
    this.#next = this.#create(0);
    this.#next.catch(() => undefined);
  }

  #factsOf({ number }: Segment): SegmentFacts {
    const facts = this.#segments.find((each) => each.number === number);
    if (!facts) throw new Error(`journal segment ${number} is not known`);
    return facts;
  }

  /** Removes segments from the oldest on that are settled as a whole, but for those that are kept. */
  #drop(): void {
    const current = this.#current?.number ?? Number.POSITIVE_INFINITY;
    for (;;) {
      const oldest = this.#segments[0];
      if (!oldest || oldest.open > 0 || oldest.number >= current) return;
      if (this.#segments.filter(({ number }) => number <= current).length <= KEPT_SEGMENTS + 1) return;
      this.#segments.shift();
      void this.#inTurn(() =>
        retireSegment(this.directory, oldest.number).catch((error) =>
          this.#log.warn(
            { directory: this.directory, segment: oldest.number, error: messageOf(error) },
            'cannot remove a settled journal segment',
          ),
        ),
      );
    }
  }
}

/** Compares decimal ids without numbers, which may be too large for them; negative ones are above none. */
const isAbove = (id: string, other: string): boolean =>
  id.length === other.length ? id > other && !id.startsWith('-') : id.length > other.length && !id.startsWith('-');
