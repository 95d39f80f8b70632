// The first stage: reads the queue table in batches, for ever or once. Each round looks in five places, all through the
// same filter (rows.ts): the pages behind the last id read, the gap list, what an older generation decided, a window of
// the sweep; and when nothing is found it sleeps. An async generator: a batch is read when the stages ask for it, so
// back-pressure throttles PostgreSQL, and no query is open while it does.

import type { QueuedEvent } from '../event/event.ts';
import { type Batch, type BatchEvent, MAX_BATCH_BYTES, MAX_BATCH_EVENTS, type Regime } from '../flow/batch.ts';
import type { Settlement } from '../flow/settlement.ts';
import { FRESH } from '../flow/standing.ts';
import { delay } from '../lib/delay.ts';
import { codeOf, messageOf } from '../lib/errors.ts';
import { createThrottle, type Logger } from '../lib/logger.ts';
import type { Due } from './due.ts';
import { Gaps } from './gaps.ts';
import type { InFlight } from './in-flight.ts';
import { nextPage, type PagePosition } from './pages.ts';
import { endsTenure, type Rights } from './rights.ts';
import { admitNew, excludedKinds, fetchRows, findRows } from './rows.ts';
import type { Session } from './session.ts';
import { MAX_ID, SNAPSHOT_SQL } from './sql/read.ts';
import { Sweep } from './sweep.ts';
import type { Sleep } from './wake.ts';

/** How often the catalog and the decisions of older generations are looked at when nothing asks for it. */
const LOOK_INTERVAL_MS = 5_000;
const FORGET_INTERVAL_MS = 1_000;
const ERROR_PAUSE_MS = 500;
const ONCE_PAUSE_MS = 10;

export interface ReaderOptions {
  readonly rights: Rights;
  readonly inFlight: InFlight;
  readonly due: Due;
  readonly sleep: Sleep;
  /** An empty list, for who wants to know its size. */
  readonly gaps?: Gaps | undefined;
  /** The configuration in force from the next batch on. */
  readonly regime: () => Regime;
  /** Takes what needs no routing to the settler: rows that are too large, orphans. */
  readonly settle: (settlement: Settlement) => void;
  /** `run --once`: asked when nothing was found and nothing is in flight; true ends the stream. null = run for ever. */
  readonly finished: ((session: Session) => Promise<boolean>) | null;
  readonly logger: Logger;
  /** Ends the stream after the batch in hand. */
  readonly signal: AbortSignal;
}

/** Reads the queue until the signal, the end of a `run --once`, or the loss of the right to write. */
export async function* readQueue(options: ReaderOptions): AsyncGenerator<Batch> {
  const reader = new Reader(options);
  const { rights, sleep, signal, logger } = options;
  const warn = createThrottle((fields, message) => logger.error(fields, message));
  let announced: Regime | null = null;
  while (!signal.aborted) {
    try {
      const session = await rights.session(signal);
      let found = false;
      if (announced !== (await reader.begin(session))) {
        // An empty batch takes a new configuration through the stages even when there is nothing to read.
        announced = reader.regime;
        yield toBatch([], announced);
      }
      for await (const events of reader.round(session)) {
        found = true;
        if (events.length === 0) continue;
        sleep.active();
        yield toBatch(events, reader.regime);
        if (signal.aborted) return;
      }
      if (await reader.rest(session, found)) return;
    } catch (error) {
      if (signal.aborted) return;
      if (endsTenure(error)) throw error;
      warn({ error: messageOf(error), code: codeOf(error) }, 'cannot read the queue; trying again until it works');
      await delay(ERROR_PAUSE_MS, signal);
      await reader.relook();
    }
  }
}

function toBatch(events: readonly BatchEvent[], regime: Regime): Batch {
  let bytes = 0;
  for (const { event } of events) bytes += event.bytes;
  return { regime, events, bytes };
}

class Reader {
  readonly #options: ReaderOptions;
  readonly #gaps: Gaps;
  readonly #sweep = new Sweep(performance.now());
  readonly #position: PagePosition = { after: null, gapsFrom: null, isTableEmpty: false };
  #regime: Regime;
  #lookedMs = performance.now();
  #forgotMs = 0;
  #idle = false;
  /** The generation under which nothing older was left to decide. */
  #decidedGeneration = 0;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#regime = options.regime();
    this.#gaps = options.gaps ?? new Gaps();
  }

  /** The configuration of the round's batches. */
  get regime(): Regime {
    return this.#regime;
  }

  /** Begins a round under the configuration that is in force now. */
  async begin(session: Session): Promise<Regime> {
    const regime = this.#options.regime();
    // Which rows are ours may depend on it; a table that does not fit it is an error before anything is read under it.
    if (regime !== this.#regime) await this.#options.rights.refreshTable(session);
    // A log file switched on logs what is still queued: from the first row on.
    if (this.#regime.config.logFile === null && regime.config.logFile !== null) this.#position.after = null;
    this.#regime = regime;
    return regime;
  }

  /** Looks everywhere once. Yields what passed the filter; an empty list says that something was done all the same. */
  async *round(session: Session): AsyncGenerator<readonly BatchEvent[]> {
    yield* this.#pages(session);
    yield* this.#byId(session, this.#gaps.due(performance.now()));
    if (this.#regime.generation !== this.#decidedGeneration) yield* this.#older();
    yield* this.#sweepOnce(session);
  }

  /** After a round. @returns true when the stream is at its end. */
  async rest(session: Session, found: boolean): Promise<boolean> {
    this.#idle = !found;
    const { rights, sleep, regime, finished, inFlight, signal } = this.#options;
    const now = performance.now();
    if (now - this.#lookedMs > LOOK_INTERVAL_MS) {
      this.#lookedMs = now;
      this.#decidedGeneration = 0;
      if (await rights.refreshTable(session)) this.#options.logger.info('the shape of the queue table has changed');
    }
    if (this.#gaps.size > 0 && now - this.#forgotMs > FORGET_INTERVAL_MS) await this.#forgetGaps(session, now);
    if (found) await sleep.awake(session, rights.table);
    else if (finished) {
      const decided = this.#decidedGeneration === this.#regime.generation;
      if (decided && inFlight.size === 0 && (await finished(session))) return true;
      await delay(ONCE_PAUSE_MS, signal);
    } else await sleep.rest(session, rights.table, regime().config.pollIntervalMs, signal);
    return false;
  }

  /** After an error: the table may have another shape by now. */
  async relook(): Promise<void> {
    const { rights, signal } = this.#options;
    if (!rights.held) return;
    await rights.refreshTable(await rights.session(signal)).catch(() => undefined);
  }

  async *#pages(session: Session): AsyncGenerator<readonly BatchEvent[]> {
    const { inFlight, rights } = this.#options;
    const ask = inFlight.ask();
    try {
      const page = await nextPage(session, rights.table, this.#position, this.#regime.config, this.#gaps, this.#idle);
      if (!page) return;
      yield await this.#admit(session, page.events, page.tooLarge, ask);
      // Only now: what was read but not taken downstream must be read again after an error.
      this.#position.after = page.after;
    } finally {
      ask.close();
    }
  }

  async *#older(): AsyncGenerator<readonly BatchEvent[]> {
    const events = await this.#options.due.takeOlder(this.#regime, MAX_BATCH_BYTES);
    if (events === null) this.#decidedGeneration = this.#regime.generation;
    else if (events.length > 0) yield events;
  }

  async *#sweepOnce(session: Session): AsyncGenerator<readonly BatchEvent[]> {
    const { inFlight, rights, due } = this.#options;
    const last = this.#position.after === null ? MAX_ID : BigInt(this.#position.after);
    const kinds = excludedKinds(this.#regime.config.logFile !== null);
    const ask = inFlight.ask();
    try {
      const { isTableEmpty } = this.#position;
      const window = await this.#sweep.next(session, rights.table, kinds, last, performance.now(), isTableEmpty);
      if (!window) return;
      const orphaned = window.orphaned.filter((id) => !ask.seen(id));
      for (let at = 0; at < orphaned.length; at += MAX_BATCH_EVENTS) {
        await due.clearOrphans(session, this.#regime, orphaned.slice(at, at + MAX_BATCH_EVENTS), ask);
      }
      yield* this.#byId(
        session,
        window.fresh.filter((id) => !ask.seen(id)),
      );
    } finally {
      ask.close();
    }
  }

  /** Fetches and admits rows by id: late commits. */
  async *#byId(session: Session, ids: readonly string[]): AsyncGenerator<readonly BatchEvent[]> {
    const { inFlight, rights } = this.#options;
    for (let at = 0; at < ids.length; at += MAX_BATCH_EVENTS) {
      const ask = inFlight.ask();
      try {
        const found = await findRows(
          session,
          rights.table,
          ids.slice(at, at + MAX_BATCH_EVENTS),
          this.#regime.config.maxEventBytes,
        );
        if (found.tooLarge.length > 0) yield await this.#admit(session, [], found.tooLarge, ask);
        for (const chunk of found.chunks) {
          const events = await fetchRows(session, rights.table, chunk);
          yield await this.#admit(session, events, [], ask);
          for (const { id } of events) this.#gaps.delete(id);
        }
      } finally {
        ask.close();
      }
    }
  }

  async #admit(
    session: Session,
    events: readonly QueuedEvent[],
    tooLarge: readonly (readonly [string, number])[],
    ask: ReturnType<InFlight['ask']>,
  ): Promise<readonly BatchEvent[]> {
    const { inFlight } = this.#options;
    const { config } = this.#regime;
    if (tooLarge.length > 0) this.#park(tooLarge, ask);
    return admitNew(session, events, ask, inFlight, config.logFile !== null);
  }

  /** Parks rows that may not even be fetched, alone: those beside them go on. */
  #park(tooLarge: readonly (readonly [string, number])[], ask: ReturnType<InFlight['ask']>): void {
    const { inFlight, settle, logger } = this.#options;
    const { config, generation } = this.#regime;
    const parked = tooLarge.filter(([id]) => !ask.seen(id));
    for (const [id] of parked) {
      inFlight.add(id);
      this.#gaps.delete(id);
    }
    if (parked.length === 0) return;
    logger.error(
      { events: parked.map(([id]) => id).slice(0, 20), count: parked.length, max_event_bytes: config.maxEventBytes },
      'parked events that are too large: neither logged nor delivered; raise max_event_bytes, then run tailrace retry --parked',
    );
    settle({
      onDelivered: config.onDelivered,
      items: parked.map(([id, bytes]) => {
        const error = `too_large: ${bytes} bytes of text, max_event_bytes is ${config.maxEventBytes}`;
        const failure = { destinationId: 0, generation, attempts: 0, waitMs: 0, parked: true, error };
        return {
          id,
          from: FRESH,
          to: { ...FRESH, tooLarge: true, failed: [failure] },
          outcome: 'parked',
          inFlight: false,
        };
      }),
    });
  }

  async #forgetGaps(session: Session, now: number): Promise<void> {
    this.#forgotMs = now;
    const [row] = await session.query(SNAPSHOT_SQL, [], 'snapshot');
    if (row) this.#gaps.forget(now, { xmin: BigInt(row[0] ?? 0), xmax: BigInt(row[1] ?? 0) });
  }
}
