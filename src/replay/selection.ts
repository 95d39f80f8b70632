// Which lines are to be replayed: by the time they were written, their type, and the values of their fields. Most lines
// that are not are told by their first bytes, without being parsed.

import { canonicalType } from '../event/catalog.ts';
import type { QueuedEvent } from '../event/event.ts';
import type { LineEvent } from '../event/from-line.ts';

/** What a person asked for; what is not given holds for every line. */
export interface Filters {
  /** Microseconds since the epoch: lines written at it or later. */
  readonly fromUs: number | null;
  /** Lines written before it. */
  readonly toUs: number | null;
  /** Event types, any of them; empty = all. */
  readonly types: readonly string[];
  /** All of them have to hold. */
  readonly where: readonly Condition[];
}

/** A field as it stands in the line, and its text there; an empty one stands for `null` and for a key that is absent. */
export interface Condition {
  readonly field: string;
  readonly value: string;
}

export interface Selection {
  /** True: the line is surely not selected. False: it may be. */
  rulesOut(line: string): boolean;
  selects(line: LineEvent): boolean;
  /** Fields of conditions that no event has borne so far. */
  readonly unknownFields: readonly string[];
}

/** How every line of a log file begins; what begins otherwise is parsed. */
const HEAD =
  /^\{"time_written_to_logfile":(\d{1,11})\.(\d{6}),"event_id":-?\d+,"event_time":[^,]*,"event_type":"([^"\\]*)"/;

/** Creates the selection of one replay. */
export function createSelection({ fromUs, toUs, types, where }: Filters): Selection {
  const wanted = types.length === 0 ? null : new Set(types.map(canonicalType));
  const hasTime = fromUs !== null || toUs !== null;
  const unknown = new Set(where.map(({ field }) => field));
  const inTime = (us: number): boolean => (fromUs === null || us >= fromUs) && (toUs === null || us < toUs);
  const ofType = (type: string): boolean => wanted === null || wanted.has(canonicalType(type));
  return {
    rulesOut(line) {
      if (wanted === null && !hasTime) return false;
      const head = HEAD.exec(line);
      if (!head) return false;
      const [, seconds, micros, type = ''] = head;
      return !inTime(Number(seconds) * 1_000_000 + Number(micros)) || !ofType(type);
    },
    selects({ event, writtenAt }) {
      for (const field of unknown) if (isBorne(event, field)) unknown.delete(field);
      if (hasTime && (writtenAt === null || !inTime(Math.round(Number(writtenAt) * 1_000_000)))) return false;
      if (!ofType(event.eventType ?? '')) return false;
      return where.every(({ field, value }) => (textOf(event, field, writtenAt) ?? '') === value);
    },
    get unknownFields() {
      return [...unknown];
    },
  };
}

const isBorne = ({ shape }: QueuedEvent, field: string): boolean =>
  field === 'event_id' || field === 'time_written_to_logfile' || shape.indexOf.has(field);

/** The value of a field as the line has it. */
function textOf(event: QueuedEvent, field: string, writtenAt: string | null): string | null {
  const { shape } = event;
  if (field === 'event_id') return event.id;
  if (field === 'time_written_to_logfile') return writtenAt;
  const at = shape.indexOf.get(field) ?? -1;
  const raw = event.value(at);
  if (raw === null || shape.columns[at]?.kind !== 'boolean') return raw;
  return raw === 't' ? 'true' : 'false';
}
