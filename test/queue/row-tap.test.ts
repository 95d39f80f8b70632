// What stands between PostgreSQL's socket and pg: the rows of a page are taken, all else goes through, however it is cut.

import { EventEmitter } from 'node:events';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import type pg from 'pg';
import { expect, test } from 'vitest';
import { createEvent, createRowShape, QueuedEvent } from '../../src/event/event.ts';
import { encodeRow, type RawValue } from '../../src/event/row-bytes.ts';
import { toBatchEvent } from '../../src/flow/batch.ts';
import { endPage } from '../../src/flow/page-buffers.ts';
import { FRESH } from '../../src/flow/standing.ts';
import { asUtf8, type RowPage, RowTap } from '../../src/queue/row-tap.ts';

const SHAPE = createRowShape([
  { name: 'id', kind: 'integer' },
  { name: 'event_type', kind: 'text' },
  { name: 'message', kind: 'text' },
]);

/** A tap on a socket of ours, and what pg's parser gets. */
function createTap() {
  const socket = new EventEmitter();
  const passed: Buffer[] = [];
  const connection = {
    attachListeners: (stream: { on(event: string, listener: (chunk: Buffer) => void): void }) =>
      stream.on('data', (chunk) => passed.push(chunk)),
  };
  const tap = new RowTap();
  tap.attach({ connection } as unknown as pg.Client);
  connection.attachListeners(socket as never);
  return { tap, passed, send: (chunk: Buffer) => socket.emit('data', chunk) };
}

function message(code: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5, code);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

function rowMessage(values: readonly RawValue[]): Buffer {
  const count = Buffer.alloc(2);
  count.writeInt16BE(values.length);
  return message('D', Buffer.concat([count, encodeRow(values)]));
}

const valuesOf = ({ bytes, starts }: RowPage): RawValue[][] =>
  starts.map((at) => SHAPE.columns.map((_, column) => new QueuedEvent(SHAPE, bytes, at).value(column)));

/** Cuts bytes into pieces of the sizes, which are taken in turn. */
function* cut(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, piece = 0; at < bytes.length; piece += 1) {
    const size = sizes[piece % sizes.length] ?? 1;
    // As from a buffer that is used again for what comes next.
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    yield chunk;
    chunk.fill(0xff);
    at += size;
  }
}

const row: fc.Arbitrary<[string, string, RawValue]> = fc.tuple(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  fc.constantFrom('scomp', 'engine_open', ''),
  fc.option(fc.string({ unit: 'grapheme', maxLength: 300 })),
);
const other = fc.tuple(fc.constantFrom('T', 'C', 'A', 'S'), fc.uint8Array({ maxLength: 40 }));

test('rows are taken and everything else is passed on, however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(row, other), { maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 5 }),
      (messages, sizes) => {
        const { tap, passed, send } = createTap();
        const isRow = (each: (typeof messages)[number]): each is [string, string, RawValue] => each.length === 3;
        const bytes = messages.map((each) => (isRow(each) ? rowMessage(each) : message(each[0], Buffer.from(each[1]))));
        tap.open();
        for (const chunk of cut(Buffer.concat(bytes), sizes)) send(chunk);
        expect(valuesOf(tap.close())).toEqual(messages.filter(isRow));
        const others = bytes.filter((_, at) => !isRow(messages[at] as (typeof messages)[number]));
        expect(Buffer.concat(passed)).toEqual(Buffer.concat(others));
      },
    ),
    { numRuns: 500 },
  );
});

test('outside of a page rows are pg’s', () => {
  const { tap, passed, send } = createTap();
  const bytes = rowMessage(['1', 'scomp', null]);
  send(bytes.subarray(0, 7));
  send(bytes.subarray(7));
  expect(Buffer.concat(passed)).toEqual(bytes);
  tap.open();
  expect(tap.close().starts).toEqual([]);
});

test('what no PostgreSQL sends is passed on as well, and holds nobody up', () => {
  const { tap, passed, send } = createTap();
  const bytes = Buffer.from([0x16, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02]);
  tap.open();
  // A loop without an end would hold up the timeout of the test as well.
  runInNewContext('send()', { send: () => send(bytes) }, { timeout: 10_000 });
  expect(Buffer.concat(passed)).toEqual(bytes);
  expect(tap.close().starts).toEqual([]);
});

test('a page grows with its rows', () => {
  const { tap, send } = createTap();
  // Larger than any buffer that is kept: it has to move at least once.
  const rows = Array.from({ length: 10 }, (_, at) => [String(at), 'scomp', `${at}`.repeat(1024 * 1024)]);
  tap.open();
  for (const values of rows) send(rowMessage(values));
  expect(valuesOf(tap.close())).toEqual(rows);
});

test('a page is used again once its events are done with, and who reads one of them then is told', () => {
  const { tap, send } = createTap();
  const read = (id: string) => {
    tap.open();
    send(rowMessage([id, 'scomp', 'a text']));
    send(rowMessage([`${id}0`, 'scomp', 'another']));
    const { bytes, starts } = tap.close();
    return starts.map((at) => toBatchEvent(new QueuedEvent(SHAPE, bytes, at), FRESH, false));
  };
  const [first, second] = read('1');
  first?.event.keep();
  endPage([first, second].flatMap((event) => event ?? []));
  const [third] = read('2');
  expect(third?.event.value(2)).toBe('a text');
  expect(first?.event.value(0)).toBe('1');
  expect(() => second?.event.value(0)).toThrow('after its page was given back');
});

test('an event that goes on waiting holds its own bytes and no more', () => {
  const { tap, send } = createTap();
  tap.open();
  send(rowMessage(['1', 'scomp', 'a text']));
  const { bytes, starts } = tap.close();
  const event = new QueuedEvent(SHAPE, bytes, starts[0] ?? -1);
  event.keep();
  event.keepAlone();
  expect(event.row).toHaveLength(event.bytes);
  expect(event.row.buffer.byteLength).toBe(event.bytes);
  endPage([toBatchEvent(event, FRESH, false)]);
  expect([event.value(0), event.value(2)]).toEqual(['1', 'a text']);
});

test('an event that came by itself is not taken for a page', () => {
  const event = toBatchEvent(createEvent(SHAPE, ['1', 'scomp', null]), FRESH, false);
  endPage([event]);
  expect(event.event.value(1)).toBe('scomp');
});

test('bytes that are no UTF-8 become U+FFFD, in their own column only', () => {
  const { tap, send } = createTap();
  const bytes = rowMessage(['1', 'scomp', 'a?é']);
  bytes[bytes.indexOf('?')] = 0xe9;
  tap.open();
  send(bytes);
  send(rowMessage(['2', 'scomp', null]));
  expect(valuesOf(asUtf8(tap.close()))).toEqual([
    ['1', 'scomp', 'a\ufffdé'],
    ['2', 'scomp', null],
  ]);
});
