// What the tests of the queue and the router share: a database after `init`, configurations in a few words, destinations
// that do as they are told, and the whole data path as src/pipeline.ts puts it together, with the log file in memory.

import { Readable, Transform, type TransformCallback } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { onTestFinished } from 'vitest';
import type { Config, LogFileConfig, RouteConfig } from '../../src/config/config.ts';
import { fingerprintOf } from '../../src/config/fingerprint.ts';
import type { DeliveryResult, Destination } from '../../src/destinations/destination.ts';
import type { Batch, Regime, Route } from '../../src/flow/batch.ts';
import type { Settled, Settlement } from '../../src/flow/settlement.ts';
import { FRESH, LOGGED } from '../../src/flow/standing.ts';
import { createLogger, type Logger } from '../../src/lib/logger.ts';
import { createNudge } from '../../src/lib/nudge.ts';
import { Secret } from '../../src/lib/secret.ts';
import { Due, type DueOptions } from '../../src/queue/due.ts';
import { InFlight } from '../../src/queue/in-flight.ts';
import { LaneDesk } from '../../src/queue/lane-desk.ts';
import { anythingDue, nowOf } from '../../src/queue/once.ts';
import { readQueue } from '../../src/queue/reader.ts';
import { enforce } from '../../src/queue/regime.ts';
import { Rights, type RightsOptions } from '../../src/queue/rights.ts';
import { initSchema } from '../../src/queue/schema.ts';
import { Session } from '../../src/queue/session.ts';
import { Settler } from '../../src/queue/settler.ts';
import { WHOLE } from '../../src/queue/slots.ts';
import { Sleep } from '../../src/queue/wake.ts';
import { Feeder } from '../../src/router/feeder.ts';
import { Router } from '../../src/router/router.ts';
import { createTestDatabase, type TestDatabase } from '../helpers/postgres.ts';

export const SILENT: Logger = createLogger({ level: 'silent' });

const LOG_FILE: LogFileConfig = { filename: '/in/memory', appendDate: false, mode: 0o640, createDirectory: false };

export interface RouteInWords {
  /** Event types; absent = all. */
  readonly types?: readonly string[];
  /** `left`, `dropped`, or the key of a destination. */
  readonly to: string;
  readonly enabled?: boolean;
  readonly maxAttempts?: number;
  readonly concurrency?: number;
  /** Milliseconds; default 5. */
  readonly retryMs?: number;
  /** Default false. */
  readonly continues?: boolean;
}

export interface ConfigInWords {
  readonly routes: readonly RouteInWords[];
  /** Default true. */
  readonly log?: boolean;
  readonly onDelivered?: Config['onDelivered'];
  readonly maxEventBytes?: number;
  readonly pollIntervalMs?: number;
}

export function configOf(words: ConfigInWords): Config {
  const routes = words.routes.map(routeOf);
  return {
    routes,
    logFile: words.log === false ? null : LOG_FILE,
    httpKeepAlive: 10,
    httpUserAgent: 'test',
    onDelivered: words.onDelivered ?? 'delete',
    expandJsonColumns: [],
    maxEventBytes: words.maxEventBytes ?? 16 * 1024 * 1024,
    pollIntervalMs: words.pollIntervalMs ?? 20,
    serverId: 'test',
    storeBounceDetailsLength: 1024,
    deliveryLog: null,
    fingerprint: fingerprintOf(routes),
  };
}

function routeOf(words: RouteInWords): RouteConfig {
  const { types, to, enabled = true, maxAttempts, concurrency = 10, retryMs = 5, continues = false } = words;
  const matches = { eventTypes: types ? new Set(types) : null, mailClasses: null };
  if (to === 'left')
    return { matches, destination: { type: 'leave_in_queue' }, key: 'leave_in_queue', enabled, continues };
  if (to === 'dropped')
    return { matches, destination: { type: 'drop_from_queue' }, key: 'drop_from_queue', enabled, continues };
  return {
    matches,
    key: to,
    enabled,
    continues,
    destination: {
      type: 'http_post',
      url: new Secret('http://127.0.0.1/'),
      format: 'json',
      columns: 'all',
      timeoutMs: 30_000,
      headers: [],
      auth: null,
      signingSecrets: [],
      tls: null,
      compress: false,
      publicOnly: false,
      proxy: null,
      concurrency,
      maxPerSecond: null,
      batch: null,
      retry: {
        initialMs: retryMs,
        maxMs: retryMs * 8,
        maxAttempts: maxAttempts ?? null,
        maxRetryAfterMs: 1_000,
      },
    },
  };
}

/** As `createQueue`, with somebody else's table. */
export const createForeignQueue = (sql: string): Promise<Queue> => createQueue({ table: sql });

/** A database after `init`, and a session on it; both end with the test. */
export async function createQueue(
  options: { readonly notify?: boolean; readonly table?: string } = {},
): Promise<Queue> {
  const database = await createTestDatabase();
  onTestFinished(() => database[Symbol.asyncDispose]());
  const open = async (): Promise<Session> => Session.open({ database: database.url, applicationName: 'test' });
  const session = await open();
  onTestFinished(() => session.close());
  if (options.table) await database.query(options.table);
  await initSchema(session, { notify: options.notify ?? false });
  return { database, session, open };
}

export interface Queue {
  readonly database: TestDatabase;
  readonly session: Session;
  readonly open: () => Promise<Session>;
}

/** Inserts events with these ids. */
export async function insert(
  { database }: Queue,
  ids: readonly (number | string)[],
  eventType = 'engine_open',
): Promise<void> {
  await database.query('INSERT INTO events (id, event_type, event_time) SELECT id, $2, 1 FROM unnest($1::int8[]) id', [
    ids.map(String),
    eventType,
  ]);
}

export async function acquireRights(queue: Queue, more: Partial<RightsOptions> = {}): Promise<Rights> {
  const rights = await Rights.acquire({
    open: queue.open,
    shard: WHOLE,
    journal: { id: '00000000-0000-0000-0000-000000000001', at: 'test:' },
    bringIn: async () => false,
    markProcessed: () => false,
    onWake: () => {},
    logger: SILENT,
    ...more,
  });
  if (rights === null) throw new Error('the queue is held by somebody else');
  onTestFinished(() => rights.release(false));
  return rights;
}

export type Mood = 'accepts' | 'fails' | 'hangs';

/** Every destination of a test by its key: what it does, and what it was given. */
export class Destinations {
  readonly #moods = new Map<string, Mood>();
  readonly #waiters = new Set<() => void>();
  /** `key id` for each delivery that was accepted, in order. */
  readonly accepted: string[] = [];
  readonly #onDeliver: (key: string, id: string) => void;

  constructor(onDeliver: (key: string, id: string) => void = () => {}) {
    this.#onDeliver = onDeliver;
  }

  /** Deliveries that hang at this moment. */
  get hanging(): number {
    return this.#waiters.size;
  }

  set(key: string, mood: Mood): void {
    this.#moods.set(key, mood);
    for (const wake of [...this.#waiters]) wake();
  }

  create(route: Route): Destination {
    const { type } = route.destination;
    const outcome = type === 'http_post' ? 'delivered' : type === 'leave_in_queue' ? 'left' : 'dropped';
    return {
      outcome,
      maxBatchEvents: 1,
      deliver: (events, { signal }) => Promise.all(events.map(({ id }) => this.#deliver(route.key, id, signal))),
      close: async () => {},
    };
  }

  async #deliver(key: string, id: string, signal: AbortSignal): Promise<DeliveryResult> {
    this.#onDeliver(key, id);
    while (this.#moods.get(key) === 'hangs' && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiters.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiters.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
    // An answer never comes in the same turn.
    await new Promise((resolve) => setImmediate(resolve));
    if (signal.aborted || this.#moods.get(key) === 'fails') return { ok: false, error: `${key} said no` };
    this.accepted.push(`${key} ${id}`);
    return { ok: true };
  }
}

/** The log file in memory: every line that was ever written, as the event's id. `hold` stops it before the next line. */
export class MemoryLog extends Transform {
  readonly #lines: string[];
  #held = false;
  #isWriting = false;

  constructor(lines: string[]) {
    super({ objectMode: true, readableHighWaterMark: 1, writableHighWaterMark: 1 });
    this.#lines = lines;
  }

  /** True when no line is written that the router has not got. */
  get quiet(): boolean {
    return !this.#isWriting && this.readableLength === 0;
  }

  /** For good: only the end of the data path is left. */
  hold(): void {
    this.#held = true;
  }

  override _transform(batch: Batch, _encoding: BufferEncoding, callback: TransformCallback): void {
    if (this.#held) return;
    this.#isWriting = true;
    if (batch.regime.config.logFile !== null) {
      for (const item of batch.events) {
        if (item.standing.logged) continue;
        this.#lines.push(item.event.id);
        item.standing = item.standing === FRESH ? LOGGED : { ...item.standing, logged: true, unlogged: false };
      }
    }
    setImmediate(() => {
      this.#isWriting = false;
      callback(null, batch);
    });
  }
}

export interface TenureOptions {
  readonly config: Config;
  readonly destinations?: Destinations;
  readonly lines?: string[];
  readonly once?: boolean;
  readonly onSettled?: (items: readonly Settled[]) => void;
  /** Opens the settling connection. */
  readonly openSettling?: () => Promise<Session>;
  readonly rights?: Partial<RightsOptions>;
}

/** One process's time as the writer, as src/processor.ts and src/pipeline.ts arrange it. */
export interface Tenure {
  readonly rights: Rights;
  readonly inFlight: InFlight;
  readonly router: Router;
  readonly settler: Settler;
  readonly regime: Regime;
  /** Settles with how the data path ended: an error, or null. */
  readonly ended: Promise<unknown>;
  /** Nothing is between being read and being settled for the first time. */
  readonly quiet: boolean;
  /** Writes no more lines from now on; what is in flight goes on. */
  hold(): void;
  enforce(config: Config): Promise<void>;
  /** Stops as SIGTERM does. */
  stop(): Promise<void>;
}

export async function startTenure(queue: Queue, options: TenureOptions): Promise<Tenure> {
  const { destinations = new Destinations(), lines = [], once = false } = options;
  let { config } = options;
  const nudge = createNudge();
  const rights = await acquireRights(queue, {
    markProcessed: () => config.onDelivered === 'mark_processed',
    onWake: nudge.nudge,
    ...options.rights,
  });
  const stop = new AbortController();
  const feeding = AbortSignal.any([stop.signal, rights.revoked]);
  let regime = await enforce(await rights.session(stop.signal), config, rights.epoch);
  const inFlight = new InFlight();
  const settle = (settlement: Settlement): void => void settler.write(settlement);
  const takeShared: DueOptions['takeShared'] = (...pair) => router.takeShared(...pair);
  const dueBefore = once ? await nowOf(await rights.session(stop.signal)) : null;
  const due = new Due({ rights, inFlight, takeShared, settle, dueBefore, signal: feeding });
  const settler = new Settler({
    epoch: rights.epoch,
    table: () => rights.table,
    open: options.openSettling ?? queue.open,
    inFlight,
    onSettled: options.onSettled ?? (() => {}),
    patienceMs: null,
    logger: SILENT,
    signal: rights.revoked,
  });
  const router: Router = new Router({
    createDestination: (route) => destinations.create(route),
    mayDeliver: () => rights.held,
    onLane: (lane) => {
      desk.welcome(lane);
      feeder.start(lane);
    },
    logger: SILENT,
    onRoom: (destinationId) => feeder.onRoom(destinationId),
    onDueLater: (destinationId, waitMs) => feeder.onDueLater(destinationId, waitMs),
    onAttempt: () => {},
    stop: stop.signal,
    graceMs: 500,
  });
  const desk = new LaneDesk({
    rights,
    lanes: () => router.lanes.open,
    regime: () => regime,
    onDue: (destinationId) => feeder.onDue(destinationId),
    logger: SILENT,
    signal: feeding,
  });
  await desk.open();
  const feeder = new Feeder({
    due,
    router,
    regime: () => regime,
    giveBack: (ids) => {
      for (const id of ids) inFlight.release(id);
    },
    logger: SILENT,
    signal: feeding,
  });
  const reader = Readable.from(
    readQueue({
      rights,
      inFlight,
      due,
      sleep: new Sleep(nudge),
      regime: () => regime,
      settle,
      finished: once ? async (session) => !(await anythingDue(session, rights.table.shard, regime, dueBefore)) : null,
      logger: SILENT,
      signal: stop.signal,
    }),
    { objectMode: true, highWaterMark: 1 },
  );
  const log = new MemoryLog(lines);
  const pumping = setInterval(() => router.lanes.pump(), 50);
  const ended = pipeline(reader, log, router, settler, { signal: rights.revoked })
    .then(
      () => null,
      (error: unknown) => (rights.revoked.aborted ? rights.revoked.reason : error),
    )
    .finally(async () => {
      clearInterval(pumping);
      stop.abort(new Error('ended'));
      await feeder.ended();
    });
  onTestFinished(async () => {
    stop.abort(new Error('the test has ended'));
    settler.destroy();
    await ended;
  });
  return {
    rights,
    inFlight,
    router,
    settler,
    ended,
    get regime() {
      return regime;
    },
    get quiet() {
      return log.quiet && router.quiet && router.readableLength === 0 && settler.writableLength === 0;
    },
    hold: () => log.hold(),
    enforce: async (next) => {
      config = next;
      while (regime.config !== next) {
        regime = await enforce(await rights.session(stop.signal), next, rights.epoch).catch(() => regime);
      }
      nudge.nudge();
    },
    stop: async () => {
      stop.abort(new Error('stopped'));
      await ended;
      await desk.ended();
      await rights.release(inFlight.size === 0);
    },
  };
}
