import fc from 'fast-check';
import { expect, test } from 'vitest';
import { idempotencyKey } from '../../src/destinations/idempotency-key.ts';
import { createEvent, createRowShape } from '../../src/event/event.ts';
import { sampleEvent } from './samples.ts';

test('the key is the unique id, else server and id, else the id', () => {
  expect(idempotencyKey(sampleEvent({ id: '7', server_id: 'mta1', event_unique_id: 'u-1' }))).toBe('u-1');
  expect(idempotencyKey(sampleEvent({ id: '7', server_id: 'mta1' }))).toBe('mta1:7');
  expect(idempotencyKey(sampleEvent({ id: '7', server_id: 'mta1', event_unique_id: '' }))).toBe('mta1:7');
  expect(idempotencyKey(sampleEvent({ id: '9223372036854775807' }))).toBe('9223372036854775807');
});

test('a table without the columns gives the id', () => {
  const shape = createRowShape([
    { name: 'id', kind: 'integer' },
    { name: 'event_type', kind: 'text' },
  ]);
  expect(idempotencyKey(createEvent(shape, ['7', 'scomp']))).toBe('7');
});

test('what a header cannot carry is percent-encoded', () => {
  expect(idempotencyKey(sampleEvent({ event_unique_id: 'a\r\nx-evil: ü' }))).toBe('a%0D%0Ax-evil:%20%C3%BC');
});

test('a key is visible ASCII of at most 255 characters, and the same every time', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1, maxLength: 80 }), (event_unique_id) => {
      const key = idempotencyKey(sampleEvent({ event_unique_id }));
      expect(key).toMatch(/^[!-~]{1,255}$/);
      expect(idempotencyKey(sampleEvent({ event_unique_id }))).toBe(key);
    }),
  );
});
