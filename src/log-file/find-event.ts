// Finds single events in the log file and the delivery log and in what they were renamed to, compressed or not: one pass
// over each file, in constant memory.

import { access, constants } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { jsonString } from '../event/json-string.ts';
import { scanLines } from './journal/scan-lines.ts';
import { regularFiles } from './journal/search.ts';

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

/**
 * The files of a log, oldest first: itself, dated ones and what rotation made of it. They stand in its folder, and their
 * names begin as its own does.
 */
export async function filesOf(filename: string): Promise<readonly string[]> {
  const stem = basename(filename, extname(filename));
  const files = await regularFiles(dirname(filename)).catch(() => []);
  return files
    .filter(({ path }) => basename(path).startsWith(stem))
    .sort((a, b) => a.mtimeMs - b.mtimeMs)
    .map(({ path }) => join(dirname(filename), basename(path)));
}

/** Whether a file may be read. */
export const isReadable = (path: string): Promise<boolean> =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  );

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
