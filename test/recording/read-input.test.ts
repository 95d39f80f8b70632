import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type InputRecord, type InputRecords, MAX_EVENT_BYTES } from '../../src/recording/input-record.ts';
import { type InputFormat, readInput } from '../../src/recording/read-input.ts';

async function read(input: string | Iterable<Buffer>, format: InputFormat = 'auto'): Promise<InputRecord[]> {
  const chunks = typeof input === 'string' ? [Buffer.from(input)] : input;
  return all(readInput(Readable.from(chunks), format));
}

async function all(input: InputRecords): Promise<InputRecord[]> {
  const list: InputRecord[] = [];
  for await (const records of input) list.push(...records.map(plainObject));
  return list;
}

/** A record with its text, whether that is there already or still to be decoded. */
function plainObject({ line, text, problem, isLast }: InputRecord): InputRecord {
  return { line, text, ...(problem !== undefined && { problem }), ...(isLast && { isLast }) };
}

/** The bytes in pieces of the sizes given, over and over. */
function* pieces(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length] ?? 1;
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

test('each line is a record with its number; blank lines count but are no records', async () => {
  expect(await read('{"a":1}\r\n\n  \n{"b":2}')).toEqual([
    { line: 1, text: '{"a":1}\r' },
    { line: 4, text: '{"b":2}', isLast: true },
  ]);
});

test.each(['', '\n\n', '\ufeff', ' '])('the input %j has no records', async (input) => {
  expect(await read(input)).toEqual([]);
});

test('a byte order mark is passed over, in one piece or in three', async () => {
  const bytes = Buffer.from('\ufeff{"a":1}\n');
  expect(await read([bytes])).toEqual([{ line: 1, text: '{"a":1}' }]);
  expect(await read(pieces(bytes, [1]))).toEqual([{ line: 1, text: '{"a":1}' }]);
  expect(await read(pieces(Buffer.from('\ufeff \n[1]'), [1]))).toEqual([{ line: 2, text: '1' }]);
});

test('bytes that are not UTF-8 become U+FFFD', async () => {
  expect(await read([Buffer.from([0x22, 0xff, 0x22, 0x0a])])).toEqual([{ line: 1, text: '"\ufffd"' }]);
});

test('a line that is too long is cut and said, and the next one is read', async () => {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  function* input() {
    yield Buffer.from('{"a":1}\n');
    for (let bytes = 0; bytes <= MAX_EVENT_BYTES; bytes += chunk.length) yield chunk;
    yield Buffer.from('\n{"b":2}\n');
  }
  const [first, cut, last, ...rest] = await read(input());
  expect([first?.line, last]).toEqual([1, { line: 3, text: '{"b":2}' }]);
  expect(cut).toMatchObject({ line: 2, problem: 'longer than 16 MiB' });
  expect(cut?.text.length).toBeLessThan(2_000);
  expect(rest).toEqual([]);
});

test('an input that begins with a bracket is an array, whose elements tell the line they begin on', async () => {
  expect(await read('[\n  {"a": 1,\n   "b": [true, null, {"c": "x"}]},\n\n 17, "s", []\n]\n')).toEqual([
    { line: 2, text: '{"a":1,"b":[true,null,{"c":"x"}]}' },
    { line: 5, text: '17' },
    { line: 5, text: '"s"' },
    { line: 5, text: '[]' },
  ]);
  expect(await read('[]')).toEqual([]);
});

test('numbers keep their digits in an array', async () => {
  expect(await read('[{"a":9007199254740993,"b":-1.50e-7}]')).toEqual([
    { line: 1, text: '{"a":9007199254740993,"b":-1.50e-7}' },
  ]);
});

test('any array, in any pieces, gives its elements', async () => {
  const property = fc.asyncProperty(
    fc.array(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue())),
    fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }),
    fc.constantFrom(0, 2),
    async (array, sizes, space) => {
      const records = await read(pieces(Buffer.from(JSON.stringify(array, null, space)), sizes), 'array');
      expect(records.map(({ text }) => JSON.parse(text))).toEqual(JSON.parse(JSON.stringify(array)));
    },
  );
  await fc.assert(property, { numRuns: 300 });
});

test('an array that breaks gives what came before and one problem', async () => {
  const [first, broken, ...rest] = await read('[{"a":1},\n{"b":oops},{"c":3},{"d":4}]');
  expect(first).toEqual({ line: 1, text: '{"a":1}' });
  expect(broken).toMatchObject({ line: 2, problem: expect.stringContaining('not a JSON array from here on') });
  expect(rest).toEqual([]);
});

test('an array that breaks gives what came before on the same line, too', async () => {
  const records = await read('[{"a":1},{"b":{"c":"}"}},{"d":4} {"e":5}]');
  expect(records.map(({ text }) => text)).toEqual(['{"a":1}', '{"b":{"c":"}"}}', '{"d":4}', ' {"e":5}']);
  expect(records.map(({ problem }) => problem !== undefined)).toEqual([false, false, false, true]);
  expect((await read('[{"a":1}] junk')).map(({ text }) => text)).toEqual(['{"a":1}', '] junk']);
});

test('an array that ends too early gives what came before and one problem', async () => {
  const records = await read('[{"a":1},\n{"b":2');
  expect(records).toEqual([
    { line: 1, text: '{"a":1}' },
    {
      line: 2,
      text: '',
      problem: 'not a JSON array from here on, the rest is not read: the input breaks off',
      isLast: true,
    },
  ]);
});

test.each(['{"a":1}', '', '17'])('%j is no array', async (input) => {
  const records = await read(input, 'array');
  expect(records).toEqual([expect.objectContaining({ line: 1, problem: expect.stringMatching(/array/) })]);
});

test('an element that is too long is cut and said, and the next one is read', async () => {
  const chunk = Buffer.alloc(64 * 1024, 'x');
  function* input() {
    yield Buffer.from('[{"a":"');
    for (let bytes = 0; bytes <= MAX_EVENT_BYTES; bytes += chunk.length) yield chunk;
    yield Buffer.from('"},{"b":2}]');
  }
  const [cut, next] = await read(input());
  expect(cut).toMatchObject({ line: 1, problem: 'longer than 16 MiB' });
  expect(next).toEqual({ line: 1, text: '{"b":2}' });
});

test('an input that fails in the middle fails the reading', async () => {
  async function* input() {
    yield Buffer.from('{"a":1}\n');
    throw new Error('the disk is gone');
  }
  await expect(all(readInput(input(), 'auto'))).rejects.toThrow('the disk is gone');
});

const TWO = [expect.objectContaining({ text: '{"a":1}' }), expect.objectContaining({ text: '{"a":2}' })];

test.each([
  ['lines', '{"a":1}\n{"a":2}\n'],
  ['an array', '[{"a":1},{"a":2}]'],
  ['an object around an array', '{"events":[{"a":1},{"a":2}]}'],
  [
    'one with more in it',
    '{\n "v": {"events": [0]}, "s": "\\"events\\":[", "events" :\n[{"a":1},{"a":2}], "n": [null]}',
  ],
])('%s, also gzipped and in any pieces, are told by their beginning', async (_, text) => {
  for (const bytes of [
    Buffer.from(text),
    gzipSync(text),
    Buffer.concat([gzipSync(text.slice(0, 9)), gzipSync(text.slice(9))]),
  ]) {
    expect(await read([bytes])).toEqual(TWO);
    expect(await read(pieces(bytes, [1, 3]))).toEqual(TWO);
  }
});

test('an event with a field called events is a line', async () => {
  expect(await read('{"event_type":"x","events":[{"a":1}]}\n')).toHaveLength(1);
  expect(await read('{"e":{"events":[1]}}\n{"events":[1]}')).toHaveLength(2);
});

test('an object without events, or with others than an array, is said', async () => {
  expect(await read('{"a":[1]}', 'array')).toMatchObject([{ problem: expect.stringContaining('no array "events"') }]);
  expect(await read('{"events":7}', 'array')).toMatchObject([
    { problem: expect.stringContaining('"events" is not an array') },
  ]);
});

test('gzip that breaks off gives what came before and fails', async () => {
  const whole = gzipSync(Array.from({ length: 9_000 }, (_, n) => `{"a":${n * 7919}}`).join('\n'));
  const records: InputRecord[] = [];
  const reading = async (): Promise<void> => {
    for await (const some of readInput(Readable.from([whole.subarray(0, whole.length - 9)]), 'auto'))
      records.push(...some.map(plainObject));
  };
  await expect(reading()).rejects.toMatchObject({ code: 'Z_BUF_ERROR' });
  expect(records[0]).toEqual({ line: 1, text: '{"a":0}' });
});
