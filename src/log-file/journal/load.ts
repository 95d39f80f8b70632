// Reads what a journal holds: every intent with the place where its bytes were to go last, and whether it is settled.

import { type FileHandle, open, readdir } from 'node:fs/promises';
import type { LogPlace } from './intent.ts';
import { decodeHeader, decodeRecord, decodeRecords, type JournalRecord, placeOf, seedOf } from './record.ts';
import { SEGMENT_BYTES, segmentNumber, segmentPath } from './segment.ts';

export interface LoadedIntent {
  readonly seq: number;
  /** The segment that holds its bytes. */
  readonly segment: number;
  readonly ids: readonly string[];
  readonly lastTimeUs: number;
  /** Where the bytes from index `from` on were to go; those before are on disk in an earlier file. */
  place: LogPlace;
  from: number;
  /** It has what was missing of an earlier intent, written by a recovery. */
  readonly replaces: boolean;
  /** Settled in PostgreSQL. */
  settled: boolean;
  /** A later intent has what was missing of it. */
  replaced: boolean;
  /** Its lines are on disk in a log file, wherever that is now: they are known, and never written again. */
  readonly logged: boolean;
  /**
   * Reads its bytes from the segment.
   *
   * @param scratch read into, if given: then they are valid until the next use of it.
   */
  readonly read: (scratch?: Scratch) => Promise<Buffer>;
}

/** Memory for one intent after the other: a journal may hold hundreds of megabytes of them. */
export interface Scratch {
  bytes: Buffer;
}

export const createScratch = (): Scratch => ({ bytes: Buffer.alloc(0) });

export interface LoadedJournal {
  /** Ascending. */
  readonly segments: readonly number[];
  /** In the order of their numbers. */
  readonly intents: readonly LoadedIntent[];
  /** Segments of which something is missing or not of this version. */
  readonly damaged: readonly string[];
  /** The last record of a segment is not whole. */
  readonly torn: boolean;
}

/**
 * Reads the segments of a state directory, one at a time.
 *
 * @param only the numbers of the segments to read; default all.
 * @param files segments that are open; others are added, and left to the caller to close. Default none is left open.
 */
export async function loadJournal(
  directory: string,
  only?: readonly number[],
  files?: Map<number, FileHandle>,
): Promise<LoadedJournal> {
  const segments = only ?? (await segmentNumbers(directory));
  const intents = new Map<number, LoadedIntent>();
  const damaged: string[] = [];
  let torn = false;
  let buffer: Buffer = Buffer.alloc(0);
  for (const [at, number] of segments.entries()) {
    const path = segmentPath(directory, number);
    const file = files?.get(number) ?? (await open(path));
    files?.set(number, file);
    try {
      buffer = await readInto(buffer, file);
    } finally {
      if (!files) await file.close();
    }
    const isOurs = decodeHeader(buffer) !== null;
    const source = { segment: number, path, file: files && file, seed: isOurs ? seedOf(buffer) : 0 };
    const end = isOurs ? takeAll(intents, buffer, source) : 'damaged';
    // A segment is made in its full size, and with the number that follows the last one's.
    const before = segments[at - 1];
    const removed = only === undefined && before !== undefined && before !== number - 1;
    if (end === 'damaged' || removed || buffer.length < SEGMENT_BYTES) damaged.push(path);
    if (end === 'torn') torn = true;
  }
  return { segments, intents: [...intents.values()].sort((a, b) => a.seq - b.seq), damaged, torn };
}

async function segmentNumbers(directory: string): Promise<number[]> {
  const numbers = (await readdir(directory)).flatMap((name) => segmentNumber(name) ?? []);
  return numbers.sort((a, b) => a - b);
}

/** Reads a file into the buffer, or into a larger one: many segments are read without a buffer for each. */
async function readInto(buffer: Buffer, file: FileHandle): Promise<Buffer> {
  const { size } = await file.stat();
  const whole = size > buffer.buffer.byteLength ? Buffer.allocUnsafeSlow(size) : Buffer.from(buffer.buffer, 0, size);
  return whole.subarray(0, await readFully(file, whole, 0));
}

async function readFully(file: FileHandle, into: Buffer, position: number): Promise<number> {
  let length = 0;
  for (let read = -1; length < into.length && read !== 0; length += read) {
    read = (await file.read(into, length, into.length - length, position + length)).bytesRead;
  }
  return length;
}

/** A segment that intents are read from: through its descriptor if that is kept, else from its path. */
export interface IntentSource {
  readonly segment: number;
  readonly path: string;
  readonly file?: FileHandle | undefined;
  readonly seed: number;
}

/** Where an intent's record stands in its segment, and its lines in there. */
export interface Extent {
  readonly at: number;
  readonly bodyAt: number;
  readonly bodyLength: number;
}

/** Reads the lines of one intent, checked by its checksum. */
export async function readIntent(
  { path, file, seed }: IntentSource,
  { at, bodyAt, bodyLength }: Extent,
  scratch: Scratch = createScratch(),
): Promise<Buffer> {
  const length = bodyAt + bodyLength - at;
  if (scratch.bytes.length < length) scratch.bytes = Buffer.allocUnsafeSlow(length);
  const bytes = scratch.bytes.subarray(0, length);
  const opened = file ?? (await open(path));
  try {
    await readFully(opened, bytes, at);
  } finally {
    if (!file) await opened.close();
  }
  if (decodeRecord(bytes, 0, seed) === null) throw new Error(`${path} has changed while it was read`);
  return bytes.subarray(bodyAt - at);
}

function takeAll(
  intents: Map<number, LoadedIntent>,
  bytes: Buffer,
  source: IntentSource,
): 'clean' | 'torn' | 'damaged' {
  const { records, end } = decodeRecords(bytes);
  for (const record of records) take(intents, record, source);
  return end;
}

function take(intents: Map<number, LoadedIntent>, record: JournalRecord, source: IntentSource): void {
  switch (record.type) {
    case 'intent': {
      const { meta } = record;
      const replaced = meta.replaces === undefined ? undefined : intents.get(meta.replaces);
      if (replaced) replaced.replaced = true;
      intents.set(meta.seq, {
        seq: meta.seq,
        segment: source.segment,
        ids: meta.ids === '' ? [] : meta.ids.split(','),
        lastTimeUs: meta.lastTimeUs,
        place: placeOf(meta),
        from: 0,
        replaces: meta.replaces !== undefined,
        settled: false,
        replaced: false,
        logged: meta.logged === true,
        read: (scratch) => readIntent(source, record, scratch),
      });
      return;
    }
    case 'placed': {
      const intent = intents.get(record.meta.seq);
      if (!intent) return;
      intent.place = placeOf(record.meta);
      intent.from = record.meta.from;
      return;
    }
    case 'settled':
      for (const seq of record.meta.seqs) {
        const intent = intents.get(seq);
        if (intent) intent.settled = true;
      }
  }
}
