// The journal beside the log file: before any byte of a batch goes to the log file its lines stand here, on disk, with
// the place where they shall go. A restart finishes what was begun, so no line is lost, torn or written twice.
//
//   intent ──▶ (placed ──▶)* in the log file ──▶ settled in PostgreSQL ──▶ its segment goes when all of it is settled
//
// Two settled segments are kept: a row that comes back after it was settled (a fail-over to an asynchronous replica)
// is recognised by them and not logged again.

import type { FileHandle } from 'node:fs/promises';
import type { LogVitals } from '../../flow/vitals.ts';
import type { Logger } from '../../lib/logger.ts';
import type { Intent, IntentWriter, LogPlace } from './intent.ts';
import type { Ids, KnownLines } from './known-lines.ts';
import { createScratch, type LoadedIntent, type LoadedJournal, loadJournal, readIntent } from './load.ts';
import { type OpenIntent, OpenIntents } from './open-intents.ts';
import { encodeRecord, intentMeta, placedMeta } from './record.ts';
import { splitLines } from './scan-lines.ts';
import type { Segment } from './segment.ts';
import { type SegmentFacts, Segments } from './segments.ts';

/** At most of a record besides its lines and ids: a path may be 4 KiB, and six times that as JSON. */
const META_BYTES = 64 * 1024;
const ID_BYTES = 24;
/** A number in the note of settled intents. */
const SEQ_BYTES = 16;

export class Journal implements IntentWriter, KnownLines {
  readonly directory: string;
  /** `damaged`: what stood in a part of it is not known. `unsure`: its last record is not whole. */
  readonly condition: 'whole' | 'unsure' | 'empty' | 'damaged';
  readonly #segments: Segments;
  /** Counted when somebody watches. */
  vitals: LogVitals | null = null;
  readonly #open = new OpenIntents((seq) => (this.#recovering ? this.#settledBefore : this.#settledSeqs).push(seq));
  #seq: number;
  #highestId = '';
  #settledSeqs: number[] = [];
  /** Noted only when the recovery has ended: one that dies in the middle of it is begun again with all of them. */
  #settledBefore: number[] = [];
  #recovering = false;
  /** What is done with the segments is done one thing after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(directory: string, loaded: LoadedJournal, segments: Segments) {
    this.directory = directory;
    this.condition =
      loaded.damaged.length > 0 ? 'damaged' : loaded.segments.length === 0 ? 'empty' : loaded.torn ? 'unsure' : 'whole';
    this.#segments = segments;
    this.#seq = loaded.intents.at(-1)?.seq ?? 0;
    for (const { ids, segment } of loaded.intents) this.#remember(segments.factsOf(segment), ids);
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
    const files = new Map<number, FileHandle>();
    try {
      const loaded = await loadJournal(directory, undefined, files);
      return { journal: new Journal(directory, loaded, new Segments(directory, id, log, files)), loaded };
    } catch (error) {
      for (const file of files.values()) await file.close();
      throw error;
    }
  }

  /** Whether a line with this id stands in a segment that is still here. */
  knows(id: string): boolean {
    // Nearly every event is the newest so far.
    if (isAbove(id, this.#highestId)) return false;
    return this.#segments.all.some(({ ids }) => ids.has(id));
  }

  /** The lines, without their newline, that the segments hold for some ids; several when an id was used again. */
  linesOf(ids: ReadonlySet<string>): Promise<Map<string, string[]>> {
    return this.#inTurn(async () => {
      const lines = new Map<string, string[]>();
      const takeFrom = async (intent: Pick<LoadedIntent, 'ids' | 'read'>): Promise<void> => {
        const texts = (await intent.read()).toString('utf8').split('\n');
        for (const [at, id] of intent.ids.entries()) {
          const text = texts[at];
          if (ids.has(id) && text !== undefined) lines.set(id, [...(lines.get(id) ?? []), text]);
        }
      };
      // After a crash all of them are open, and a segment is not read as a whole for each batch that comes back.
      for (const intent of new Set([...ids].flatMap((id) => this.#open.of(id) ?? []))) await takeFrom(intent);
      const isElsewhere = (facts: SegmentFacts, id: string): boolean =>
        facts.ids.has(id) && this.#open.of(id)?.facts !== facts;
      const holders = this.#segments.all.filter((facts) => [...ids].some((id) => isElsewhere(facts, id)));
      const { intents } = await loadJournal(
        this.directory,
        holders.map(({ number }) => number),
        new Map(holders.map(({ number, file }) => [number, file])),
      );
      for (const intent of intents) if (intent.ids.some((id) => ids.has(id))) await takeFrom(intent);
      return lines;
    });
  }

  /** Of intents that were never noted as settled: those ids that are in the queue and unsettled keep their segments here. */
  keepOpen(intents: readonly LoadedIntent[], unsettled: Ids): void {
    this.#recovering = true;
    for (const { seq, segment, ids, lastTimeUs, place, from, logged, read } of intents) {
      const open = ids.filter((id) => unsettled.has(id));
      const facts = this.#segments.factsOf(segment);
      this.#open.add({ seq, ids, lastTimeUs, place, from, logged, facts, read, left: 0 }, open);
    }
  }

  /** What was there at the opening has been brought in. */
  recovered(): void {
    for (const intent of this.#open.inOrder()) intent.logged = true;
    this.#recovering = false;
    this.#settledSeqs.push(...this.#settledBefore);
    this.#settledBefore = [];
  }

  intend(intent: Intent): Promise<number> {
    return this.#inTurn(async () => {
      const { ids, lastTimeUs, place, replaces } = intent;
      const logged = intent.logged === true;
      const seq = this.#seq + 1;
      const written = await this.#write(seq, intent, intent.bytes);
      this.#seq = seq;
      this.#open.add({ seq, ids, lastTimeUs, replaces, place, from: 0, logged, ...written, left: 0 }, ids);
      this.#segments.prepare();
      return seq;
    });
  }

  placed(seq: number, place: LogPlace, from: number): Promise<void> {
    return this.#inTurn(async () => {
      const segment = await this.#segmentWith(META_BYTES);
      await this.#append(segment, [encodeRecord('placed', placedMeta(seq, place, from), null, segment.seed)]);
      const intent = this.#open.get(seq);
      if (intent) Object.assign(intent, { place, from });
    });
  }

  appended(seq: number): void {
    const intent = this.#open.get(seq);
    if (intent) intent.logged = true;
  }

  get unsettled(): number {
    return this.#open.ids;
  }

  /** Committed in PostgreSQL: noted with the next intent, since a restart only looks once more at what was not noted. */
  settled(ids: Iterable<string>): void {
    for (const id of ids) this.#open.settle(id);
    this.#segments.drop((work) => void this.#inTurn(work));
  }

  /**
   * Looks whether a restart would find the journal. If not (its folder was removed, renamed, covered by a mount), what is
   * unsettled is written to a new segment at the path: the old ones are still open.
   *
   * @returns false when that was needed.
   * @throws errors of the file system; to be called again.
   */
  keep(): Promise<boolean> {
    return this.#inTurn(async () => {
      if (await this.#segments.areInPlace()) return true;
      const before = await this.#segments.startAnew();
      const scratch = createScratch();
      await this.#segmentWith(META_BYTES); // also without an intent: a journal that is not there means something
      for (const intent of this.#open.inOrder()) {
        const { seq, place, from } = intent;
        const bytes = await intent.read(scratch);
        const written = await this.#write(seq, { ...intent, logged: intent.logged || undefined }, bytes);
        const segment = await this.#segmentWith(META_BYTES);
        if (from > 0)
          await this.#append(segment, [encodeRecord('placed', placedMeta(seq, place, from), null, segment.seed)]);
        this.#open.move(intent, written);
      }
      await this.#segments.giveAway(before);
      return false;
    });
  }

  /** Writes what is unsettled here to another journal, which takes this one's place: lines that are in a log file. */
  async handOver(to: Journal): Promise<void> {
    const scratch = createScratch();
    for (const intent of this.#open.inOrder()) {
      const { place, lastTimeUs } = intent;
      const lines = splitLines(await intent.read(scratch));
      const open = intent.ids.flatMap((id, at) => (this.#open.of(id) === intent ? [{ id, line: lines[at] }] : []));
      const bytes = Buffer.concat(open.map(({ line }) => line ?? Buffer.alloc(0)));
      await to.intend({ place, bytes, ids: open.map(({ id }) => id), lastTimeUs, logged: true });
    }
  }

  /** Notes what is settled and closes; safe to call twice. */
  close(): Promise<void> {
    return this.#inTurn(async () => {
      const segment = this.#segments.current;
      if (segment && this.#settledSeqs.length > 0) {
        await segment.append([this.#note(segment)], true).catch(() => undefined);
        this.#settledSeqs = [];
      }
      await this.#segments.close();
    });
  }

  #remember(facts: SegmentFacts, ids: readonly string[]): void {
    for (const id of ids) {
      facts.ids.add(id);
      if (isAbove(id, this.#highestId)) this.#highestId = id;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Writes an intent's record; resolves when it is on disk. */
  async #write(seq: number, intent: Omit<Intent, 'bytes'>, bytes: Buffer): Promise<Pick<OpenIntent, 'facts' | 'read'>> {
    const segment = await this.#segmentWith(META_BYTES + bytes.length + intent.ids.length * ID_BYTES);
    const head = encodeRecord('intent', intentMeta(seq, intent), bytes, segment.seed);
    const at = await this.#append(segment, [head, bytes]);
    const facts = this.#segments.factsOf(segment.number);
    this.#remember(facts, intent.ids);
    const { path, file, seed, number } = segment;
    const extent = { at, bodyAt: at + head.length, bodyLength: bytes.length };
    return { facts, read: (scratch) => readIntent({ segment: number, path, file, seed }, extent, scratch) };
  }

  /** @returns where the first of the parts begins. */
  async #append(segment: Segment, parts: readonly Buffer[]): Promise<number> {
    const note = this.#settledSeqs.length > 0 ? [this.#note(segment)] : [];
    const noted = this.#settledSeqs.length;
    try {
      const beganMs = performance.now();
      const at = await segment.append([...note, ...parts], true);
      this.vitals?.journalSync.observe((performance.now() - beganMs) / 1_000);
      this.#settledSeqs = this.#settledSeqs.slice(noted);
      return at + (note[0]?.length ?? 0);
    } catch (error) {
      // After a failed sync nobody knows what is on disk: this segment is never written again. What it held before
      // was synced before; what failed is written again to another one.
      this.#segments.abandon();
      throw error;
    }
  }

  #note(segment: Segment): Buffer {
    return encodeRecord('settled', { seqs: this.#settledSeqs }, null, segment.seed);
  }

  #segmentWith(recordBytes: number): Promise<Segment> {
    return this.#segments.withRoomFor(recordBytes + this.#settledSeqs.length * SEQ_BYTES);
  }
}

/** Compares decimal ids without numbers, which may be too large for them; negative ones are above none. */
const isAbove = (id: string, other: string): boolean =>
  id.length === other.length ? id > other && !id.startsWith('-') : id.length > other.length && !id.startsWith('-');
