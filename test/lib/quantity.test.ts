import { expect, test } from 'vitest';
import { bytes, many } from '../../src/lib/quantity.ts';

test.each([
  [0, '0 events'],
  [1, '1 event'],
  [2, '2 events'],
  [1_234_567, '1,234,567 events'],
  [1n, '1 event'],
  [9_007_199_254_740_993n, '9,007,199,254,740,993 events'],
])('%s events are said as "%s"', (value, text) => {
  expect(many(value, 'event')).toBe(text);
});

test.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [1_023, '1,023 bytes'],
  [1_536, '1.5 KiB'],
])('%s bytes are said as "%s"', (value, text) => {
  expect(bytes(value)).toBe(text);
});
