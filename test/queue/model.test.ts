// A random model test of the state kept in PostgreSQL: producers, destinations, configurations, connections and owners
// misbehave for a while, then all is well again and everything must have gone where it belongs. A failure names its
// seed: `MODEL_SEED=7 npx vitest run --config .vitest.config.ts test/queue/model.test.ts`.

import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { expect, test } from 'vitest';
import type { Settled } from '../../src/flow/settlement.ts';
import { TailraceError } from '../../src/lib/errors.ts';
import { retry } from '../../src/queue/retry.ts';
import { Session } from '../../src/queue/session.ts';
import { readStatus } from '../../src/queue/status.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { type CommitSwallower, createCommitSwallower } from './proxy.ts';
import {
  type ConfigInWords,
  configOf,
  createQueue,
  Destinations,
  type Mood,
  type Queue,
  type RouteInWords,
  startTenure,
  type Tenure,
} from './world.ts';

const SEEDS = process.env.MODEL_SEED?.split(',').map(Number) ?? [1, 2, 3, 4, 5, 6];
const STEPS = 180;
const TYPES = ['engine_open', 'engine_click', 'bounce_all', 'scomp'];
const KEYS = ['A', 'B', 'C'];
const MAX_EVENT_BYTES = 2_000;

type Random = (below: number) => number;

/** mulberry32. */
function seeded(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)] as T; // never empty here

interface Gate {
  passed(): Promise<void>;
  close(): void;
  open(): void;
}

function createGate(): Gate {
  let opened = Promise.resolve();
  let open = (): void => {};
  return {
    passed: () => opened,
    close: () => {
      opened = new Promise((resolve) => {
        open = resolve;
      });
    },
    open: () => open(),
  };
}

class Model {
  readonly #queue: Queue;
  readonly #random: Random;
  readonly #proxy: CommitSwallower;
  readonly #producers: pg.Client[];
  readonly #busy = new Set<pg.Client>();
  readonly #inserting = new Set<Promise<void>>();
  readonly #onDelivered: 'delete' | 'mark_processed';
  readonly #logSwitches: boolean;
  readonly destinations: Destinations;
  readonly lines: string[] = [];
  /** Committed events. */
  readonly committed = new Map<string, { readonly type: string; readonly tooLarge: boolean; readonly at: number }>();
  readonly deletedByHand = new Set<string>();
  /** Settled as delivered or dropped; `at`: how many configurations there had been by then. */
  readonly gone = new Map<string, Settled & { readonly at: number }>();
  /** `key id` of pairs whose delivery is settled while the row stays. */
  readonly done = new Set<string>();
  readonly configs: ConfigInWords[] = [];
  readonly deliveredWithoutLine = new Set<string>();
  readonly wrong: string[] = [];
  readonly happened = new Map<string, number>();
  config: ConfigInWords;
  tenure: Tenure | undefined;
  /** What the owner waits for before it opens a connection: a stalled one waits. */
  #gates = { settling: createGate(), reading: createGate() };

  /** Some runs have none: then nothing is delivered twice. */
  readonly crashes: boolean;

  constructor(queue: Queue, random: Random, proxy: CommitSwallower, producers: pg.Client[], crashes: boolean) {
    this.crashes = crashes;
    this.#queue = queue;
    this.#random = random;
    this.#proxy = proxy;
    this.#producers = producers;
    this.#onDelivered = random(2) === 0 ? 'delete' : 'mark_processed';
    this.#logSwitches = random(2) === 0;
    this.config = this.#inForce(this.#newConfig());
    this.destinations = new Destinations((key, id) => {
      if (this.done.has(`${key} ${id}`)) this.wrong.push(`${id} was delivered to ${key} again`);
      if (this.gone.has(id)) this.wrong.push(`${id} was delivered to ${key} after it had been settled`);
      if (this.config.log !== false && !this.#logSwitches && !this.lines.includes(id))
        this.wrong.push(`${id} was delivered without a line`);
    });
  }

  #inForce(config: ConfigInWords): ConfigInWords {
    this.configs.push(config);
    return config;
  }

  #newConfig(): ConfigInWords {
    const random = this.#random;
    const targets = [...KEYS, ...KEYS, 'left', 'dropped'];
    const settings = new Map(
      KEYS.map((key) => [
        key,
        { enabled: random(6) > 0, ...(key === 'C' ? { maxAttempts: 1 + random(2) } : {}), retryMs: 5 },
      ]),
    );
    const route = (types?: readonly string[]): RouteInWords => {
      const to = pick(random, targets);
      return { ...(types ? { types } : {}), to, ...settings.get(to), continues: random(3) === 0 };
    };
    const first = random(2) === 0 ? [{ ...route(), continues: true }] : [];
    return {
      routes: [...first, ...TYPES.filter(() => random(2) === 0).map((type) => route([type])), route()],
      log: !this.#logSwitches || random(3) > 0,
      onDelivered: this.#onDelivered,
      maxEventBytes: MAX_EVENT_BYTES,
    };
  }

  async enter(): Promise<void> {
    const gates = { settling: createGate(), reading: createGate() };
    this.#gates = gates;
    const open = async (url: string, gate: Gate): Promise<Session> => {
      await gate.passed();
      return Session.open({ database: url, applicationName: 'owner' });
    };
    this.tenure = await startTenure(this.#queue, {
      config: configOf(this.config),
      destinations: this.destinations,
      lines: this.lines,
      openSettling: () => open(this.#proxy.url, gates.settling),
      rights: { open: () => open(this.#queue.database.url, gates.reading) },
      onSettled: (items) => this.#onSettled(items),
    });
  }

  #onSettled(items: readonly Settled[]): void {
    const { regime } = this.tenure ?? {};
    for (const item of items) {
      if (item.outcome === 'parked' && !item.to?.tooLarge)
        this.happened.set('parked', (this.happened.get('parked') ?? 0) + 1);
      for (const { key, destinationId } of regime?.routes ?? []) {
        if (destinationId > 0 && item.to?.done.includes(destinationId)) this.done.add(`${key} ${item.id}`);
      }
      if (item.outcome !== 'delivered' && item.outcome !== 'dropped') continue;
      if (this.gone.has(item.id)) this.wrong.push(`${item.id} was settled twice`);
      this.gone.set(item.id, { ...item, at: this.configs.length });
      if (!this.lines.includes(item.id)) this.deliveredWithoutLine.add(item.id);
    }
  }

  async step(): Promise<void> {
    const random = this.#random;
    const operations: [weight: number, name: string, run: () => unknown][] = [
      [40, 'insert', () => this.#insert()],
      [12, 'mood', () => this.#changeMood()],
      [8, 'paused or resumed', () => this.#pause()],
      [5, 'reconfigure', () => this.#reconfigure()],
      [4, 'settler killed', () => this.#kill('settler')],
      [3, 'reader killed', () => this.#kill('reader')],
      [5, 'commit swallowed', () => this.#proxy.arm()],
      [4, 'deleted by hand', () => this.#deleteByHand()],
      [this.crashes ? 3 : 0, 'take-over', () => this.#takeOver()],
      [2, 'restart', () => this.#restart()],
      [2, 'retry', () => this.#retry()],
    ];
    let at = random(operations.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, name, run] of operations) {
      at -= weight;
      if (at >= 0) continue;
      this.happened.set(name, (this.happened.get(name) ?? 0) + 1);
      await run();
      break;
    }
    await sleep(random(25));
  }

  #changeMood(): void {
    const key = pick(this.#random, KEYS);
    // C gives events up after an attempt or two: it fails often.
    const moods: readonly Mood[] =
      key === 'C' ? ['accepts', 'fails', 'fails'] : ['accepts', 'accepts', 'fails', 'hangs'];
    this.destinations.set(key, pick(this.#random, moods));
  }

  /** As the desk does it; a lane that is made later is not paused. */
  #pause(): void {
    for (const lane of this.tenure?.router.lanes.open ?? []) lane.setPaused(this.#random(2) === 0);
  }

  #insert(): void {
    const random = this.#random;
    const client = this.#producers.find((each) => !this.#busy.has(each));
    if (!client) return;
    this.#busy.add(client);
    const count = 1 + random(random(8) === 0 ? 120 : 25);
    const fate = random(10);
    const holdMs = random(3) === 0 ? random(60) : 0;
    const before = this.configs.length;
    const work = async (): Promise<void> => {
      await client.query('BEGIN');
      const added: [string, string, boolean][] = [];
      for (let at = 0; at < count; at += 1) {
        if (random(20) === 0) await client.query(`SELECT nextval('events_seq')`);
        const type = pick(random, TYPES);
        const tooLarge = random(60) === 0;
        const { rows } = await client.query(
          `INSERT INTO events (event_type, event_time, bounce_text) VALUES ($1, 1, $2) RETURNING id`,
          [type, tooLarge ? 'x'.repeat(MAX_EVENT_BYTES + 100) : 'y'],
        );
        added.push([rows[0].id, type, tooLarge]);
      }
      await sleep(holdMs);
      if (fate === 0) return void (await client.query('ROLLBACK'));
      // Before COMMIT is answered an event may be delivered already.
      for (const [id, type, tooLarge] of added) this.committed.set(id, { type, tooLarge, at: before });
      await client.query('COMMIT');
    };
    const inserting = work().finally(() => {
      this.#busy.delete(client);
      this.#inserting.delete(inserting);
    });
    this.#inserting.add(inserting);
  }

  async #reconfigure(): Promise<void> {
    this.config = this.#inForce(this.#newConfig());
    await this.tenure?.enforce(configOf(this.config));
  }

  async #kill(which: 'settler' | 'reader'): Promise<void> {
    // The settler comes through the proxy, so over TCP or from another address than the reader; only it is in a transaction.
    await this.#queue.database.query(
      `SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE a.datname = current_database() AND a.application_name = 'owner'
       AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.objsubid = 2) = $1`,
      [which === 'reader'],
    );
  }

  async #deleteByHand(): Promise<void> {
    const rows = await this.#queue.database.query<{ id: string }>(
      `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE processed IS NOT TRUE ORDER BY random() LIMIT 3) RETURNING id`,
    );
    for (const { id } of rows) this.deletedByHand.add(id);
  }

  /** Another process takes the queue over from one that is stalled, with answers in hand that it has not settled. */
  async #takeOver(): Promise<void> {
    const old = this.tenure;
    if (!old) return;
    const { settling, reading } = this.#gates;
    for (const key of KEYS) this.destinations.set(key, 'hangs');
    this.#insert();
    // So that it has answers in hand; a configuration that leaves or drops everything has none.
    await waitFor(() => this.destinations.hanging > 0, { timeoutMs: 1_000, intervalMs: 2 }).catch(() => undefined);
    // Without a journal nothing may be between its line and its first settling.
    old.hold();
    // A batch read without a log file may be held back for good by a lane that hangs; it has no line to wait for.
    const mayHang = this.configs.slice(-3).some(({ log }) => log === false);
    const timeoutMs = mayHang ? 3_000 : 30_000;
    await waitFor(() => old.quiet, { what: 'quiet', intervalMs: 2, timeoutMs }).catch((error) => {
      if (!mayHang) throw error;
    });
    settling.close();
    reading.close();
    await this.#kill('settler');
    for (const key of KEYS) this.destinations.set(key, 'accepts');
    await sleep(this.#random(15));
    const isFree = async (): Promise<boolean> => {
      await this.#kill('reader'); // again if it was just about to connect
      return (await this.#lockHolders()) === 0;
    };
    await waitFor(isFree, { what: 'the locks to be free' });
    await this.enter();
    // The old owner wakes up: first where it settles, and only then where it would learn that it was replaced.
    settling.open();
    const refused = await Promise.race([old.ended, sleep(2_000)]);
    if (refused) this.happened.set('settling refused', (this.happened.get('settling refused') ?? 0) + 1);
    reading.open();
    const error = await old.ended;
    if (!(error instanceof TailraceError && error.code === 'REVOKED'))
      this.wrong.push(`the old owner ended with ${error}`);
    await old.stop();
  }

  /** A person tries again what was given up. */
  async #retry(): Promise<void> {
    const wanted = { destination: 'C', id: null, parked: true };
    await retry(this.#queue.session, wanted).catch(() => undefined); // before C was ever named
  }

  async #lockHolders(): Promise<number> {
    const rows = await this.#queue.database.query(
      `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname = current_database() AND locktype = 'advisory' AND objsubid = 2 LIMIT 1`,
    );
    return rows.length;
  }

  async #restart(): Promise<void> {
    await this.tenure?.stop();
    const error = await this.tenure?.ended;
    if (error) this.wrong.push(`a stop ended with ${error}`);
    await this.enter();
  }

  /** All faults end, and everything can go where it belongs. */
  async calmDown(): Promise<void> {
    await Promise.all(this.#inserting);
    for (const key of KEYS) this.destinations.set(key, 'accepts');
    for (const lane of this.tenure?.router.lanes.open ?? []) lane.setPaused(false);
    const { routes, ...rest } = this.#newConfig();
    this.config = this.#inForce({
      ...rest,
      log: true,
      routes: routes.map((route) => ({ ...route, enabled: true })),
    });
    await this.tenure?.enforce(configOf(this.config));
  }

  /** Where a configuration sends an event. */
  targetsOf(type: string, { routes }: ConfigInWords = this.config): string[] {
    const matching = routes.filter(({ types }) => types === undefined || types.includes(type));
    const last = matching.findIndex(({ continues }) => !continues);
    return (last < 0 ? matching : matching.slice(0, last + 1)).map(({ to }) => to);
  }

  /** Whether every destination that some configuration of the event's time names has it. */
  isServed(id: string): boolean {
    const [event, gone] = [this.committed.get(id), this.gone.get(id)];
    if (!event || !gone) return false;
    return this.configs.slice(Math.max(0, event.at - 2), gone.at).some((config) => {
      const targets = this.targetsOf(event.type, config);
      return (
        !targets.includes('left') &&
        targets.every((to) => to === 'dropped' || this.destinations.accepted.includes(`${to} ${id}`))
      );
    });
  }
}

interface Pending {
  readonly event_id: string;
  readonly destination_id: number;
  readonly parked: boolean;
}

async function pendingOf({ database }: Queue): Promise<Pending[]> {
  return database.query<Pending & pg.QueryResultRow>(
    'SELECT event_id, destination_id, parked FROM tailrace.pending ORDER BY 1',
  );
}

/** The ledger as `kind destination generation` → ids. */
async function ledgerOf({ database }: Queue): Promise<Map<string, string[]>> {
  const rows = await database.query<{ name: string; id: string }>(
    `SELECT kind::text || ' ' || destination_id || ' ' || generation AS name, (block << 10) + bit AS id
     FROM tailrace.ledger, generate_series(0, 1023) bit WHERE get_bit(ids, bit) = 1 ORDER BY 1, 2`,
  );
  const ledger = new Map<string, string[]>();
  for (const { name, id } of rows) ledger.set(name, [...(ledger.get(name) ?? []), id]);
  return ledger;
}

const queued = async ({ database }: Queue): Promise<string[]> =>
  (await database.query<{ id: string }>('SELECT id FROM events WHERE processed IS NOT TRUE ORDER BY id')).map(
    ({ id }) => id,
  );

const totals = new Map<string, number>();
let events = 0;

async function runModel(seed: number): Promise<void> {
  const random = seeded(seed);
  const queue = await createQueue({ notify: random(2) === 0 });
  await using proxy = await createCommitSwallower(queue.database.url);
  const producers = await Promise.all(Array.from({ length: 6 }, () => queue.database.client()));
  const model = new Model(queue, random, proxy, producers, seed % 3 !== 0);
  await model.enter();
  for (let step = 0; step < STEPS; step += 1) await model.step();
  await model.calmDown();

  const stays = (id: string): boolean => {
    const event = model.committed.get(id);
    return event === undefined || event.tooLarge || model.targetsOf(event.type).includes('left');
  };
  const isDrained = async (): Promise<string[]> => {
    const pending = await pendingOf(queue);
    const parked = new Set(pending.filter((each) => each.parked).map(({ event_id }) => event_id));
    const ledger = await ledgerOf(queue);
    const unsettled = [...ledger].filter(([name]) => /^[Sw]/.test(name)).flatMap(([, ids]) => ids);
    const there = new Set(await queued(queue));
    const generation = model.tenure?.regime.generation;
    const old = [...ledger]
      .filter(([name]) => name.startsWith('l') && name !== `l 0 ${generation}`)
      .flatMap(([, ids]) => ids);
    const logged = new Set([...(ledger.get('L 0 0') ?? []), ...(ledger.get('X 0 0') ?? [])]);
    return [
      ...[...there].filter((id) => !stays(id) && !parked.has(id)).map((id) => `${id} is still queued`),
      ...[...there].filter((id) => !logged.has(id)).map((id) => `${id} is queued and neither logged nor too large`),
      ...pending.filter((each) => !each.parked).map(({ event_id }) => `${event_id} is to be tried again`),
      ...unsettled.map((id) => `${id} waits or lacks its line`),
      ...old.map((id) => `${id} was left under an old configuration`),
      ...[...ledger.values(), [...parked]]
        .flat()
        .filter((id) => !there.has(id))
        .map((id) => `${id} has no row`),
    ];
  };
  await waitFor(async () => (await isDrained()).length === 0, { timeoutMs: 120_000, intervalMs: 200 }).catch(
    async () => {
      expect(await isDrained(), `seed ${seed}`).toEqual([]);
    },
  );
  await waitFor(() => model.tenure?.inFlight.size === 0, { what: `seed ${seed}: nothing in flight` });

  // Each event, from its insertion to its end.
  const times = new Map<string, number>();
  for (const id of model.lines) times.set(id, (times.get(id) ?? 0) + 1);
  const there = new Set(await queued(queue));
  const wrong = [...model.wrong];
  for (const [id, { tooLarge }] of model.committed) {
    const lines = times.get(id) ?? 0;
    const byHand = model.deletedByHand.has(id);
    if (lines > 1) wrong.push(`${id} has ${lines} lines`);
    if (tooLarge) {
      if (lines > 0 || model.gone.has(id)) wrong.push(`${id} is too large, and passed`);
      continue;
    }
    if (lines === 0 && !byHand && !model.deliveredWithoutLine.has(id)) wrong.push(`${id} has no line`);
    if (!there.has(id) && !byHand && !model.gone.has(id)) wrong.push(`${id} is lost`);
    if (there.has(id) && model.gone.has(id)) wrong.push(`${id} is settled and still queued`);
    if (model.gone.has(id) && !model.isServed(id)) wrong.push(`${id} went before all destinations had it`);
  }
  const deliveries = new Map<string, number>();
  for (const pair of model.destinations.accepted) deliveries.set(pair, (deliveries.get(pair) ?? 0) + 1);
  for (const [pair, count] of deliveries)
    if (count > 1 && !model.crashes) wrong.push(`${pair} was delivered ${count} times`);
  for (const id of times.keys()) if (!model.committed.has(id)) wrong.push(`${id} was never committed`);
  if (wrong.length > 0) throw new Error(wrong.slice(0, 20).join('\n'));

  // The ledger says what is there, and `status` says what the ledger says.
  const ledger = await ledgerOf(queue);
  const pending = await pendingOf(queue);
  const tooLarge = [...there].filter((id) => model.committed.get(id)?.tooLarge);
  const parked = pending.filter(({ destination_id }) => destination_id !== 0).map(({ event_id }) => event_id);
  const numerically = (a: string, b: string): number => Number(BigInt(a) - BigInt(b));
  const generation = model.tenure?.regime.generation;
  const left = (ledger.get(`l 0 ${generation}`) ?? []).sort(numerically);
  // A parked event may be left as well; what is not parked is there because it is left.
  const isLeft = (id: string): boolean =>
    model.targetsOf(model.committed.get(id)?.type ?? '').includes('left') && !tooLarge.includes(id);
  expect(left.filter((id) => !isLeft(id))).toEqual([]);
  expect([...there].filter((id) => isLeft(id) && !parked.includes(id) && !left.includes(id))).toEqual([]);
  // What stays for another reason has been delivered where else it belongs.
  const missing = left.flatMap((id) =>
    model
      .targetsOf(model.committed.get(id)?.type ?? '')
      .filter((to) => KEYS.includes(to) && !parked.includes(id) && !deliveries.has(`${to} ${id}`))
      .map((to) => `${id} never came to ${to}`),
  );
  expect(missing, `seed ${seed}`).toEqual([]);
  const keys = new Map(
    (await queue.database.query('SELECT destination_id, key FROM tailrace.destination')).map((row) => [
      String(row.destination_id),
      String(row.key),
    ]),
  );
  const done = [...ledger]
    .filter(([name]) => name.startsWith('d'))
    .flatMap(([name, ids]) => ids.map((id) => `${keys.get(name.split(' ')[1] ?? '')} ${id}`));
  expect(
    done.filter((pair) => !deliveries.has(pair)),
    `seed ${seed}`,
  ).toEqual([]);
  const expected = new Map<string, string[]>();
  const logged = [...there].filter((id) => !tooLarge.includes(id)).sort(numerically);
  if (logged.length > 0) expected.set('L 0 0', logged);
  if (tooLarge.length > 0) expected.set('X 0 0', tooLarge.sort(numerically));
  if (left.length > 0) expected.set(`l 0 ${generation}`, left);
  const withoutDone = new Map([...ledger].filter(([name]) => !name.startsWith('d')));
  expect(withoutDone, `seed ${seed}`).toEqual(expected);
  expect(
    pending
      .filter(({ destination_id }) => destination_id === 0)
      .map(({ event_id }) => event_id)
      .sort(numerically),
  ).toEqual(tooLarge);
  const status = await readStatus(queue.session);
  expect(status.queued).toBe(there.size);
  expect(status.left).toBe(left.length);
  expect(status.destinations.reduce((sum, each) => sum + each.parked, 0)).toBe(pending.length);
  expect(status.destinations.reduce((sum, each) => sum + each.waiting + each.retrying, 0)).toBe(0);

  events += model.committed.size;
  for (const [name, count] of model.happened) totals.set(name, (totals.get(name) ?? 0) + count);
  totals.set('answers swallowed', (totals.get('answers swallowed') ?? 0) + proxy.swallowed);
  totals.set('done at one', (totals.get('done at one') ?? 0) + model.done.size);
  await model.tenure?.stop();
}

test('whatever happens, every event ends where it belongs', { timeout: 240_000 }, async () => {
  // All at once: most of the time is waiting.
  const results = await Promise.allSettled(SEEDS.map(runModel));
  const failures = results.flatMap((result, at) =>
    result.status === 'rejected' ? [`seed ${SEEDS[at]}: ${result.reason?.stack ?? result.reason}`] : [],
  );
  expect(failures).toEqual([]);
  if (process.env.MODEL_SEED) return;
  // A model in which nothing happens proves nothing.
  expect(events).toBeGreaterThan(SEEDS.length * 500);
  const needed = [
    'take-over',
    'reader killed',
    'settler killed',
    'answers swallowed',
    'settling refused',
    'parked',
    'reconfigure',
    'retry',
    'done at one',
  ];
  expect(needed.filter((name) => !totals.get(name))).toEqual([]);
});
