import { expect, test } from 'vitest';
import { MOST_SHARDS, nameOf, ownStretches, parseShard, type Shard, shardOf, slotsOf } from '../../src/queue/slots.ts';
import { createQueue } from './world.ts';

const shardsOf = (of: number): readonly Shard[] => Array.from({ length: of }, (_, index) => ({ index, of }));

test('the shards of every layout have each slot once, and their slots tell which shard they are', () => {
  for (let of = 1; of <= MOST_SHARDS; of += 1) {
    const shards = shardsOf(of);
    expect(shards.flatMap(slotsOf).sort((a, b) => a - b)).toEqual(Array.from({ length: 64 }, (_, slot) => slot));
    for (const shard of shards) {
      expect(shardOf(slotsOf(shard))).toEqual(shard);
      expect(parseShard(nameOf(shard))).toEqual(shard);
    }
  }
});

test('what is no i/n is no shard', () => {
  for (const text of ['', '1', '1/1', '2/2', '0/0', '0/33', '-0/2', '0/2/2', '0x1/2', ' 0/2', '0/2 ', '001/2'])
    expect(parseShard(text), text).toBeNull();
});

test('the ids between two are divided as PostgreSQL divides them, below zero too', async () => {
  const queue = await createQueue();
  for (const [after, before] of [
    [-70_000n, 70_000n],
    [1_023n, 1_025n],
    [5n, 6n],
    [9_223_372_036_854_770_000n, 9_223_372_036_854_775_807n],
  ] as const) {
    let total = 0n;
    for (const shard of shardsOf(3)) {
      const stretches = [...ownStretches(shard, after, before)];
      const [counted] = await queue.session.query(
        `SELECT count(*), min(id), max(id) FROM generate_series($1::int8, $2::int8) id WHERE id > $1 AND id < $2 AND ((id >> 10) & 63) = ANY($3::int[])`,
        [String(after), String(before), slotsOf(shard)],
      );
      const size = stretches.reduce((sum, [first, last]) => sum + last - first + 1n, 0n);
      const ends = [stretches[0]?.[0], stretches.at(-1)?.[1]].map((id) => id?.toString() ?? null);
      expect([size.toString(), ...ends]).toEqual(counted);
      total += size;
    }
    expect(total).toBe(before - after - 1n);
  }
});
