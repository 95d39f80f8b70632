import { expect, test } from 'vitest';
import { createEvent, createRowShape, type QueuedEvent } from '../../src/event/event.ts';
import { type BatchEvent, toBatchEvent } from '../../src/flow/batch.ts';
import { FRESH } from '../../src/flow/standing.ts';
import type { KnownLines } from '../../src/log-file/journal/known-lines.ts';
import { createRenderer } from '../../src/log-file/rendering.ts';
import { withoutLine } from '../../src/log-file/without-line.ts';

const NAMES = ['id', 'event_type', 'event_time', 'headers', 'message', 'listid'];
const HEADERS = '{"Subject":  "a",\n "n": 12345678901234567890, "list": [1, {"x": null}]}';

function eventOf(values: Readonly<Record<string, string | null>>, names = NAMES): QueuedEvent {
  const shape = createRowShape(
    names.map((name) => ({ name, kind: name === 'id' || name === 'event_time' ? 'integer' : 'text' })),
  );
  const all: Readonly<Record<string, string | null>> = {
    id: '7',
    event_type: 'scomp',
    event_time: '1700000000',
    headers: HEADERS,
    message: '{"not": "expanded"}',
    ...values,
  };
  return createEvent(
    shape,
    names.map((name) => all[name] ?? null),
  );
}

const inBatch = (event: QueuedEvent): BatchEvent => toBatchEvent(event, FRESH, false);

/** Whether the event is known by a line that was written of another one under other settings. */
async function isKnown(
  [before, expandedThen]: readonly [QueuedEvent, readonly string[]],
  [now, expandedNow]: readonly [QueuedEvent, readonly string[]],
): Promise<boolean> {
  const lines = await createRenderer().render([inBatch(before)], 1_700_000_000_000_000, expandedThen);
  const line = String(lines).trimEnd();
  const known: KnownLines = {
    knows: () => true,
    linesOf: async () => new Map([['7', [line]]]),
    unsettled: 1,
    settled: () => undefined,
    close: async () => undefined,
  };
  const renderer = createRenderer();
  const item = inBatch(now);
  const missing = await withoutLine([item], [known], (event) => renderer.content(event, expandedNow));
  expect(item.standing.logged).toBe(missing.length === 0);
  return missing.length === 0;
}

test.each([
  ['as it was', ['headers'], ['headers']],
  ['with columns that are no objects any more', ['headers', 'message'], []],
  ['with columns that are objects now', [], ['headers', 'message']],
  ['with other columns as objects', ['headers'], ['message']],
])('an event is known by its line %s', async (_how, then, now) => {
  expect(await isKnown([eventOf({}), then], [eventOf({}), now])).toBe(true);
});

test('an event is known by its line when its table has got more columns', async () => {
  expect(await isKnown([eventOf({}), []], [eventOf({}, [...NAMES, 'sendid', 'extra']), ['headers']])).toBe(true);
});

test.each([
  ['another text', { message: 'other' }],
  ['another object', { headers: '{"Subject": "b"}' }],
  ['other digits far behind', { headers: HEADERS.replace('67890', '67891') }],
  ['a column that was empty', { listid: 'x' }],
  ['an empty column', { message: null }],
  ['another type', { event_type: 'engine_open' }],
])('an id that was used again with %s is another event', async (_what, values) => {
  expect(await isKnown([eventOf({}), ['headers']], [eventOf(values), []])).toBe(false);
  expect(await isKnown([eventOf({}), ['headers']], [eventOf(values), ['headers']])).toBe(false);
});
