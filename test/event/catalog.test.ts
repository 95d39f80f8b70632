import { expect, test } from 'vitest';
import { canonicalType, EVENT_TYPES, findEventType } from '../../src/event/catalog.ts';
import { QUEUE_COLUMNS } from '../../src/event/queue-columns.ts';

const COLUMN_NAMES = new Set(QUEUE_COLUMNS.map(({ name }) => name));

test('there are fourteen event types, each under one name', () => {
  const names = EVENT_TYPES.flatMap(({ name, formerNames }) => [name, ...formerNames]);
  expect(EVENT_TYPES).toHaveLength(14);
  expect(new Set(names).size).toBe(names.length);
});

test.each(EVENT_TYPES)('every field of $name is a column of the queue table and stands once', ({ fields }) => {
  expect(fields.filter((field) => !COLUMN_NAMES.has(field))).toEqual([]);
  expect(new Set(fields).size).toBe(fields.length);
});

test.each(EVENT_TYPES)('$name leaves the keys that head a line to the line', ({ fields }) => {
  const heads = ['id', 'event_id', 'event_type', 'event_time', 'time_written_to_logfile', 'destination_id'];
  expect(fields.filter((field) => heads.includes(field))).toEqual([]);
});

test.each([
  ['hook_stat', 'bounce_all'],
  ['hook_bounce', 'bounce_bad_address'],
  ['hook_scomp', 'scomp'],
  ['hook_unsub', 'engine_unsub'],
])('%s is a former name of %s', (former, current) => {
  expect(canonicalType(former)).toBe(current);
  expect(canonicalType(former.toUpperCase())).toBe(current);
  expect(findEventType(former)).toBe(findEventType(current));
});

test('an unknown type keeps its name in lower case', () => {
  expect(canonicalType('Engine_Forward')).toBe('engine_forward');
  expect(findEventType('engine_forward')).toBeUndefined();
  expect(findEventType('__proto__')).toBeUndefined();
});

test('the fields of a type stand in the order of its documentation', () => {
  expect(findEventType('bounce_all')?.fields.join(' ')).toBe(
    'server_id event_unique_id email listid sendid bounce_type bounce_code bounce_text click_tracking_id synchronous mailclass instanceid',
  );
  expect(findEventType('scomp_lite')?.fields.join(' ')).toBe(
    'event_unique_id server_id email user_agent headers report_recipient report_message_text report_sender',
  );
  expect(findEventType('studio_subscriber_updated')?.fields.join(' ')).toBe(
    'server_id event_unique_id listid studio_mailing_list_id list_name studio_subscriber_id email json_before json_after',
  );
  const unsub = findEventType('studio_unsub')?.fields ?? [];
  expect(findEventType('studio_open')?.fields.filter((field) => field !== 'studio_ip')).toEqual(unsub);
});

test('the queue table has the columns of the documented table and eleven more', () => {
  expect(QUEUE_COLUMNS.filter(({ own }) => !own)).toHaveLength(53);
  expect(QUEUE_COLUMNS.filter(({ own }) => own)).toHaveLength(11);
  expect(COLUMN_NAMES.size).toBe(QUEUE_COLUMNS.length);
});
