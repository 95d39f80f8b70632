import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeHeader,
  decodeRecords,
  encodeHeader,
  encodeRecord,
  HEADER_BYTES,
  type JournalRecord,
  seedOf,
} from '../../../src/log-file/journal/record.ts';
import { JOURNAL_ID } from './scene.ts';

const HEADER = encodeHeader({ number: 17, journalId: JOURNAL_ID });
const ZEROS = Buffer.alloc(64);

const place = fc.record({
  path: fc.string({ unit: 'binary' }),
  inode: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  offset: fc.maxSafeNat(),
  before: fc.record({ length: fc.nat(4096), crc: fc.nat(0xffffffff) }),
});
const seq = fc.nat();
const record = fc.oneof(
  fc.record({
    type: fc.constant('intent' as const),
    meta: fc
      .tuple(place, fc.record({ seq, ids: fc.constantFrom('', '1', '1,-2,3'), lastTimeUs: fc.maxSafeNat() }))
      .map(([where, what]) => ({ ...where, ...what })),
    body: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
  }),
  fc.record({
    type: fc.constant('placed' as const),
    meta: fc.tuple(place, fc.record({ seq, from: fc.nat() })).map(([where, what]) => ({ ...where, ...what })),
    body: fc.constant(null),
  }),
  fc.record({
    type: fc.constant('settled' as const),
    meta: fc.record({ seqs: fc.array(seq) }),
    body: fc.constant(null),
  }),
);
type Written = typeof record extends fc.Arbitrary<infer T> ? T : never;

const encode = (records: readonly Written[], header = HEADER): Buffer =>
  Buffer.concat([
    header,
    ...records.flatMap(({ type, meta, body }) => [
      encodeRecord(type, meta, body, seedOf(header)),
      body ?? ZEROS.subarray(0, 0),
    ]),
  ]);

/** What was read, in the shape of what was written. */
const read = (bytes: Buffer) => {
  const { records, end } = decodeRecords(bytes);
  const bodyOf = (found: JournalRecord): Buffer | null =>
    found.type === 'intent' ? bytes.subarray(found.bodyAt, found.bodyAt + found.bodyLength) : null;
  return { end, records: records.map((found) => ({ type: found.type, meta: found.meta, body: bodyOf(found) })) };
};

const plain = (records: readonly { readonly type: string; readonly meta: object; readonly body: Buffer | null }[]) =>
  records.map(({ type, meta, body }) => JSON.stringify([type, meta, body?.toString('latin1') ?? null]));

test('records are read as they were written', () => {
  fc.assert(
    fc.property(fc.array(record), (records) => {
      const found = read(Buffer.concat([encode(records), ZEROS]));
      expect(found.end).toBe('clean');
      expect(plain(found.records)).toEqual(plain(records));
    }),
  );
});

test('a segment that ends anywhere gives the whole records before that, and says when it was cut in one', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 4 }), fc.nat(), (records, cut) => {
      const ends = records.map((_, at) => encode(records.slice(0, at + 1)).length);
      const bytes = encode(records);
      const length = HEADER_BYTES + (cut % (bytes.length - HEADER_BYTES + 1));
      const found = read(Buffer.concat([bytes.subarray(0, length), ZEROS]));
      const whole = ends.filter((end) => end <= length).length;
      // A record whose last bytes are zeros is as good as whole.
      if (found.records.length > whole) expect(bytes.subarray(length).every((byte) => byte === 0)).toBe(true);
      expect(plain(found.records)).toEqual(plain(records.slice(0, found.records.length)));
      const atEnd = [HEADER_BYTES, ...ends].includes(length);
      if (found.records.length === whole) expect(found.end).toBe(atEnd ? 'clean' : 'torn');
    }),
    { numRuns: 300 },
  );
});

test('one flipped bit never yields a wrong record, never hides another one, and is noticed', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 4 }), fc.nat(), fc.nat(7), (records, at, bit) => {
      const bytes = Buffer.concat([encode(records), ZEROS]);
      const flipped = HEADER_BYTES + (at % (bytes.length - HEADER_BYTES - ZEROS.length));
      bytes[flipped] = (bytes[flipped] ?? 0) ^ (1 << bit);
      const found = read(bytes);
      const hit = records.findIndex((_, index) => flipped < encode(records.slice(0, index + 1)).length);
      expect(plain(found.records)).toEqual(plain(records.filter((_, index) => index !== hit)));
      expect(found.end).toBe(hit === records.length - 1 ? 'torn' : 'damaged');
    }),
    { numRuns: 500 },
  );
});

test('what an earlier use of the blocks left behind the end is never taken for a record', () => {
  fc.assert(
    fc.property(fc.array(record, { maxLength: 3 }), fc.array(record, { minLength: 1 }), (records, older) => {
      const other = encode(older, encodeHeader({ number: 14, journalId: JOURNAL_ID })).subarray(HEADER_BYTES);
      expect(plain(read(Buffer.concat([encode(records), other])).records)).toEqual(plain(records));
    }),
  );
});

test('a header is read as it was written, and with any bit flipped or byte missing it is none', () => {
  expect(decodeHeader(HEADER)).toEqual({ number: 17, journalId: JOURNAL_ID });
  for (let bit = 0; bit < HEADER_BYTES * 8; bit += 1) {
    const bytes = Buffer.from(HEADER);
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decodeHeader(bytes)).toBeNull();
    expect(decodeHeader(HEADER.subarray(0, bit >> 3))).toBeNull();
  }
});
