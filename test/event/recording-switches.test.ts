import { expect, test } from 'vitest';
import { EVENT_TYPES } from '../../src/event/catalog.ts';
import { isStudioId, RECORDING_SWITCHES, switchOf } from '../../src/event/recording-switches.ts';

/** The switch of an event with these fields, as `engine FILE` or `studio COLUMN`. */
function placeOf(type: string, ...fields: string[]): string | null {
  const found = switchOf(type, fields.some(isStudioId));
  return found && `${found.origin} ${found.where}`;
}

test.each([
  ['bounce_all', [], 'engine record_events.simplemh.bounce_all'],
  ['bounce_all', ['studio_campaign_id'], 'studio event_notification_bounce_all'],
  ['bounce_bad_address', ['email'], 'engine record_events.simplemh.bounce_bad_address'],
  ['bounce_bad_address', ['studio_subscriber_id'], 'studio event_notification_bounce_bad_address'],
  ['scomp', [], 'engine record_events.simplemh.scomp'],
  ['scomp', ['studio_mailing_list_id'], 'studio event_notification_scomp'],
  ['scomp', ['studio_rl_recipid'], 'studio event_notification_scomp'],
  ['scomp', ['studio_is_unique', 'studio_ip', 'studio_rl_seq'], 'engine record_events.simplemh.scomp'],
  ['bounce_lite', [], 'engine record_events.bounce_lite'],
  ['scomp_lite', [], 'engine record_events.scomp_lite'],
  ['engine_click', [], 'engine record_events.simplemh.click'],
  ['engine_open', ['studio_campaign_id'], 'engine record_events.simplemh.open'],
  ['engine_unsub', [], 'engine record_events.simplemh.unsub'],
  ['delivery_attempt', [], 'engine record_events.delivery_attempt.json'],
  ['studio_click', ['studio_campaign_id'], 'studio event_notification_studio_click'],
  ['studio_open', [], 'studio event_notification_studio_open'],
  ['studio_unsub', [], 'studio event_notification_studio_unsub'],
  ['studio_subscriber_created', [], 'studio event_notification_studio_subscriber_created'],
  ['studio_subscriber_updated', [], 'studio event_notification_studio_subscriber_updated'],
  ['hook_stat', [], 'engine record_events.simplemh.bounce_all'],
  ['hook_bounce', ['studio_campaign_id'], 'studio event_notification_bounce_bad_address'],
  ['hook_scomp', [], 'engine record_events.simplemh.scomp'],
  ['Hook_Unsub', [], 'engine record_events.simplemh.unsub'],
  ['our_own', [], null],
  ['our_own', ['studio_campaign_id'], null],
])('%s with %j hangs on %s', (type, fields, place) => {
  expect(placeOf(type, ...fields)).toBe(place);
});

test('every type has a switch, at each place that makes it', () => {
  const expected = EVENT_TYPES.flatMap(({ name, origin }) =>
    origin === 'either' ? [`${name} engine`, `${name} studio`] : [`${name} ${origin}`],
  );
  expect(RECORDING_SWITCHES.map(({ type, origin }) => `${type} ${origin}`).sort()).toEqual(expected.sort());
});
