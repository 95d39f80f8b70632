import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ValueKind } from '../../src/event/event.ts';
import { jsonString } from '../../src/event/json-string.ts';
import { arrayElements, isJsonObject, objectMembers, oneLineJson } from '../../src/event/json-text.ts';
import { formOf, JsonWriter } from '../../src/event/json-writer.ts';
import { ColumnPlaces, encodeRow } from '../../src/event/row-bytes.ts';

/** A column as it is written. */
function jsonValue(raw: string, kind: ValueKind, expand: boolean): string {
  const places = new ColumnPlaces(1);
  const row = encodeRow([raw]);
  places.read(row, 0);
  const out = new JsonWriter(1);
  out.column(row, places, 0, formOf(kind, expand));
  return out.bytes.toString('utf8', 0, out.length);
}

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.string({ unit: fc.constantFrom('\ud800', '\udc00', '"', '\\', '\n', '\u2028', '\u0000', 'é', ' ') }),
);

test.each([
  ['9223372036854775807', 'integer'],
  ['-9223372036854775808', 'integer'],
  ['9007199254740993', 'integer'],
  ['1795298400.1234567', 'double'],
  ['1e+20', 'double'],
  ['-1.5e-07', 'double'],
  ['-0', 'double'],
] as const)('the number %s keeps its digits', (raw, kind) => {
  expect(jsonValue(raw, kind, false)).toBe(raw);
  JSON.parse(raw);
});

test.each(['NaN', 'Infinity', '-Infinity'])('%s is a string, since JSON has no such number', (raw) => {
  expect(jsonValue(raw, 'double', false)).toBe(`"${raw}"`);
});

test.each([
  ['12\n', 'integer'],
  ['1"', 'integer'],
  ['2026-11-22', 'integer'],
  ['1.5', 'integer'],
  ['-', 'integer'],
  ['', 'integer'],
  ['10,"a":1', 'double'],
  ['1\n', 'double'],
] as const)('%j, of a column that is no number any more, tears no line', (raw, kind) => {
  expect(jsonValue(raw, kind, false)).toBe(JSON.stringify(raw));
});

test('booleans are booleans', () => {
  expect(jsonValue('t', 'boolean', false)).toBe('true');
  expect(jsonValue('f', 'boolean', false)).toBe('false');
});

test('every text comes back from its JSON string as it was', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const json = jsonString(text);
      expect(JSON.parse(json)).toBe(text);
      expect(json).not.toMatch(/[\n\r]/);
    }),
    { numRuns: 5_000 },
  );
});

test('a text is written from its bytes as it is from a string', () => {
  fc.assert(
    fc.property(anyText, fc.nat({ max: 3 }), (text, times) => {
      const long = text.toWellFormed().repeat(10 ** times);
      expect(jsonValue(long, 'text', false)).toBe(jsonString(long));
    }),
    { numRuns: 2_000 },
  );
});

test('a lone surrogate is escaped, so that the text is valid UTF-8', () => {
  expect(jsonString('a\ud800b')).toBe('"a\\ud800b"');
  expect(jsonString('😀')).toBe('"😀"');
});

test('a text that is a JSON object is written as that object when asked for', () => {
  expect(jsonValue('{"Subject": "a, b", "n": 12345678901234567890.10}', 'text', true)).toBe(
    '{"Subject": "a, b", "n": 12345678901234567890.10}',
  );
  expect(jsonValue('{"a":1}', 'text', false)).toBe('"{\\"a\\":1}"');
});

test('an object of several lines becomes one of one line', () => {
  expect(jsonValue('{\n  "a": "x\\n y",\r\n\t"b": [\n 1.0 ]\n}\n', 'text', true)).toBe('{"a": "x\\n y","b": [1.0 ]}');
});

test.each(['[1]', '"a"', '17', 'null', '', ' ', '{', '{"a":1}x', '{a:1}', '{"a":\u00a01}'])(
  '%j is no JSON object and stays a string',
  (text) => {
    expect(jsonValue(text, 'text', true)).toBe(JSON.stringify(text));
  },
);

test('what is an object is what JSON.parse takes for one, whatever has been spoilt in it', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.nat(),
      fc.constantFrom('', '"', '\\', '{', '}', ',', ':', '0', '-', '.', 'e', 'u', ' ', '\n', '\r', '\u0001', 'é'),
      (object, place, char) => {
        const json = JSON.stringify(object);
        const at = place % json.length;
        const text = json.slice(0, at) + char + json.slice(at + 1);
        expect(jsonValue(text, 'text', true)).toBe(isJsonObject(text) ? oneLineJson(text) : jsonString(text));
      },
    ),
    { numRuns: 5_000 },
  );
});

test('an object that ends behind its column is none', () => {
  const places = new ColumnPlaces(1);
  const row = encodeRow(['{"a":1}']);
  places.read(row, 0);
  places.ends[0] = row.length - 1;
  const out = new JsonWriter(1);
  out.column(row, places, 0, 'object');
  expect(out.bytes.toString('utf8', 0, out.length)).toBe('"{\\"a\\":1"');
});

test('objects in objects without end are no matter', () => {
  const text = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`;
  expect(jsonValue(text, 'text', true)).toBe(text);
});

test('any object, however it is laid out, keeps its meaning on one line', () => {
  fc.assert(
    fc.property(fc.dictionary(anyText, fc.jsonValue()), fc.constantFrom(0, 1, 2, '\t'), (object, space) => {
      const json = JSON.stringify(object, null, space);
      const line = oneLineJson(json);
      expect(line).not.toMatch(/[\n\r]/);
      expect(JSON.parse(line)).toEqual(JSON.parse(json));
    }),
    { numRuns: 1_000 },
  );
});

test('the members of an object are its keys with the JSON text of their values', () => {
  const json = ' { "a" : 9007199254740993 , "b\\"}" : {"x":[1,{"y":"},\\\\"}]} ,"__proto__":null,"c":"\\\\\\""}';
  expect(objectMembers(json)).toEqual([
    ['a', '9007199254740993'],
    ['b"}', '{"x":[1,{"y":"},\\\\"}]}'],
    ['__proto__', 'null'],
    ['c', '"\\\\\\""'],
  ]);
  expect(objectMembers(' {} ')).toEqual([]);
});

test('the members of any object give its values', () => {
  fc.assert(
    fc.property(fc.dictionary(anyText, fc.jsonValue()), fc.constantFrom(0, 2), (object, space) => {
      const json = JSON.stringify(object, null, space);
      const entries = objectMembers(json).map(([key, value]) => [key, JSON.parse(value)]);
      expect(entries).toEqual(Object.entries(JSON.parse(json)));
    }),
    { numRuns: 1_000 },
  );
});

test('an object of many megabytes in one string does not exhaust the stack', () => {
  const text = '\\"'.repeat(4_000_000);
  expect(objectMembers(`{"a":"${text}"}`)[0]?.[1]).toHaveLength(text.length + 2);
  expect(jsonValue(`{"a":\n"${text}"}`, 'text', true)).toHaveLength(text.length + 8);
});

test('the elements of any array are taken apart as they are written', () => {
  fc.assert(
    fc.property(fc.array(fc.json()), fc.constantFrom('', ' ', '\n\t'), (elements, blank) => {
      const json = `${blank}[${blank}${elements.join(`${blank},${blank}`)}${blank}]${blank}`;
      const found = arrayElements(json, 1_000);
      expect(found?.map((each) => JSON.parse(each))).toEqual(JSON.parse(json));
    }),
  );
});

test('a text is a JSON array exactly when it has elements and each of them is JSON', () => {
  const piece = fc.constantFrom(
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '"',
    '\\',
    '"a"',
    '1',
    ' ',
    'null',
    '{"a":[1]}',
    '\u00a0',
  );
  const isJson = (text: string): boolean => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = `[${pieces.join('')}`;
      const found = arrayElements(text, 1_000);
      expect(found?.every(isJson) ?? false).toBe(isJson(text));
    }),
    { numRuns: 5_000 },
  );
});

test('no more elements are looked for than are wanted', () => {
  expect(arrayElements(`[${'1,'.repeat(1_000_000)}`, 2)).toEqual(['1', '1', '1']);
});
