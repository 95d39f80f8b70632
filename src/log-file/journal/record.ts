// The journal's format, version 1. A segment is a header and records one behind the other, then the zeros of a record's
// head, then what an earlier use of the same blocks left there. All numbers are little-endian.
//
//   header   "TRJOURN1" · u64 segment number · 16 bytes journal id · u32 CRC-32 of the 32 bytes before
//   record   u32 magic "TRJR" · u32 type · u32 length of meta · u32 length of body · u32 CRC-32 · meta · body
//
// `meta` is a JSON object, `body` the lines of an intent. The CRC begins with that of the header, so that a record of
// another segment is never taken for one of this, and covers type, lengths, meta and body. A record whose CRC is wrong at
// the end was probably being written when the power went, and then the log file was not touched on its behalf; with whole
// records behind it the segment was damaged later.

import { crc32 } from 'node:zlib';
import type { Fingerprint, Intent, LogPlace } from './intent.ts';

const MAGIC = Buffer.from('TRJOURN1', 'latin1');
const RECORD_MAGIC = 0x524a5254;
const RECORD_MAGIC_BYTES = Buffer.from('TRJR', 'latin1');
export const HEADER_BYTES = 36;
export const RECORD_HEAD_BYTES = 20;

const TYPES = ['intent', 'placed', 'settled'] as const;

export interface SegmentHeader {
  readonly number: number;
  /** UUID of the journal, as in tailrace.writer. */
  readonly journalId: string;
}

interface PlaceMeta {
  readonly path: string;
  readonly inode: string;
  readonly offset: number;
  readonly before: Fingerprint;
}

export interface IntentMeta extends PlaceMeta {
  readonly seq: number;
  /** Joined by commas. */
  readonly ids: string;
  readonly lastTimeUs: number;
  readonly replaces?: number;
  readonly logged?: true;
}

export interface PlacedMeta extends PlaceMeta {
  readonly seq: number;
  readonly from: number;
}

export interface SettledMeta {
  readonly seqs: readonly number[];
}

export type JournalRecord =
  | {
      readonly type: 'intent';
      readonly meta: IntentMeta;
      /** Index of its first byte in the segment. */
      readonly at: number;
      readonly bodyAt: number;
      readonly bodyLength: number;
    }
  | { readonly type: 'placed'; readonly meta: PlacedMeta }
  | { readonly type: 'settled'; readonly meta: SettledMeta };

/** @returns the header's bytes; the seed of the records' checksums is `seedOf` them. */
export function encodeHeader({ number, journalId }: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeBigUInt64LE(BigInt(number), 8);
  Buffer.from(journalId.replaceAll('-', ''), 'hex').copy(bytes, 16);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 32)), 32);
  return bytes;
}

/** @returns null when it is no header of this version. */
export function decodeHeader(bytes: Buffer): SegmentHeader | null {
  if (bytes.length < HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return null;
  if (bytes.readUInt32LE(32) !== crc32(bytes.subarray(0, 32))) return null;
  const hex = bytes.toString('hex', 16, 32);
  const journalId = hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  return { number: Number(bytes.readBigUInt64LE(8)), journalId };
}

/** Where the checksums of a segment's records begin. */
export const seedOf = (header: Buffer): number => header.readUInt32LE(32);

/** A record's bytes before its body. */
export function encodeRecord(type: JournalRecord['type'], meta: object, body: Buffer | null, seed: number): Buffer {
  const text = Buffer.from(JSON.stringify(meta), 'utf8');
  const head = Buffer.alloc(RECORD_HEAD_BYTES + text.length);
  head.writeUInt32LE(RECORD_MAGIC, 0);
  head.writeUInt32LE(TYPES.indexOf(type), 4);
  head.writeUInt32LE(text.length, 8);
  head.writeUInt32LE(body?.length ?? 0, 12);
  text.copy(head, RECORD_HEAD_BYTES);
  head.writeUInt32LE(checksum(head, text, body, seed), 16);
  return head;
}

export const intentMeta = (
  seq: number,
  { place, ids, lastTimeUs, replaces, logged }: Omit<Intent, 'bytes'>,
): IntentMeta => ({
  seq,
  ...placeMeta(place),
  ids: ids.join(','),
  lastTimeUs,
  ...(replaces === undefined ? {} : { replaces }),
  ...(logged === true ? { logged } : {}),
});

export const placedMeta = (seq: number, place: LogPlace, from: number): PlacedMeta => ({
  seq,
  ...placeMeta(place),
  from,
});

export const placeOf = ({ path, inode, offset, before }: PlaceMeta): LogPlace => ({
  path,
  inode: BigInt(inode),
  offset,
  before,
});

/**
 * Reads the records of a whole segment, also those behind a damaged one.
 *
 * @param bytes from the header on.
 * @returns `end`: `torn` when something stands behind the last record that is not one, which a crash leaves, or a damage
 * to the last; `damaged` when a whole record stands behind such bytes.
 */
export function decodeRecords(bytes: Buffer): {
  readonly records: readonly JournalRecord[];
  readonly end: 'clean' | 'torn' | 'damaged';
} {
  const seed = seedOf(bytes);
  const records: JournalRecord[] = [];
  let end: 'clean' | 'torn' | 'damaged' = 'clean';
  for (let at = HEADER_BYTES; at >= 0; ) {
    const found = decodeRecord(bytes, at, seed);
    if (found) {
      records.push(found.record);
      if (end === 'torn') end = 'damaged';
      at = found.end;
    } else {
      if (end === 'clean' && !isZero(bytes.subarray(at, at + RECORD_HEAD_BYTES))) end = 'torn';
      at = bytes.indexOf(RECORD_MAGIC_BYTES, at + 1);
    }
  }
  return { records, end };
}

/**
 * Reads the record at an index.
 *
 * @returns null when there is none that is whole.
 */
export function decodeRecord(
  bytes: Buffer,
  at: number,
  seed: number,
): { readonly record: JournalRecord; readonly end: number } | null {
  if (at + RECORD_HEAD_BYTES > bytes.length || bytes.readUInt32LE(at) !== RECORD_MAGIC) return null;
  const type = TYPES[bytes.readUInt32LE(at + 4)];
  const metaAt = at + RECORD_HEAD_BYTES;
  const bodyAt = metaAt + bytes.readUInt32LE(at + 8);
  const end = bodyAt + bytes.readUInt32LE(at + 12);
  if (type === undefined || end > bytes.length) return null;
  const crc = checksum(bytes.subarray(at, metaAt), bytes.subarray(metaAt, bodyAt), bytes.subarray(bodyAt, end), seed);
  if (crc !== bytes.readUInt32LE(at + 16)) return null;
  const meta = JSON.parse(bytes.toString('utf8', metaAt, bodyAt));
  return { record: type === 'intent' ? { type, meta, at, bodyAt, bodyLength: end - bodyAt } : { type, meta }, end };
}

const isZero = (bytes: Buffer): boolean => bytes.every((byte) => byte === 0);

function placeMeta({ path, inode, offset, before }: LogPlace): PlaceMeta {
  return { path, inode: inode.toString(), offset, before };
}

function checksum(head: Buffer, meta: Buffer, body: Buffer | null, seed: number): number {
  const crc = crc32(meta, crc32(head.subarray(4, 16), seed));
  return body === null ? crc : crc32(body, crc);
}
