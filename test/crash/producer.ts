// Inserts events as producers do: in transactions of any length, some rolled back, some committed long after others that
// began later. Remembers exactly what was committed; a COMMIT whose answer was lost is looked up by a row of its own,
// since a server that crashed gives the transaction id of what was not committed to another transaction.

import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createRow, type Known, knownOf, type Row } from './events.ts';
import type { Random } from './random.ts';

/** Rows of one transaction at most. */
const MOST_ROWS = 40;
const ROLLED_BACK = 0.15;
const COMMITTED_LATE = 0.15;
const MOST_LATE_MS = 300;
const RECONNECT_MS = 50;
const INSERT_OUTCOME = 'INSERT INTO producer_outcomes VALUES ($1, $2) ON CONFLICT DO NOTHING';

export interface ProducerOptions {
  readonly url: string;
  readonly random: Random;
  /** Filled with what is committed, by id. */
  readonly committed: Map<string, Known>;
  /** Connections that insert side by side, default 3. */
  readonly connections?: number;
  /** Milliseconds that each waits between two transactions, default 10. */
  readonly pauseMs?: number;
  /** Default 40. */
  readonly mostRows?: number;
}

export interface Producer {
  /** Ends the inserting; resolves when every transaction's outcome is known. @throws what kept one from being known. */
  end(): Promise<void>;
}

/** Inserts until `end` is called, through restarts of the server too. */
export function startProducer(options: ProducerOptions): Producer {
  const { connections = 3 } = options;
  const ending = new AbortController();
  const ready = createOutcomes(options.url);
  const working = Array.from({ length: connections }, () => ready.then(() => work(options, ending.signal)));
  // Of a test that broke off nobody waits for it: its database goes, and that is no error of another test.
  for (const each of working) each.catch(() => undefined);
  return {
    async end() {
      ending.abort();
      await Promise.all(working);
    },
  };
}

/** Inserts rows in one statement. @returns their ids, in the order of the rows. */
export async function insertRows(client: pg.Client, rows: readonly Row[]): Promise<string[]> {
  const { rows: inserted } = await client.query<{ id: string; key: string }>(
    `INSERT INTO events (event_type, event_time, email, message, event_unique_id, headers)
     SELECT * FROM unnest($1::text[], $2::int[], $3::text[], $4::text[], $5::text[], $6::text[])
     RETURNING id, event_unique_id AS key`,
    [
      rows.map((row) => row.event_type),
      rows.map((row) => row.event_time),
      rows.map((row) => row.email),
      rows.map((row) => row.message),
      rows.map((row) => row.event_unique_id),
      rows.map((row) => row.headers ?? null),
    ],
  );
  const ids = new Map(inserted.map(({ id, key }) => [key, String(id)]));
  return rows.map(({ event_unique_id: key }) => ids.get(key) ?? '');
}

let uniques = 0;
/** A new `event_unique_id`. */
export function nextUnique(): string {
  uniques += 1;
  return `${process.pid}-${uniques}`;
}

async function work(options: ProducerOptions, ending: AbortSignal): Promise<void> {
  let client = await connect(options.url);
  try {
    while (!ending.aborted) {
      try {
        await transaction(client, options, async () => {
          client = await connect(options.url);
          return client;
        });
      } catch {
        // The server went while nothing was in doubt.
        client = await connect(options.url);
      }
      await sleep(options.pauseMs ?? 10, undefined, { signal: ending }).catch(() => undefined);
    }
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function transaction(
  client: pg.Client,
  { random, committed, mostRows = MOST_ROWS }: ProducerOptions,
  reconnect: () => Promise<pg.Client>,
): Promise<void> {
  const rows = Array.from({ length: random.integer(1, mostRows) }, () => createRow(random, nextUnique()));
  const fate = random.next();
  const transactionKey = nextUnique();
  await client.query('BEGIN');
  const ids = await insertRows(client, rows);
  await client.query(INSERT_OUTCOME, [transactionKey, true]);
  if (fate < ROLLED_BACK) {
    await client.query('ROLLBACK');
    return;
  }
  if (fate < ROLLED_BACK + COMMITTED_LATE) await sleep(random.integer(20, MOST_LATE_MS));
  let known = false;
  try {
    await client.query('COMMIT');
    known = true;
  } catch {
    known = await wasCommitted(reconnect, transactionKey);
  }
  if (!known) return;
  for (const [at, id] of ids.entries()) {
    const row = rows[at];
    if (row) committed.set(id, knownOf(row));
  }
}

/** Waits for the transaction that inserted the same key, if it is still under way; asks until there is an answer. */
async function wasCommitted(reconnect: () => Promise<pg.Client>, transactionKey: string): Promise<boolean> {
  for (;;) {
    const client = await reconnect();
    try {
      await client.query(INSERT_OUTCOME, [transactionKey, false]);
      const { rows } = await client.query<{ committed: boolean }>(
        'SELECT committed FROM producer_outcomes WHERE transaction_key = $1',
        [transactionKey],
      );
      return rows[0]?.committed === true;
    } catch {
      await sleep(RECONNECT_MS);
    }
  }
}

async function createOutcomes(url: string): Promise<void> {
  const client = await connect(url);
  await client.query(
    'CREATE TABLE IF NOT EXISTS producer_outcomes (transaction_key text PRIMARY KEY, committed boolean NOT NULL)',
  );
  await client.end();
}

/** Tries until the server is there, half a minute at most. */
async function connect(url: string): Promise<pg.Client> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return client;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(RECONNECT_MS);
    }
  }
}
