// Recording for programs: events into the queue inside the caller's own transaction. They are there when it commits and
// were never there when it does not. This is what the package exports.

import { hostname } from 'node:os';
import { jsonString } from '../event/json-string.ts';
import { codeOf, TailraceError } from '../lib/errors.ts';
import { createNormalizer } from './normalize.ts';
import { type QueryClient, readTableColumns } from './queue-table.ts';

export type { QueryClient } from './queue-table.ts';

/** A column's value: what JSON can say, and bigint with all its digits. undefined is left out, null is empty. */
export type EventValue = string | number | bigint | boolean | Date | object | null | undefined;

/** One event: columns of the queue table by name. */
export interface EventInput {
  /** One of the fourteen types, a former name, or a type of your own. */
  readonly event_type: string;
  /** Seconds since the epoch; default now. */
  readonly event_time?: number;
  /** Default 64 random hexadecimal characters. */
  readonly event_unique_id?: string;
  readonly server_id?: string;
  readonly [field: string]: EventValue;
}

export interface RecordOptions {
  /** What `server_id` becomes in an event that has none; default the host name. */
  readonly serverId?: string;
  /** Most bytes of `bounce_text` that are kept; default 1,024. */
  readonly bounceTextBytes?: number;
  /** Records event types that are switched off too, and counts nothing. */
  readonly all?: boolean;
}

/** Why an event cannot be recorded. */
export interface EventProblem {
  /** Index into the events, from 0. */
  readonly index: number;
  /** `bounce_code: expected integer, got "x"`. */
  readonly error: string;
}

/** Some events are not good; none of the call was recorded. */
export class InvalidEventsError extends Error {
  override readonly name = 'InvalidEventsError';
  readonly code = 'EVENTS_INVALID';
  /** Every event that is not good, in order. */
  readonly problems: readonly EventProblem[];

  constructor(problems: readonly EventProblem[]) {
    const [first] = problems;
    const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : '';
    super(`event ${(first?.index ?? 0) + 1}: ${first?.error}${more}; nothing of this call was recorded`);
    this.problems = problems;
  }
}

/** undefined_function, undefined_table, invalid_schema_name. */
const NOT_MADE = /^(?:42883|42P01|3F000)$/;
const DEFAULT_BOUNCE_TEXT_BYTES = 1024;

/**
 * Records events on a connected `pg` client, in the transaction that is open on it, if any. All of them or none.
 *
 * @returns the id of each event in their order, decimal digits; null: its type is switched off.
 * @throws {InvalidEventsError} before anything is sent; the transaction goes on.
 * @throws {TypeError} when it is given no array.
 * @throws {TailraceError} `TABLE_MISSING`, or `SWITCHES_MISSING` when `tailrace init` was not run; else pg's own error.
 */
export async function recordEvents(
  client: QueryClient,
  events: readonly EventInput[],
  options: RecordOptions = {},
): Promise<(string | null)[]> {
  if (!Array.isArray(events)) throw new TypeError('recordEvents takes an array of events');
  if (events.length === 0) return [];
  const normalizer = createNormalizer(await readTableColumns(client), {
    serverId: options.serverId ?? hostname(),
    bounceTextBytes: options.bounceTextBytes ?? DEFAULT_BOUNCE_TEXT_BYTES,
  });
  const rows: string[] = [];
  const problems: EventProblem[] = [];
  for (const [index, event] of events.entries()) {
    const result = normalizer.normalize(jsonOf(event));
    if (!result.ok) {
      problems.push({ index, error: result.error });
      continue;
    }
    const fields = Array.from(result.row, ([name, text]) => `${jsonString(name)}:${jsonString(text)}`);
    rows.push(`{"fields":{${fields.join()}},"of_studio":${result.ofStudio}}`);
  }
  if (problems.length > 0) throw new InvalidEventsError(problems);
  const { rows: ids } = await client
    .query('SELECT id::text FROM tailrace.insert_events($1::jsonb, $2) AS id', [
      `[${rows.join()}]`,
      options.all === true,
    ])
    .catch((cause: unknown) => {
      if (!NOT_MADE.test(codeOf(cause) ?? '')) throw cause;
      throw new TailraceError('SWITCHES_MISSING', 'this database has no recording functions; run `tailrace init`', {
        cause,
      });
    });
  return (ids as { id: string | null }[]).map(({ id }) => id); // what the statement selects
}

/** JSON.stringify, but a bigint keeps its digits. */
function jsonOf(event: EventInput): string {
  if (typeof event !== 'object' || event === null || Array.isArray(event)) return String(JSON.stringify(event));
  const members = Object.entries(event).map(([name, value]) => {
    const json = typeof value === 'bigint' ? String(value) : JSON.stringify(value);
    return json === undefined ? [] : [`${jsonString(name)}:${json}`];
  });
  return `{${members.flat().join()}}`;
}
