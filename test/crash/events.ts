// What an event of these tests is: which types there are, what becomes of each, and how a line or a request is known
// to be that of its row. Only a checksum is kept of a row, so that a long run remembers a million of them.

import { crc32 } from 'node:zlib';
import type { Random } from './random.ts';

/** What the configuration of `scene.ts` does with an event: its row stays in all but the first two. */
export type Fate = 'delivered' | 'dropped' | 'left' | 'refused' | 'waiting';

/** Event types and their fates; `scomp` is refused by a redirect to where `engine_open` is accepted. */
export const FATES: Readonly<Record<string, Fate>> = {
  engine_open: 'delivered',
  delivery_attempt: 'dropped',
  engine_click: 'left',
  bounce_all: 'refused',
  scomp: 'refused',
  engine_unsub: 'waiting',
};

/** A row before it is inserted: the columns that these tests fill. */
export interface Row {
  readonly event_type: string;
  readonly event_time: number;
  readonly email: string;
  readonly message: string;
  readonly event_unique_id: string;
  /** JSON; not compared. */
  readonly headers?: string;
}

/** What is remembered of a committed row. */
export interface Known {
  readonly fate: Fate;
  /** Its Idempotency-Key. */
  readonly key: string;
  readonly checksum: number;
}

const TEXTS = ['plain', 'a "quote" and a \\', 'two\nlines', 'u2028 \u2028 here', 'žluťoučký 🐎', '\t\u0001 control'];
const MOST_PADDING = 900;
const TYPES = Object.keys(FATES);

/** A row with text that a careless writer would break on. */
export function createRow(random: Random, unique: string, type = random.pick(TYPES)): Row {
  return {
    event_type: type,
    event_time: 1_767_225_600 + random.integer(0, 1_000_000),
    email: `${random.integer(0, 2 ** 31).toString(36)}@example.com`,
    message: `${random.pick(TEXTS)} ${'x'.repeat(random.integer(0, MOST_PADDING))}`,
    event_unique_id: unique,
  };
}

/** What is remembered of a row. */
export function knownOf(row: Row): Known {
  return { fate: FATES[row.event_type] ?? 'left', key: row.event_unique_id, checksum: checksumOf({ ...row }) };
}

/** Checksum of the columns that `Row` names, in a line, a request or a row. */
export function checksumOf(columns: Readonly<Record<string, unknown>>): number {
  const { event_type, event_time, email, message, event_unique_id } = columns;
  return crc32(JSON.stringify([event_type, event_time, email, message, event_unique_id]));
}

const FILLED = new Set([
  ...['time_written_to_logfile', 'event_id', 'id'],
  ...['event_type', 'event_time', 'email', 'message', 'event_unique_id', 'headers'],
]);

/** Columns that hold something though nobody filled them. */
export function unexpectedColumns(columns: Readonly<Record<string, unknown>>): string[] {
  return Object.keys(columns).filter((name) => columns[name] !== null && !FILLED.has(name));
}
