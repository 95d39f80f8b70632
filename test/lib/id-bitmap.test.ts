import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdBitmap, idOf, placeOf } from '../../src/lib/id-bitmap.ts';

const MAX = 2n ** 63n - 1n;
const id = fc.oneof(
  fc.bigInt({ min: -MAX - 1n, max: MAX }),
  fc.bigInt({ min: -3_000n, max: 3_000n }),
  fc.constantFrom(0n, -1n, 31n, 32n, 1_023n, 1_024n, 2n ** 53n, MAX, -MAX - 1n),
);

const add = (set: IdBitmap, each: bigint): boolean => {
  const { block, bit } = placeOf(each);
  return set.add(block, bit);
};

test('block and bit stand for one id, as PostgreSQL shifts and masks it', () => {
  fc.assert(
    fc.property(id, (each) => {
      const { block, bit } = placeOf(each);
      expect({ block: BigInt(block), bit: BigInt(bit), id: idOf(block, bit) }).toEqual({
        block: each >> 10n,
        bit: BigInt.asUintN(64, each) & 1_023n,
        id: each,
      });
    }),
  );
});

test('it behaves as a Set of bigints does', () => {
  fc.assert(
    fc.property(fc.array(id), id, (ids, other) => {
      const [set, model] = [new IdBitmap(), new Set<bigint>()];
      for (const each of ids) {
        expect(add(set, each)).toBe(!model.has(each));
        model.add(each);
      }
      const { block, bit } = placeOf(other);
      expect(set.has(block, bit)).toBe(model.has(other));
      expect(set.size).toBe(model.size);
      expect([...set.ids()]).toEqual([...model].sort((a, b) => (a < b ? -1 : 1)));
    }),
    { numRuns: 200 },
  );
});

test('its gaps are what lies between its ids', () => {
  fc.assert(
    fc.property(fc.array(fc.bigInt({ min: -2_100n, max: 2_100n }), { minLength: 1 }), (ids) => {
      const set = new IdBitmap();
      for (const each of ids) add(set, each);
      const sorted = [...new Set(ids)].sort((a, b) => (a < b ? -1 : 1));
      const gaps = sorted.slice(1).flatMap((to, at) => {
        const from = (sorted[at] ?? 0n) + 1n;
        return from < to ? [{ from, to: to - 1n }] : [];
      });
      expect([...set.gaps()]).toEqual(gaps);
    }),
  );
});

test('it takes no more blocks than it may, and says so', () => {
  const set = new IdBitmap(3_000);
  for (let block = 0; block < 4_000; block += 1) expect(set.add(block, block % 1_024)).toBe(true);
  expect(set.isFull).toBe(true);
  expect(set.size).toBe(3_000);
  expect(set.add(3_500, 3_500 % 1_024)).toBe(true);
  expect(set.add(1, 1)).toBe(false);
  expect(set.bytes).toBeLessThan(1_000_000);
});
