// Reads what a journal holds: every intent with the place where its bytes were to go last, and whether it is settled.

import { open, readdir } from 'node:fs/promises';
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
  /** Settled in PostgreSQL. */
  settled: boolean;
  /** A later intent has what was missing of it. */
  replaced: boolean;
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
 */
export async function loadJournal(directory: string, only?: readonly number[]): Promise<LoadedJournal> {
  const segments = only ?? (await segmentNumbers(directory));
  const intents = new Map<number, LoadedIntent>();
  const damaged: string[] = [];
  let torn = false;
  let buffer: Buffer = Buffer.alloc(0);
  for (const [at, number] of segments.entries()) {
    const path = segmentPath(directory, number);
    buffer = await readInto(buffer, path);
    const end = decodeHeader(buffer) === null ? 'damaged' : takeAll(intents, buffer, number, path);
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
async function readInto(buffer: Buffer, path: string): Promise<Buffer> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const whole = size > buffer.buffer.byteLength ? Buffer.allocUnsafeSlow(size) : Buffer.from(buffer.buffer, 0, size);
    let length = 0;
    for (let read = -1; length < size && read !== 0; length += read) {
      read = (await file.read(whole, length, size - length, length)).bytesRead;
    }
    return whole.subarray(0, length);
  } finally {
    await file.close();
  }
}

/** Reads the lines of one intent, checked by its checksum. */
async function readBody(
  path: string,
  { at, bodyAt, bodyLength }: { readonly at: number; readonly bodyAt: number; readonly bodyLength: number },
  seed: number,
  scratch: Scratch = createScratch(),
): Promise<Buffer> {
  const wanted = bodyAt + bodyLength - at;
  if (scratch.bytes.length < wanted) scratch.bytes = Buffer.allocUnsafeSlow(wanted);
  const bytes = scratch.bytes.subarray(0, wanted);
  const file = await open(path);
  try {
    for (let length = 0, read = -1; length < bytes.length && read !== 0; length += read) {
      read = (await file.read(bytes, length, bytes.length - length, at + length)).bytesRead;
    }
  } finally {
    await file.close();
  }
  if (decodeRecord(bytes, 0, seed) === null) throw new Error(`${path} has changed while it was read`);
  return bytes.subarray(bodyAt - at);
}

function takeAll(
  intents: Map<number, LoadedIntent>,
  bytes: Buffer,
  segment: number,
  path: string,
): 'clean' | 'torn' | 'damaged' {
  const { records, end } = decodeRecords(bytes);
  const seed = seedOf(bytes);
  for (const record of records) take(intents, record, segment, path, seed);
  return end;
}

function take(
  intents: Map<number, LoadedIntent>,
  record: JournalRecord,
  segment: number,
  path: string,
  seed: number,
): void {
  switch (record.type) {
    case 'intent': {
      const { meta, at, bodyAt, bodyLength } = record;
      const replaced = meta.replaces === undefined ? undefined : intents.get(meta.replaces);
      if (replaced) replaced.replaced = true;
      intents.set(meta.seq, {
        seq: meta.seq,
        segment,
        ids: meta.ids === '' ? [] : meta.ids.split(','),
        lastTimeUs: meta.lastTimeUs,
        place: placeOf(meta),
        from: 0,
        settled: false,
        replaced: false,
        read: (scratch) => readBody(path, { at, bodyAt, bodyLength }, seed, scratch),
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
