import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bounceText, storableText } from '../../src/recording/bounce-text.ts';

test('bytes that are not UTF-8 become U+FFFD before the text is cut', () => {
  expect(bounceText(Buffer.from([0x61, 0xff, 0x62, 0xc3]), 1024)).toBe('a\ufffdb\ufffd');
  expect(bounceText(Buffer.from([0x61, 0xff, 0x62]), 4)).toBe('a\ufffd');
});

test('a character that does not fit as a whole is left out', () => {
  expect(bounceText('aé', 2)).toBe('a');
  expect(bounceText('😀😀', 7)).toBe('😀');
  expect(bounceText('abc', 0)).toBe('');
});

test('a text of exactly the limit is kept', () => {
  expect(bounceText('x'.repeat(1024), 1024)).toHaveLength(1024);
  expect(bounceText('é'.repeat(512), 1024)).toHaveLength(512);
});

test('any bytes give the longest storable text within the limit', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(80), (bytes, limit) => {
      const whole = storableText(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes));
      const text = bounceText(bytes, limit);
      const next = [...whole][[...text].length] ?? '';
      expect(whole.startsWith(text)).toBe(true);
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(limit);
      expect(next === '' || Buffer.byteLength(text + next) > limit).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});

test('U+0000 and lone surrogates become U+FFFD, pairs stay', () => {
  expect(storableText('a\u0000b\ud800c\udc00d😀')).toBe('a\ufffdb\ufffdc\ufffdd😀');
});
