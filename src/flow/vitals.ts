// How much and how fast the stages work, counted for whoever watches the process (`run --http`). Plain numbers that grow,
// touched once a batch or a request; without a watcher there is no such object and nothing is counted. It outlives a
// tenure, so that the figures of a process go on growing when it becomes the writer again. What the process is doing
// now is told in `life.ts`.

import { canonicalType, findEventType } from '../event/catalog.ts';
import { Histogram } from '../lib/histogram.ts';
import { type Batch, type Regime, routeTo } from './batch.ts';

/** Seconds, for what a disk or a database does. */
export const QUICK_BOUNDS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];
/** Seconds, for what goes over a network. */
export const DELIVERY_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Series of destinations that are configured no more are kept up to this many. */
const MOST_DESTINATIONS = 200;
/** Spellings of the catalog's names that are remembered. */
const MOST_NAMES = 1_000;

/**
 * What came of an attempt: accepted; else the class of the HTTP status, the database's refusal, or no answer at all
 * (connection, TLS, timeout).
 */
export const ANSWERS = ['accepted', '1xx', '2xx', '3xx', '4xx', '5xx', 'sql', 'none'] as const;
export type Answer = (typeof ANSWERS)[number];

export interface LogVitals {
  bytes: number;
  batches: number;
  /** Times that another file was found or made at the path. */
  rotations: number;
  /** Milliseconds since the epoch; null = not yet. */
  rotatedAtMs: number | null;
  /** fdatasync of the log file, of the journal; seconds. */
  readonly sync: Histogram;
  readonly journalSync: Histogram;
}

export interface DestinationVitals {
  /** `http_post`, `custom_sql`, …: what a status means depends on it. */
  type: string;
  readonly answers: Record<Answer, number>;
  /** Events whose last permitted attempt failed. */
  parked: number;
  /** Seconds from the line on disk to the acceptance, of events that were accepted without having waited in PostgreSQL. */
  readonly latency: Histogram;
  /** Seconds of a request: one event's, or a batch's. */
  readonly requests: Histogram;
}

export class Vitals {
  readonly log: LogVitals = {
    bytes: 0,
    batches: 0,
    rotations: 0,
    rotatedAtMs: null,
    sync: new Histogram(QUICK_BOUNDS),
    journalSync: new Histogram(QUICK_BOUNDS),
  };
  /** Seconds of a transaction that settles events. */
  readonly settling = new Histogram(QUICK_BOUNDS);
  #rests = 0;
  /** Batches that were read. */
  batches = 0;
  /** Catalog name, or `other`, → events read. */
  readonly eventTypes = new Map<string, number>();
  readonly destinations = new Map<string, DestinationVitals>();
  /** What rows say → what they are counted under. */
  readonly #typeOf = new Map<string, string>();

  /** How often the reader found nothing and rested. */
  get rests(): number {
    return this.#rests;
  }

  rested(): void {
    this.#rests += 1;
  }

  /** Counts the batches on their way. */
  async *counted(batches: AsyncIterable<Batch>): AsyncGenerator<Batch> {
    for await (const batch of batches) {
      this.#read(batch);
      yield batch;
    }
  }

  /** Has the answers of a new lane counted; the counts of its destination from before go on. */
  watch(lane: { readonly destinationId: number; vitals: DestinationVitals | null }, regime: Regime | null): void {
    const route = routeTo(lane.destinationId, regime);
    if (route === undefined) return;
    lane.vitals = this.#of(route.key, route.destination.type);
    this.#forget(new Set(regime?.routes.map(({ key }) => key)));
  }

  #read(batch: Batch): void {
    if (batch.events.length === 0) return;
    this.batches += 1;
    // Runs of one type are usual, and comparing costs less than looking up.
    let type = '';
    let run = 0;
    for (const { event } of batch.events) {
      const next = event.eventType ?? '';
      if (next !== type) {
        if (run > 0) this.#count(type, run);
        type = next;
        run = 0;
      }
      run += 1;
    }
    this.#count(type, run);
  }

  #of(key: string, type: string): DestinationVitals {
    const known = this.destinations.get(key);
    if (known) {
      known.type = type;
      return known;
    }
    const made: DestinationVitals = {
      type,
      answers: { accepted: 0, '1xx': 0, '2xx': 0, '3xx': 0, '4xx': 0, '5xx': 0, sql: 0, none: 0 },
      parked: 0,
      latency: new Histogram(DELIVERY_BOUNDS),
      requests: new Histogram(DELIVERY_BOUNDS),
    };
    this.destinations.set(key, made);
    return made;
  }

  /** Forgets destinations that are not in force, where there are too many. */
  #forget(inForce: ReadonlySet<string>): void {
    for (const key of this.destinations.keys()) {
      if (this.destinations.size <= MOST_DESTINATIONS) return;
      if (!inForce.has(key)) this.destinations.delete(key);
    }
  }

  #count(name: string, events: number): void {
    let type = this.#typeOf.get(name);
    if (type === undefined) {
      type = findEventType(name) ? canonicalType(name) : 'other';
      // Producers may write anything there.
      if (type !== 'other' && this.#typeOf.size < MOST_NAMES) this.#typeOf.set(name, type);
    }
    this.eventTypes.set(type, (this.eventTypes.get(type) ?? 0) + events);
  }
}
