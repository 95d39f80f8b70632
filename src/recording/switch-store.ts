// The switches and their counts as PostgreSQL keeps them: `tailrace.switches` for the Engine, `s_system_configs` for the
// Studio. The functions of src/queue/sql/recording.ts read both; here is what reads and writes from outside.

import pg from 'pg';
import {
  ENGINE_SWITCHES,
  RECORDING_SWITCHES,
  type RecordingSwitch,
  STUDIO_TABLE,
  type SwitchOrigin,
} from '../event/recording-switches.ts';
import { codeOf, messageOf, TailraceError } from '../lib/errors.ts';
import type { QueryClient } from './queue-table.ts';

/** Identifies a switch: `engine scomp`. */
export const switchKey = ({ type, origin }: { readonly type: string; readonly origin: SwitchOrigin }): string =>
  `${origin} ${type}`;

/** What `tailrace.recording_count` calls the types that tailrace does not know. */
export const OTHER_TYPES = '*';

/** What happened to some events of a type. */
export interface RecordingCount {
  readonly type: string;
  readonly ofStudio: boolean;
  readonly recorded: number;
  readonly suppressed: number;
}

/** undefined_function, undefined_table, invalid_schema_name: `init` of this version was not run. */
const NOT_MADE = /^(?:42883|42P01|3F000)$/;

/**
 * Reads all switches. The Engine's are those that a process with a control directory has mirrored, or that were set here.
 *
 * @returns the keys of those that are on.
 * @throws {TailraceError} `SWITCHES_MISSING`.
 */
export async function readSwitches(client: QueryClient): Promise<ReadonlySet<string>> {
  const { rows } = await client
    .query('SELECT event_type AS type, of_studio FROM tailrace.recording_switches() WHERE is_on')
    .catch((error: unknown) => {
      throw NOT_MADE.test(codeOf(error) ?? '') ? notMade(error) : error;
    });
  const on = rows as { type: string; of_studio: boolean }[]; // what the statement selects
  return new Set(on.map(({ type, of_studio }) => switchKey({ type, origin: of_studio ? 'studio' : 'engine' })));
}

/**
 * Writes the Engine's switches to `tailrace.switches`; rows that say so already stay untouched.
 *
 * @param switches type → on.
 * @param from `host:directory`; null: they are kept here and nowhere else.
 */
export async function storeSwitches(
  client: QueryClient,
  switches: ReadonlyMap<string, boolean>,
  from: string | null,
): Promise<void> {
  await client.query(
    `INSERT INTO tailrace.switches AS s (event_type, is_on, mirrored_from) SELECT t, o, $3 FROM unnest($1::text[], $2::boolean[]) AS u(t, o)
     ON CONFLICT (event_type) DO UPDATE SET is_on = EXCLUDED.is_on, mirrored_from = EXCLUDED.mirrored_from, changed_at = now()
     WHERE (s.is_on, s.mirrored_from) IS DISTINCT FROM (EXCLUDED.is_on, EXCLUDED.mirrored_from)`,
    [[...switches.keys()], [...switches.values()], from],
  );
}

/** The Engine's switches from the types that are on. */
export function engineSwitches(on: ReadonlySet<string>): Map<string, boolean> {
  return new Map(ENGINE_SWITCHES.map(({ type }) => [type, on.has(type)]));
}

/** Whom the mirrored switches come from, `host:directory`; null: nobody. */
export async function mirroredFrom(client: QueryClient): Promise<string | null> {
  const { rows } = await client.query('SELECT max(mirrored_from) AS place FROM tailrace.switches');
  return (rows as { place: string | null }[])[0]?.place ?? null; // what the statement selects
}

/**
 * Sets switches of the Studio, all or none.
 *
 * @throws {TailraceError} `SWITCH_NOT_SET` when the table or a column is not there, or has no row.
 */
export async function setStudioSwitches(
  client: QueryClient,
  switches: readonly RecordingSwitch[],
  on: boolean,
): Promise<void> {
  const columns = switches.map(({ where }) => `${pg.escapeIdentifier(where)} = $1`);
  const cannot = (why: string, cause?: unknown): TailraceError =>
    new TailraceError('SWITCH_NOT_SET', `cannot set the Studio's switches in ${STUDIO_TABLE}: ${why}`, { cause });
  try {
    const { rows } = await client.query(`UPDATE ${STUDIO_TABLE} SET ${columns.join(', ')} RETURNING 1`, [on]);
    if (rows.length === 0) throw cannot('it has no row; insert one');
  } catch (error) {
    if (!/^42(?:P01|703|501)$/.test(codeOf(error) ?? '')) throw error;
    throw cannot(`${messageOf(error)}; name only the Engine's with --engine, or let its owner mend it`, error);
  }
}

/** What was recorded and suppressed so far, by switch key; the types that have none under `OTHER_TYPES`. */
export async function readCounts(client: QueryClient): Promise<ReadonlyMap<string, RecordingCount>> {
  const { rows } = await client.query(
    `SELECT event_type AS type, of_studio, sum(recorded)::float8 AS recorded, sum(suppressed)::float8 AS suppressed
     FROM tailrace.recording_count GROUP BY 1, 2`,
  );
  const counts = new Map<string, RecordingCount>();
  // What the statement selects.
  for (const row of rows as { type: string; of_studio: boolean; recorded: number; suppressed: number }[]) {
    const known = RECORDING_SWITCHES.some(({ type }) => type === row.type);
    const key = known ? switchKey({ type: row.type, origin: row.of_studio ? 'studio' : 'engine' }) : OTHER_TYPES;
    const before = counts.get(key);
    counts.set(key, {
      type: row.type,
      ofStudio: row.of_studio,
      recorded: row.recorded + (before?.recorded ?? 0),
      suppressed: row.suppressed + (before?.suppressed ?? 0),
    });
  }
  return counts;
}

/** Adds to the counts. */
export async function addCounts(client: QueryClient, counts: readonly RecordingCount[]): Promise<void> {
  const rows = counts.map(({ type, ofStudio, recorded, suppressed }) => ({
    event_type: type,
    of_studio: ofStudio,
    recorded,
    suppressed,
  }));
  await client.query('SELECT tailrace.count_recording($1::jsonb)', [JSON.stringify(rows)]);
}

function notMade(cause: unknown): TailraceError {
  return new TailraceError(
    'SWITCHES_MISSING',
    'this database has no recording switches; run `tailrace init`, or record regardless of them with --all',
    { cause },
  );
}
