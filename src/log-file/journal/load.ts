// Reads what a journal holds: every intent with the place where its bytes were to go last, and whether it is settled.

import { readdir, readFile } from 'node:fs/promises';
import type { LogPlace } from './intent.ts';
import { decodeHeader, decodeRecords, HEADER_BYTES, type JournalRecord, placeOf } from './record.ts';
import { segmentNumber, segmentPath } from './segment.ts';

export interface LoadedIntent {
  readonly seq: number;
  /** The segment that holds its bytes. */
  readonly segment: number;
  readonly ids: readonly string[];
  readonly lastTimeUs: number;
  /** Where the bytes from index `from` on were to go; those before are on disk in an earlier file. */
  place: LogPlace;
  from: number;
  /** Settled in PostgreSQL, or replaced by a later intent. */
  closed: boolean;
  /** Reads its bytes from the segment. */
  readonly read: () => Promise<Buffer>;
}

export interface LoadedJournal {
  /** Ascending. */
  readonly segments: readonly number[];
  /** In the order of their numbers. */
  readonly intents: readonly LoadedIntent[];
  /** Segments that cannot be read to their end: not of this version, or damaged. */
  readonly unreadable: readonly string[];
}

/** Reads all segments of a state directory, one at a time. */
export async function loadJournal(directory: string): Promise<LoadedJournal> {
  const numbers = (await readdir(directory)).flatMap((name) => segmentNumber(name) ?? []);
  numbers.sort((a, b) => a - b);
  const intents = new Map<number, LoadedIntent>();
  const unreadable: string[] = [];
  for (const number of numbers) {
    const path = segmentPath(directory, number);
    const bytes = await readFile(path);
    if (isUnused(bytes)) continue;
    if (decodeHeader(bytes) === null) {
      unreadable.push(path);
      continue;
    }
    const { records, damaged } = decodeRecords(bytes);
    if (damaged) unreadable.push(path);
    for (const record of records) take(intents, record, number, path);
  }
  return { segments: numbers, intents: [...intents.values()].sort((a, b) => a.seq - b.seq), unreadable };
}

/** A crash came while the segment was made: it never held anything. */
const isUnused = (bytes: Buffer): boolean => bytes.subarray(0, HEADER_BYTES).every((byte) => byte === 0);

/** Reads the lines of some intents of one segment, checked by their checksums. */
async function readBody(path: string, bodyAt: number, length: number): Promise<Buffer> {
  const bytes = await readFile(path);
  const found = decodeRecords(bytes).records.find((record) => record.type === 'intent' && record.bodyAt === bodyAt);
  if (found?.type !== 'intent' || found.bodyLength !== length) throw new Error(`${path} has changed while it was read`);
  return Buffer.from(bytes.subarray(bodyAt, bodyAt + length));
}

function take(intents: Map<number, LoadedIntent>, record: JournalRecord, segment: number, path: string): void {
  switch (record.type) {
    case 'intent': {
      const { meta, bodyAt, bodyLength } = record;
      const replaced = meta.replaces === undefined ? undefined : intents.get(meta.replaces);
      if (replaced) replaced.closed = true;
      intents.set(meta.seq, {
        seq: meta.seq,
        segment,
        ids: meta.ids === '' ? [] : meta.ids.split(','),
        lastTimeUs: meta.lastTimeUs,
        place: placeOf(meta),
        from: 0,
        closed: false,
        read: () => readBody(path, bodyAt, bodyLength),
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
        if (intent) intent.closed = true;
      }
  }
}
