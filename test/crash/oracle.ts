// The judge of every test of this folder: what was committed against the log files, the receiver, the queue table and
// tailrace's own state. It answers with a list of faults, empty when all is as it must be.

import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { scaled } from '../acceptance/world.ts';
import type { TestDatabase } from '../helpers/postgres.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { checksumOf, createRow, type Fate, type Known, knownOf, unexpectedColumns } from './events.ts';
import { nextUnique } from './producer.ts';
import { createRandom } from './random.ts';
import type { Received } from './receiver.ts';

/** Of each kind of fault at most this many are named. */
const NAMED = 5;
const NEWLINE = 0x0a;
/** SPEC 4: the first four keys. */
const HEAD = /^\{"time_written_to_logfile":(\d+)\.(\d{6}),"event_id":(-?\d+),"event_time":[^,]*,"event_type":/;

export interface Truth {
  readonly database: TestDatabase;
  /** `logfile.filename`; its dated, moved and compressed siblings count too. */
  readonly log: string;
  /** By id. Events that are not here must not be found anywhere. */
  readonly committed: ReadonlyMap<string, Known>;
  /** null: nobody receives, as in a configuration without destinations. */
  readonly accepted: ReadonlyMap<string, Received> | null;
  /** A fragment without newline may stand at the end of a file that was moved before the restart. */
  readonly mayBeTorn?: boolean;
  /** The clock was moved back by more than is bridged: times may go back, within a file too. */
  readonly clockMoved?: boolean;
  /** Several processes write side by side, each to a file of its own: only within a file do the times grow. */
  readonly sideBySide?: boolean;
}

/** Everything but liveness. The program must have settled before: `waitUntilSettled`. */
export async function judge(truth: Truth): Promise<string[]> {
  // Asked first: a row goes after its line and its answer, so what is without both then is lost for good.
  const rows = await rowsOf(truth.database);
  return [...(await judgeFiles(truth, rows)), ...judgeReceiver(truth, rows), ...(await judgeState(truth))];
}

async function rowsOf(database: TestDatabase): Promise<ReadonlySet<string>> {
  const rows = await database.query<{ id: string }>('SELECT id::text AS id FROM events');
  return new Set(rows.map(({ id }) => id));
}

/** An event may still get there while its row is in the queue. */
const lacking = (rows: ReadonlySet<string>, id: string, fault: string): string =>
  rows.has(id) ? fault : `${GONE}${fault}`;

/** Waits until PostgreSQL holds exactly what it should. @throws {Error} with what it holds instead. */
export async function waitUntilSettled(truth: Truth, timeoutMs = 30_000): Promise<void> {
  let faults: string[] = [];
  const kept = [...truth.committed.values()].filter(({ fate }) => !PLACES[fate].includes('')).length;
  await waitFor(
    async () => {
      // Cheap, and nearly always enough to know that the program is not done: looking closer would slow it down.
      const [queue] = await truth.database.query<{ rows: number }>('SELECT count(*)::int AS rows FROM events');
      if (queue?.rows !== kept) {
        faults = [`${queue?.rows} rows instead of ${kept}`];
        return false;
      }
      faults = await judgeState(truth);
      return faults.length === 0;
    },
    { timeoutMs, intervalMs: 15, what: 'a settled queue' },
  ).catch((cause: Error) => {
    throw new Error(`${cause.message}: ${faults.join('; ')}`, { cause });
  });
}

/**
 * A fresh event passes within this, on a machine that has a core for each that wants one; else that much later. Every day
 * the disk is busy too, which the load tells too late.
 */
const PASSES_WITHIN_MS = scaled(2_000, 15_000);

/** Inserts one more event and waits until it has passed. @returns how many milliseconds it took. @throws {Error} when that is too long. */
export async function passFreshEvent(truth: Truth & { readonly committed: Map<string, Known> }): Promise<number> {
  const row = createRow(createRandom(1), nextUnique(), truth.accepted === null ? 'delivery_attempt' : 'engine_open');
  const started = performance.now();
  const [inserted] = await truth.database.query<{ id: string }>(
    'INSERT INTO events (event_type, event_time, email, message, event_unique_id) VALUES ($1, $2, $3, $4, $5) RETURNING id',
    Object.values(row),
  );
  const id = String(inserted?.id);
  truth.committed.set(id, knownOf(row));
  await waitFor(async () => (await truth.database.query('SELECT FROM events WHERE id = $1', [id])).length === 0, {
    timeoutMs: PASSES_WITHIN_MS * Math.max(1, (loadavg()[0] ?? 0) / availableParallelism()),
    intervalMs: 10,
    what: 'a fresh event to pass',
  });
  return performance.now() - started;
}

/** Begins the fault of an event whose row is gone too early: nothing mends that. */
const GONE = 'gone from the queue and ';

/** Faults that may only mean that it has not come so far: all others are wrong at any moment. */
const NOT_YET = /^\d+ × (?:lost from the log|not received|\w+ event in) /;

/** Whether waiting for longer might have helped. */
export const isOnlyLate = (faults: readonly string[]): boolean => faults.every((fault) => NOT_YET.test(fault));

async function judgeFiles(
  { log, committed, mayBeTorn, clockMoved, sideBySide }: Truth,
  rows: ReadonlySet<string>,
): Promise<string[]> {
  const faults = new Faults();
  const times = new Map<string, number>();
  const spans: { readonly first: number; readonly last: number; readonly name: string }[] = [];
  for (const name of await logFiles(log)) {
    let first = Number.NaN;
    let last = Number.NEGATIVE_INFINITY;
    for await (const { text, whole } of linesOf(join(dirname(log), name))) {
      if (!whole) {
        if (!mayBeTorn || name === basename(log)) faults.add('torn line', `${name}: ${text.slice(0, 80)}`);
        continue;
      }
      const line = parse(text);
      if (line === null) {
        faults.add('malformed line', `${name}: ${text.slice(0, 120)}`);
        continue;
      }
      times.set(line.id, (times.get(line.id) ?? 0) + 1);
      if (line.timeUs <= last && !clockMoved) faults.add('time not after the one before', `${name}: event ${line.id}`);
      last = line.timeUs;
      if (Number.isNaN(first)) first = last;
      const known = committed.get(line.id);
      if (known === undefined) faults.add('line of no committed event', line.id);
      else if (known.checksum !== line.checksum) faults.add('line differs from its row', line.id);
      if (line.unexpected.length > 0) faults.add('columns nobody filled', `${line.id}: ${line.unexpected}`);
    }
    if (!Number.isNaN(first)) spans.push({ first, last, name });
  }
  for (const [id, count] of times) if (count > 1) faults.add('repeated', `${id}, ${count} times`);
  for (const id of committed.keys()) if (!times.has(id)) faults.add(lacking(rows, id, 'lost from the log'), id);
  spans.sort((one, other) => one.first - other.first);
  for (const [at, { first, name }] of spans.entries()) {
    const before = spans[at - 1];
    if (!clockMoved && !sideBySide && before && first <= before.last)
      faults.add('times overlap', `${before.name} and ${name}`);
  }
  return faults.list();
}

function judgeReceiver({ committed, accepted }: Truth, rows: ReadonlySet<string>): string[] {
  const faults = new Faults();
  if (accepted === null) return [];
  for (const [id, { fate }] of committed) {
    if (fate === 'delivered' && !accepted.has(id)) faults.add(lacking(rows, id, 'not received'), id);
  }
  for (const [id, { keys, checksums }] of accepted) {
    const known = committed.get(id);
    if (known?.fate !== 'delivered') faults.add('received though it must not be', id);
    else if (keys.size !== 1 || !keys.has(known.key)) faults.add('Idempotency-Key', `${id}: ${[...keys]}`);
    else if (checksums.size !== 1 || !checksums.has(known.checksum)) faults.add('body differs from its row', id);
  }
  return faults.list();
}

/** Where an event must be found in PostgreSQL when it is settled: one of these sets, as `kinds` in order. */
const PLACES: Readonly<Record<Fate, readonly string[]>> = {
  delivered: [''],
  dropped: [''],
  left: ['L+l+row'],
  refused: ['L+pending+row', 'L+row+w'],
  waiting: ['L+row+w'],
};

const STATE_SQL = `
SELECT id::text AS id, array_to_string(array_agg(DISTINCT kind COLLATE "C" ORDER BY kind COLLATE "C"), '+') AS places
FROM (SELECT 'row' AS kind, id FROM events
      UNION ALL SELECT 'pending', event_id FROM tailrace.pending
      UNION ALL SELECT kind::text, (block << 10) + i FROM tailrace.ledger, generate_series(0, 1023) i WHERE get_bit(ids, i) = 1) s
GROUP BY 1`;

async function judgeState({ database, committed }: Truth): Promise<string[]> {
  const faults = new Faults();
  const found = new Map<string, string>();
  for (const { id, places } of await database.query<{ id: string; places: string }>(STATE_SQL)) found.set(id, places);
  for (const [id, { fate }] of committed) {
    const places = found.get(id) ?? '';
    if (PLACES[fate].includes(places)) continue;
    const isGone = !PLACES[fate].includes('') && !places.split('+').includes('row');
    faults.add(isGone ? `${GONE}not ${fate}` : `${fate} event in`, `${id}: ${places || 'nothing'}`);
  }
  for (const [id, places] of found)
    if (!committed.has(id)) faults.add('state of no committed event', `${id}: ${places}`);
  return faults.list();
}

interface ParsedLine {
  readonly id: string;
  readonly timeUs: number;
  readonly checksum: number;
  readonly unexpected: readonly string[];
}

function parse(text: string): ParsedLine | null {
  const [, seconds, micros, id] = HEAD.exec(text) ?? [];
  if (id === undefined) return null;
  try {
    const columns = JSON.parse(text);
    const timeUs = Number(seconds) * 1e6 + Number(micros);
    return { id, timeUs, checksum: checksumOf(columns), unexpected: unexpectedColumns(columns) };
  } catch {
    return null;
  }
}

/** The log file and what became of it. */
async function logFiles(log: string): Promise<string[]> {
  return (await readdir(dirname(log))).filter((name) => name.startsWith(basename(log)));
}

/** The lines of a file, without their newlines; constant memory. */
async function* linesOf(path: string): AsyncGenerator<{ readonly text: string; readonly whole: boolean }> {
  const file = createReadStream(path);
  let rest = Buffer.alloc(0);
  for await (const chunk of path.endsWith('.gz') ? file.pipe(createGunzip()) : file) {
    const bytes = Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      yield { text: bytes.toString('utf8', start, end), whole: true };
      start = end + 1;
    }
    rest = bytes.subarray(start);
  }
  if (rest.length > 0) yield { text: rest.toString('utf8'), whole: false };
}

/** Faults by kind: how many, and the first few. */
class Faults {
  readonly #named = new Map<string, string[]>();
  readonly #counts = new Map<string, number>();

  add(kind: string, which: string): void {
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    if (count <= NAMED) this.#named.set(kind, [...(this.#named.get(kind) ?? []), which]);
  }

  list(): string[] {
    return [...this.#named].map(([kind, which]) => `${this.#counts.get(kind)} × ${kind} (${which.join(' | ')})`);
  }
}
