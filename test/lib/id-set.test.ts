import fc from 'fast-check';
import { expect, test } from 'vitest';
import { blockOf, IdSet, idsOfBits, splitId } from '../../src/lib/id-set.ts';

const MAX = 2n ** 63n - 1n;
const id = fc
  .oneof(
    fc.bigInt({ min: -MAX - 1n, max: MAX }),
    fc.bigInt({ min: -3_000n, max: 3_000n }),
    fc.bigInt({ min: 2n ** 53n - 2_000n, max: 2n ** 53n + 2_000n }),
    fc.constantFrom(0n, -1n, 1_023n, 1_024n, 999_999_999_999_999n, 1_000_000_000_000_000n, MAX, -MAX - 1n),
  )
  .map(String);

test('an id splits into block and bit as PostgreSQL shifts and masks it', () => {
  fc.assert(
    fc.property(id, (each) => {
      const value = BigInt(each);
      expect(splitId(each)).toEqual({ block: String(value >> 10n), bit: Number(BigInt.asUintN(64, value) & 1_023n) });
      expect(blockOf(each)).toBe(String(value >> 10n));
    }),
  );
});

test('the ids of a bit string are those whose bits are set', () => {
  fc.assert(
    fc.property(id, fc.uniqueArray(fc.nat(1_023)), (each, bits) => {
      const { block } = splitId(each);
      const text = Array.from({ length: 1_024 }, (_, bit) => (bits.includes(bit) ? '1' : '0')).join('');
      const ids = [...idsOfBits(block, text)];
      expect(ids.map((one) => splitId(one))).toEqual([...bits].sort((a, b) => a - b).map((bit) => ({ block, bit })));
    }),
    { numRuns: 30 },
  );
});

test('it behaves as a Set of strings does', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('add', 'delete', 'has'), id)), (operations) => {
      const set = new IdSet();
      const model = new Set<string>();
      for (const [operation, each] of operations) {
        const before = model.has(each);
        if (operation === 'add') {
          expect(set.add(each)).toBe(!before);
          model.add(each);
        } else if (operation === 'delete') expect(set.delete(each)).toBe(model.delete(each));
        expect(set.has(each)).toBe(model.has(each));
        expect(set.size).toBe(model.size);
      }
    }),
  );
});
