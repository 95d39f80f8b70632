// Finds single events in a file of the log or of the delivery log, compressed or not: one pass over it, in constant memory.

import { jsonString } from '../event/json-string.ts';
import { messageOf } from '../lib/errors.ts';
import { openRegular, tellPacked } from '../lib/packed-file.ts';
import { scanLines } from './journal/scan-lines.ts';

/** A line that was found. */
export interface FoundLine {
  readonly kind: 'line' | 'attempt';
  /** Path of the file. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly eventId: string;
  /** The line's object. */
  readonly value: Readonly<Record<string, unknown>>;
}

/** Events to be found: any of the ids, or the unique id. */
export interface WantedEvents {
  readonly ids: readonly string[];
  readonly uniqueId: string | null;
}

/** Every line begins with these; what does not is none of ours. */
const LINE = /^\{"time_written_to_logfile":[\d.]+,"event_id":(-?\d+),/;
const ATTEMPT = /^\{"time":[\d.]+,"event_id":(-?\d+),/;
const HEAD_BYTES = 96;

/** Why a file cannot be looked in, as a sentence with its path; null when it can. */
export async function whyUnreadable(path: string): Promise<string | null> {
  try {
    const { handle } = await tellPacked(path, await openRegular(path));
    await handle.close();
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

/** The lines of the events in one file, in its order. */
export async function findEvents(path: string, wanted: WantedEvents): Promise<readonly FoundLine[]> {
  const ids = wanted.ids.map((id) => Buffer.from(`"event_id":${id},`));
  const uniqueId = wanted.uniqueId === null ? null : Buffer.from(`"event_unique_id":${jsonString(wanted.uniqueId)}`);
  let number = 0;
  const lines: FoundLine[] = [];
  await scanLines(path, (bytes, start, end) => {
    number += 1;
    const line = bytes.subarray(start, end);
    const head = line.subarray(0, HEAD_BYTES);
    const isMeant = ids.some((id) => head.includes(id)) || (uniqueId !== null && line.includes(uniqueId));
    const found = isMeant ? parse(line) : null;
    // Only then: a nested object may hold the same text.
    if (found && (wanted.ids.includes(found.eventId) || found.value.event_unique_id === wanted.uniqueId))
      lines.push({ ...found, file: path, line: number });
    return true;
  });
  return lines;
}

function parse(line: Buffer): Pick<FoundLine, 'kind' | 'eventId' | 'value'> | null {
  const head = line.toString('latin1', 0, HEAD_BYTES);
  const isLine = LINE.exec(head);
  const eventId = (isLine ?? ATTEMPT.exec(head))?.[1];
  if (eventId === undefined) return null;
  try {
    const value = JSON.parse(line.toString()) as Record<string, unknown>;
    return { kind: isLine ? 'line' : 'attempt', eventId, value };
  } catch {
    return null;
  }
}
