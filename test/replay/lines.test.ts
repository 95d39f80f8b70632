import { expect, test } from 'vitest';
import { BEGINNING, type Lines, type Mark, readLines } from '../../src/replay/lines.ts';

/** Lines read from a text that comes in chunks of some bytes. */
async function read(text: string | Buffer, chunkBytes: number, from: Mark = BEGINNING, end: number | null = null) {
  const bytes = Buffer.from(text);
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
  }
  const all: Lines[] = [];
  for await (const lines of readLines(chunks(), from, end)) all.push(lines);
  return all;
}

const TEXT = 'one\ntwo – zwei\n\n💌\nlast';

test.each([1, 2, 3, 5, 7, 16, 100])('in chunks of %i bytes the lines are the same', async (chunkBytes) => {
  const all = await read(TEXT, chunkBytes);
  expect(all.flatMap(({ texts }) => texts)).toEqual(TEXT.split('\n'));
  expect(all.map(({ isCut }) => isCut)).toEqual([...all.slice(1).map(() => false), true]);
});

test('reading begins again at each mark with the line behind it', async () => {
  // Bytes that are no UTF-8 count as what they are on the disk.
  const bytes = Buffer.concat([Buffer.from('a\n\xff\xfe\n', 'latin1'), Buffer.from(TEXT)]);
  const all = await read(bytes, 4);
  const texts = all.flatMap((lines) => lines.texts);
  for (const { mark } of all) {
    const rest = (await read(bytes, 5, mark)).flatMap((lines) => lines.texts);
    expect(rest).toEqual(texts.slice(mark.line));
  }
});

test('nothing behind the end is read', async () => {
  const all = await read('one\ntwo\nthree\n', 3, BEGINNING, 8);
  expect(all.flatMap(({ texts }) => texts)).toEqual(['one', 'two']);
});

test('a line longer than any of ours is passed over, in the memory of one chunk', async () => {
  const chunk = Buffer.alloc(1024 * 1024, 'x');
  async function* chunks(): AsyncGenerator<Buffer> {
    yield Buffer.from('one\n');
    for (let count = 0; count < 65; count += 1) yield chunk;
    yield Buffer.from('\ntwo\n');
  }
  const all: Lines[] = [];
  for await (const lines of readLines(chunks(), BEGINNING, null)) all.push(lines);
  expect(all.flatMap(({ texts }) => texts)).toEqual(['one', null, 'two']);
  expect(all.at(-1)?.mark).toEqual({ line: 2, offset: 4 + 65 * 1024 * 1024 + 1 });
});
