import fc from 'fast-check';
import { expect, test } from 'vitest';
import { behindBlanks, endOfJsonValue } from '../../src/lib/json-bytes.ts';

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Whether a text is one JSON value, with blanks around it. */
function isValue(text: string): boolean {
  const bytes = Buffer.from(text);
  const end = endOfJsonValue(bytes, behindBlanks(bytes, 0));
  return end >= 0 && behindBlanks(bytes, end) === bytes.length;
}

/** Valid JSON, and what one changed, removed or doubled character makes of it. */
const damagedJson = fc
  .tuple(
    fc.json(),
    fc.nat(),
    fc.constantFrom('', '"', '\\', '{', ']', ',', ':', '0', '-', '.', 'e', '\u0000', ' ', 'u', '\n'),
    fc.boolean(),
  )
  .map(([json, place, other, isAdded]) => {
    const at = place % (json.length + 1);
    return json.slice(0, at) + other + json.slice(isAdded ? at : at + 1);
  });

test('it says of a text what JSON.parse says of it', () => {
  fc.assert(
    fc.property(fc.oneof(damagedJson, fc.json(), fc.string()), (text) => {
      fc.pre(text.isWellFormed());
      expect(isValue(text)).toBe(isJson(text));
    }),
    { numRuns: 1_500 },
  );
});

test.each([
  '01',
  '1.',
  '.5',
  '-',
  '-0',
  '1e',
  '1e+',
  '1E-2',
  '+1',
  'nul',
  'nulll',
  'True',
  '"',
  '"\\',
  '"\\x"',
  '"\\u12"',
  '"\\u12g4"',
  '"\\u12aF"',
  '[',
  '[1',
  '[1,',
  '[1,]',
  '[,]',
  '{',
  '{"',
  '{"a"',
  '{"a":',
  '{"a":1',
  '{"a":1,',
  '{"a":1,}',
  '{a:1}',
  '[1 2]',
  '"\t"',
  '"\u007f"',
  '\ufeff1',
  '',
  ' ',
  '{"a" : [ ] , "b":{ } }',
])('it says of %j what JSON.parse says of it', (text) => {
  expect(isValue(text)).toBe(isJson(text));
});

test.each([
  ['{"a":1,"b":x}', 11],
  ['{"a":"\u0001"}', 6],
  ['{"a":"b', 7],
  ['[1,2', 4],
  ['{"ü":truX}', 9],
])('the fault in %j is at byte %i', (text, at) => {
  expect(endOfJsonValue(Buffer.from(text), 0)).toBe(~at);
});

test('nesting without end ends in a fault, not in an overflow of the stack', () => {
  expect(endOfJsonValue(Buffer.from('['.repeat(1_000_000)), 0)).toBeLessThan(0);
});
