import { expect, test } from 'vitest';
import { createBufferPool, SharedBytes } from '../../src/recording/shared-bytes.ts';

test('bytes are given back when their filler and all their users have let go of them, not before', () => {
  const returned: Buffer[] = [];
  const shared = new SharedBytes(Buffer.from('abc'), (bytes) => returned.push(bytes));
  shared.addUser();
  shared.letGo();
  shared.addUser();
  shared.letGo();
  expect(returned).toEqual([]);
  shared.letGo();
  expect(returned).toEqual([Buffer.from('abc')]);
});

test('a pool lends again what was given back, whole, and each buffer to one at a time', () => {
  const pool = createBufferPool(1_024);
  const first = pool.lend();
  pool.giveBack(first.subarray(10, 20));
  pool.giveBack(first);
  const [second, third] = [pool.lend(), pool.lend()];
  expect(second).toBe(first);
  expect(second).toHaveLength(1_024);
  expect(third.buffer).not.toBe(first.buffer);
});

test('a pool takes no memory that is not its own', () => {
  const pool = createBufferPool(4);
  const other = Buffer.alloc(4);
  pool.giveBack(other);
  expect(pool.lend()).not.toBe(other);
});
