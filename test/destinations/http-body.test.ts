import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createHttpBodyBuilder } from '../../src/destinations/http-body.ts';
import { createEvent, createRowShape, type QueuedEvent } from '../../src/event/event.ts';
import { SHAPE, sampleEvent } from './samples.ts';

const expandJsonColumns = ['headers'];
const build = (format: 'json' | 'form', columns: 'all' | 'applicable', event: QueuedEvent) =>
  String(createHttpBodyBuilder({ format, columns, expandJsonColumns })(event));

const event = sampleEvent({
  id: '9223372036854775807',
  email: 'a b+c@example.com',
  bounce_text: 'line 1\nline "2" ü & ~',
  studio_is_unique: 't',
  timestamp: '1.50',
  headers: '{"X-A":12345678901234567890}',
  processed: 'f',
});

describe('a JSON body', () => {
  test('has all columns in table order but the queue’s own, with exact digits', () => {
    expect(build('json', 'all', event)).toBe(
      '{"id":9223372036854775807,"event_type":"bounce_all","event_time":1317305252,"email":"a b+c@example.com",' +
        '"bounce_text":"line 1\\nline \\"2\\" ü & ~","studio_is_unique":true,"timestamp":1.50,' +
        '"headers":{"X-A":12345678901234567890},"event_unique_id":null,"server_id":null}',
    );
  });

  test('has only the type’s columns and other non-null ones where applicable ones are asked for', () => {
    const body = build('json', 'applicable', sampleEvent({ event_type: 'hook_scomp', timestamp: '2' }));
    expect(Object.entries(JSON.parse(body))).toEqual([
      ['id', 1],
      ['event_time', 1317305252],
      ['event_type', 'hook_scomp'],
      ['server_id', null],
      ['event_unique_id', null],
      ['email', null],
      ['listid', null],
      ['sendid', null],
      ['click_tracking_id', null],
      ['mailclass', null],
      ['instanceid', null],
      ['timestamp', 2],
    ]);
  });

  test('of an unknown type has its head and its non-null columns', () => {
    const body = build('json', 'applicable', sampleEvent({ event_type: 'toString', email: 'x' }));
    expect(body).toBe('{"id":1,"event_time":1317305252,"event_type":"toString","email":"x"}');
    expect(JSON.parse(build('json', 'applicable', sampleEvent({ event_type: null })))).toHaveProperty(
      'event_type',
      null,
    );
  });
});

describe('a form body', () => {
  test('has the same columns, empty for null and 1 or 0 for booleans', () => {
    expect(build('form', 'all', event)).toBe(
      'id=9223372036854775807&event_type=bounce_all&event_time=1317305252&email=a+b%2Bc%40example.com' +
        '&bounce_text=line+1%0Aline+%222%22+%C3%BC+%26+%7E&studio_is_unique=1&timestamp=1.50' +
        '&headers=%7B%22X-A%22%3A12345678901234567890%7D&event_unique_id=&server_id=',
    );
    expect(build('form', 'all', sampleEvent({ studio_is_unique: 'f' }))).toContain('&studio_is_unique=0&');
  });

  test('leaves inapplicable empty columns out where applicable ones are asked for', () => {
    expect(build('form', 'applicable', sampleEvent({ event_type: 'new_type', email: 'x' }))).toBe(
      'id=1&event_time=1317305252&event_type=new_type&email=x',
    );
  });
});

test('a body stays as it is while the next ones are made', () => {
  const bodyOf = createHttpBodyBuilder({ format: 'json', columns: 'all', expandJsonColumns });
  const bodies = ['a', 'b', 'a longer one', ''].map((email) => bodyOf(sampleEvent({ id: '1', email })));
  expect(bodies.map((body) => JSON.parse(String(body)).email)).toEqual(['a', 'b', 'a longer one', '']);
});

test('one builder serves rows of several shapes and types in turn', () => {
  const builder = createHttpBodyBuilder({ format: 'json', columns: 'applicable', expandJsonColumns });
  const bare = createRowShape([
    { name: 'event_type', kind: 'text' },
    { name: 'id', kind: 'integer' },
  ]);
  for (let round = 0; round < 2; round += 1) {
    expect(String(builder(createEvent(bare, ['x', '5'])))).toBe('{"id":5,"event_time":null,"event_type":"x"}');
    expect(String(builder(sampleEvent({ event_type: 'scomp' })))).toContain('"mailclass":null');
  }
});

const anyText = fc.option(
  fc.string({ unit: 'binary' }).map((text) => text.replaceAll('\0', '')),
  { nil: null },
);
const anyEvent = fc
  .record({ email: anyText, bounce_text: anyText, server_id: anyText, event_type: anyText })
  .map((values) => sampleEvent(values));

test('any texts come back from a JSON and from a form body', () => {
  fc.assert(
    fc.property(anyEvent, fc.constantFrom('all', 'applicable'), (row, columns) => {
      const json = JSON.parse(build('json', columns, row));
      const form = new URLSearchParams(build('form', columns, row));
      for (const name of ['email', 'bounce_text', 'server_id', 'event_type']) {
        const raw = row.value(SHAPE.indexOf.get(name) ?? -1);
        expect(json[name] ?? null).toBe(raw);
        // A form has no null, and its octets are UTF-8.
        expect(form.get(name) ?? '').toBe(Buffer.from(raw ?? '').toString());
      }
    }),
  );
});
