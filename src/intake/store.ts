// One set of connections to PostgreSQL with what was learnt on them: the table's columns, the statement, the switches.
// Lives until one of the connections breaks.

import { delay } from '../lib/delay.ts';
import { EXIT, TailraceError } from '../lib/errors.ts';
import { openRecordingConnection, type RecordingConnection } from '../recording/connection.ts';
import type { ControlDirectory } from '../recording/control-directory.ts';
import { createNormalizer, type NormalizeOptions, type Normalizer } from '../recording/normalize.ts';
import { readTableColumns, type TableColumn } from '../recording/queue-table.ts';
import { openSwitches, type Switches } from '../recording/switches.ts';
import { createInsertion, type Insertion, type Unit } from './insert-units.ts';

/** The server ends a statement after this time; the client gives the connection up a little later. */
const STATEMENT_TIMEOUT_MS = 20_000;
export const QUERY_TIMEOUT_MS = 25_000;
/** A column that somebody adds to the table is known after so long. */
const COLUMNS_MAX_AGE_MS = 10_000;
/** Health checks ask PostgreSQL itself at most so often. */
const PROBE_MAX_AGE_MS = 1_000;

export interface StoreOptions extends NormalizeOptions {
  /** undefined: libpq's `PG*` variables. */
  readonly database: string | undefined;
  /** Record what is switched off too. */
  readonly all: boolean;
  readonly directory: ControlDirectory | null;
  /** A switch that cannot be read. */
  readonly onSwitchProblem: (path: string, problem: string) => void;
  /** Called when a connection breaks. */
  readonly onLost: () => void;
}

export interface Store {
  /** How many rounds can be under way side by side: while PostgreSQL commits one, the next is checked and sent. */
  readonly lanes: number;
  /** Checks one event and completes it. */
  readonly normalize: Normalizer['normalize'];
  /** Columns that events had values for and that the table lacks. */
  readonly missingColumns: ReadonlySet<string>;
  /** null: everything is recorded, nothing is counted. */
  readonly switches: Pick<Switches, 'isOn' | 'count'> | null;
  /**
   * Looks at switches and columns unless that was done a moment ago.
   *
   * @returns whether the columns have changed, so that events may be good that were not.
   * @throws what PostgreSQL says.
   */
  refresh(): Promise<boolean>;
  /** @param lane from 0 to `lanes` - 1; one call at a time on each. See `Insertion`. */
  insert: (lane: number, units: readonly Unit[]) => ReturnType<Insertion['insert']>;
  /** Adds the counts up to now. */
  flush(): Promise<void>;
  /** Asks PostgreSQL something. @throws when it does not answer. */
  probe(): Promise<void>;
  /** Waits so long for rounds under way, and closes. Default: not at all. */
  close(patienceMs?: number): Promise<void>;
}

/** What follows from the columns. */
interface Shape {
  readonly columns: string;
  readonly normalizer: Normalizer;
  readonly insertion: Insertion;
}

/** @throws {TailraceError} `DATABASE_UNAVAILABLE`, `TABLE_MISSING`, `QUEUE_TABLE_UNUSABLE`, `SWITCHES_MISSING`, `RIGHTS_MISSING`. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const opened: AsyncDisposable[] = [];
  let closed = false;
  const underWay = new Set<Promise<unknown>>();
  const close = async (patienceMs = 0): Promise<void> => {
    closed = true;
    // A round on a connection that is not the broken one still gets its answer.
    const patience = new AbortController();
    await Promise.race([Promise.allSettled(underWay), delay(patienceMs, patience.signal)]);
    patience.abort();
    for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
  };
  const connect = async (): Promise<RecordingConnection> => {
    const connection = await openRecordingConnection(options.database, 'tailrace intake', {
      queryTimeoutMs: QUERY_TIMEOUT_MS,
      onLost: () => {
        if (!closed) options.onLost();
      },
    });
    opened.push(connection);
    await connection.query(`SELECT set_config('statement_timeout', $1, false)`, [String(STATEMENT_TIMEOUT_MS)]);
    // What is acknowledged must outlive a crash of the server; what is stricter than `on` stays.
    await connection.query(
      `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`,
    );
    return connection;
  };
  try {
    return await learn(await connect(), [await connect(), await connect()], options, { opened, underWay, close });
  } catch (error) {
    await close();
    throw error;
  }
}

interface StoreLife {
  /** Closed with the store, the last one first. */
  readonly opened: AsyncDisposable[];
  /** Rounds that have no answer yet. */
  readonly underWay: Set<Promise<unknown>>;
  readonly close: Store['close'];
}

/** Looks at the table and the switches, and makes the store. */
async function learn(
  desk: RecordingConnection,
  lanes: readonly RecordingConnection[],
  options: StoreOptions,
  { opened, underWay, close }: StoreLife,
): Promise<Store> {
  await requireRights(desk);
  let shape = await readShape(desk, options, null);
  let shapeReadAt = performance.now();
  let probedAt = Number.NEGATIVE_INFINITY;
  const { all, directory, onSwitchProblem: onProblem } = options;
  const switches = all ? null : await openSwitches(desk, { directory, onProblem });
  if (switches) opened.push(switches);

  const look = async (): Promise<boolean> => {
    const before = shape;
    if (performance.now() - shapeReadAt >= COLUMNS_MAX_AGE_MS) {
      shape = await readShape(desk, options, shape);
      shapeReadAt = performance.now();
    }
    await switches?.refresh();
    return shape !== before;
  };
  /** Two rounds that begin at once look once. */
  let looking: Promise<boolean> | null = null;

  return {
    lanes: lanes.length,
    normalize: (json) => shape.normalizer.normalize(json),
    get missingColumns() {
      return shape.normalizer.missingColumns;
    },
    switches,
    refresh() {
      looking ??= look().finally(() => {
        looking = null;
      });
      return looking;
    },
    async insert(lane, units) {
      const connection = lanes[lane];
      if (connection === undefined) throw new Error(`there is no lane ${lane}`);
      const round = shape.insertion.insert(connection, units);
      underWay.add(round);
      return await round.finally(() => underWay.delete(round));
    },
    async flush() {
      await switches?.flush();
    },
    async probe() {
      if (performance.now() - probedAt < PROBE_MAX_AGE_MS) return;
      const startedAt = performance.now();
      await desk.query('SELECT 1');
      probedAt = startedAt;
    },
    close,
  };
}

/** Said at the start, and not by the first request. */
async function requireRights(desk: RecordingConnection): Promise<void> {
  const { rows } = await desk.query(
    `SELECT current_user AS role, to_regclass('events') IS NULL OR has_table_privilege(to_regclass('events'), 'INSERT')
       OR has_any_column_privilege(to_regclass('events'), 'INSERT') AS is_allowed, pg_is_in_recovery() AS is_standby`,
  );
  const [found] = rows as { role: string; is_allowed: boolean; is_standby: boolean }[]; // what the statement selects
  if (found?.is_standby) {
    const exitCode = EXIT.unavailable;
    throw new TailraceError('DATABASE_UNAVAILABLE', 'the database is a standby; point to the primary', { exitCode });
  }
  if (found?.is_allowed === false) {
    throw new TailraceError('RIGHTS_MISSING', `the database role ${found.role} lacks INSERT on the table "events"`);
  }
}

/** @returns the one before when the columns are the same. */
async function readShape(desk: RecordingConnection, options: NormalizeOptions, before: Shape | null): Promise<Shape> {
  const columns: readonly TableColumn[] = await readTableColumns(desk);
  const printed = JSON.stringify(columns);
  if (before?.columns === printed) return before;
  return { columns: printed, normalizer: createNormalizer(columns, options), insertion: await createInsertion(desk) };
}
