// Sends events from log files to their destinations again.
//
//   files, oldest first ──▶ lines ──▶ selected? ──▶ routes ──▶ pending (bounded) ──▶ lanes ──▶ settled ──▶ checkpoint
//     ▲                                                                                 └─▶ reject file
//     └──────────── back-pressure: the destinations and the rate slow the reading down ────────┘
//
// Nothing is left out: a line is behind the checkpoint when its event is settled, and listed in it while it is not. The
// log file, the queue and tailrace's state in PostgreSQL are left alone.

import type { Config } from '../config/config.ts';
import type { QueuedEvent } from '../event/event.ts';
import { createLineReader } from '../event/from-line.ts';
import { toBatchEvent } from '../flow/batch.ts';
import { FRESH } from '../flow/standing.ts';
import { delay } from '../lib/delay.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { Rate } from '../router/rate.ts';
import type { CheckpointFile, KeptProgress, Progress } from './checkpoint.ts';
import { type Counts, countSettled, createCounts } from './counts.ts';
import type { Input } from './inputs.ts';
import { BEGINNING, type Mark, readLines } from './lines.ts';
import { Pending, type PendingEvent, type Place } from './pending.ts';
import type { RejectFile } from './reject-file.ts';
import type { ReplayReport, ReplayStatus } from './report.ts';
import type { Routes } from './routes.ts';
import { Saver } from './saver.ts';
import type { Selection } from './selection.ts';
import { createSender, type Sender } from './sender.ts';

/** Requests under way get this long after `stop` (SPEC 8: 10 s in all). */
const GRACE_MS = 9_000;

export interface ReplayOptions {
  readonly config: Config;
  readonly inputs: readonly Input[];
  readonly selection: Selection;
  readonly routes: Routes;
  /** null: counts what would be sent, and sends nothing. */
  readonly sending: {
    readonly attempts: number | null;
    readonly rejects: RejectFile;
    readonly checkpoint: CheckpointFile;
    /** What the checkpoint says besides, from beginning to end. */
    readonly standing: Omit<Progress, keyof MovingProgress>;
  } | null;
  /** Most events a second; null = as fast as the destinations take them. */
  readonly perSecond: number | null;
  /** Where an earlier run ended; null = the beginning. */
  readonly kept: KeptProgress | null;
  readonly report: ReplayReport;
  readonly logger: Logger;
  /** Reads no more, lets what is under way end. */
  readonly stop: AbortSignal;
}

/** What of a checkpoint changes while the replay goes on. */
type MovingProgress = Pick<Progress, 'from' | 'to' | 'unsettled' | 'rejects' | 'counts'>;

export class Replay {
  readonly #options: ReplayOptions;
  readonly #counts: Counts;
  readonly #pending = new Pending();
  readonly #readLine = createLineReader();
  readonly #rate: Rate;
  readonly #sender: Sender | null;
  readonly #saver: Saver | null;
  /** Unsettled by an earlier run and not met again yet, with the destinations that have them. */
  readonly #carried: Map<string, readonly string[]>;
  /** The last line that an earlier run has looked at. */
  readonly #before: Progress['to'];
  #to: Progress['to'];
  #file: number;
  #mark: Mark;
  #source: { readonly bytesRead: number } = { bytesRead: 0 };
  /** Bytes of the lines taken up by this run, and how much had been read before the first of them. */
  #taken = { bytes: 0, from: 0 };

  constructor(options: ReplayOptions) {
    this.#options = options;
    const { kept, routes, sending, config, perSecond, report, logger, inputs } = options;
    this.#counts = kept?.counts ?? createCounts(routes.sending.map(({ key }) => key));
    this.#rate = new Rate(perSecond, performance.now());
    this.#carried = new Map(kept?.unsettled.map(([file, line, done]) => [`${file}:${line}`, done]));
    this.#before = kept?.to ?? { file: 0, line: 0 };
    this.#to = this.#before;
    this.#file = kept?.from.file ?? 0;
    this.#mark = kept?.from ?? BEGINNING;
    this.#saver = sending && new Saver(() => this.#save());
    this.#sender =
      sending &&
      createSender({
        config,
        routes,
        attempts: sending.attempts,
        perSecond,
        onRejected: ({ place }, key, error) => report.onRejected(pathOf(inputs, place), place.line, key, error),
        onSettled: (event) => this.#settle(event),
        onGivenUp: report.onGivenUp,
        logger,
      });
  }

  get status(): ReplayStatus {
    const read = this.#shareRead;
    const settled = this.#taken.bytes === 0 ? 1 : 1 - this.#pending.bytes / this.#taken.bytes;
    const share = this.#taken.from + Math.max(0, read - this.#taken.from) * settled;
    return { counts: this.#counts, share, outlets: this.#sender?.reports() ?? [] };
  }

  get #shareRead(): number {
    const sum = (inputs: readonly Input[]): number => inputs.reduce((all, { size }) => all + size, 0);
    const { inputs } = this.#options;
    const inAll = sum(inputs);
    return inAll === 0 ? 1 : Math.min(1, (sum(inputs.slice(0, this.#file)) + this.#source.bytesRead) / inAll);
  }

  /**
   * Runs to the end of the files, or until `stop`.
   *
   * @returns whether everything is settled.
   * @throws {TailraceError} `INPUT_…`, `REJECTS_NOT_WRITABLE`, `CHECKPOINT_…`; what was settled by then is kept.
   */
  async run(): Promise<boolean> {
    const { stop } = this.#options;
    const saver = this.#saver;
    const over = saver === null ? stop : AbortSignal.any([stop, saver.failed]);
    await saver?.start();
    try {
      await this.#read(over);
      await this.#pending.wait('empty', over);
    } finally {
      await this.#sender?.stop(AbortSignal.timeout(GRACE_MS));
      await saver?.end();
    }
    return this.#file >= this.#options.inputs.length && this.#pending.size === 0;
  }

  async #read(over: AbortSignal): Promise<void> {
    const { inputs, report } = this.#options;
    for (; this.#file < inputs.length && !over.aborted; this.#next()) {
      const input = inputs[this.#file];
      if (input === undefined || input.identity.bytes === 0) continue;
      try {
        await this.#readFile(input, over);
      } catch (error) {
        if (codeOf(error) !== 'INPUT_DAMAGED') throw error;
        // What came before the damage has been replayed; the other files still can be.
        if (this.#file >= this.#before.file) this.#counts.bad += 1;
        report.onBad(input.identity.path, this.#to.line + 1, messageOf(error));
      }
      if (over.aborted) return;
    }
  }

  #next(): void {
    this.#file += 1;
    this.#mark = BEGINNING;
    this.#source = { bytesRead: 0 };
  }

  async #readFile({ identity, open }: Input, over: AbortSignal): Promise<void> {
    const stream = await open((source) => {
      this.#source = source;
    });
    try {
      for await (const { mark, texts, isCut } of readLines(stream, this.#mark, identity.bytes)) {
        this.#mark = mark;
        let { line } = mark;
        for (const text of texts) {
          if (over.aborted) return;
          line += 1;
          const event = this.#take(text, { file: this.#file, line, mark }, isCut);
          if (event !== null) await this.#send(event, over);
        }
      }
    } finally {
      stream.destroy();
    }
  }

  /** Looks at a line. @returns an event that is to be sent, pending by now. */
  #take(text: string | null, place: Place, isCut: boolean): PendingEvent | null {
    const { selection, routes, sending } = this.#options;
    const key = `${place.file}:${place.line}`;
    const done = this.#carried.get(key);
    const isBefore =
      place.file < this.#before.file || (place.file === this.#before.file && place.line <= this.#before.line);
    if (isBefore && done === undefined) return null;
    this.#carried.delete(key);
    if (!isBefore) this.#to = { file: place.file, line: place.line };
    if (text?.trim() === '') return null;
    if (!isBefore) this.#counts.lines += 1;
    if (text === null) return this.#bad(place, 'it is longer than any line of a log file');
    if (selection.rulesOut(text)) return this.#skip();

    // In memory of its own: values that are pieces of a chunk would keep the whole chunk.
    const own = Buffer.from(text);
    const read = this.#readLine(own.toString());
    if ('problem' in read) {
      return this.#bad(
        place,
        isCut ? `it breaks off, by a crash or since it is being written: ${read.problem}` : read.problem,
      );
    }
    if (!selection.selects(read)) return this.#skip();
    if (!read.hasId && !hasUniqueId(read.event)) return this.#bad(place, 'it has neither event_id nor event_unique_id');
    const ids = routes.of(read.event);
    if (typeof ids === 'string') {
      this.#counts.nowhere[ids] += 1;
      return null;
    }
    if (sending === null) {
      countSettled(this.#counts, ids.map(routes.keyOf), new Set());
      return null;
    }
    const event: PendingEvent = {
      place,
      text: own,
      batchEvent: toBatchEvent(read.event, FRESH, false),
      open: new Set(ids.filter((id) => !done?.includes(routes.keyOf(id)))),
      done: new Set(done),
      failed: new Set(),
    };
    this.#pending.add(event);
    if (this.#taken.bytes === 0 && isBefore) this.#taken.from = this.#shareRead;
    this.#taken.bytes += own.length;
    return event;
  }

  async #send(event: PendingEvent, over: AbortSignal): Promise<void> {
    for (let waitMs = this.#rate.waitMs(performance.now()); waitMs > 0; waitMs = this.#rate.waitMs(performance.now())) {
      await delay(Math.ceil(waitMs), over);
      if (over.aborted) return;
    }
    this.#rate.take(1, performance.now());
    if (event.open.size === 0) this.#settle(event);
    else this.#sender?.send(event);
    if (this.#options.sending?.rejects.isBehind === true) await this.#saver?.now();
    if (this.#pending.isFull) await this.#pending.wait('room', over);
  }

  #settle(event: PendingEvent): void {
    if (event.failed.size > 0) this.#options.sending?.rejects.add(event.text);
    countSettled(this.#counts, event.done, event.failed);
    this.#pending.delete(event);
  }

  #skip(): null {
    this.#counts.skipped += 1;
    return null;
  }

  #bad(place: Place, problem: string): null {
    this.#counts.bad += 1;
    this.#options.report.onBad(pathOf(this.#options.inputs, place), place.line, problem);
    return null;
  }

  /** What is on disk afterwards is the state at the call. */
  async #save(): Promise<void> {
    const { sending } = this.#options;
    if (sending === null) return;
    await sending.checkpoint.checkOurs();
    const { oldest } = this.#pending;
    const progress: MovingProgress = {
      from: oldest ? { file: oldest.file, ...oldest.mark } : { file: this.#file, ...this.#mark },
      to: this.#to,
      unsettled: [...this.#unsettled()],
      rejects: sending.rejects.position,
      counts: structuredClone(this.#counts),
    };
    await sending.rejects.flush();
    await sending.checkpoint.write({ ...sending.standing, ...progress });
  }

  *#unsettled(): Iterable<[number, number, string[]]> {
    for (const [key, done] of this.#carried) {
      const [file = 0, line = 0] = key.split(':').map(Number);
      yield [file, line, [...done]];
    }
    for (const { place, done } of this.#pending.all) yield [place.file, place.line, [...done]];
  }
}

const pathOf = (inputs: readonly Input[], { file }: Place): string => inputs[file]?.identity.path ?? '';

const hasUniqueId = (event: QueuedEvent): boolean => Boolean(event.value(event.shape.eventUniqueIdAt));
