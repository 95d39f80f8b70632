// The switches of recording: one data table, and the one rule that says which switch an event hangs on (SPEC 7, seed
// 001, step 1). Read by the recorder, by `tailrace recording` and by the SQL functions that `init` makes.

import { findEventType } from './catalog.ts';

/** Whose switch it is. A type that both make (`bounce_all`, `bounce_bad_address`, `scomp`) has one at each. */
export type SwitchOrigin = 'engine' | 'studio';

export interface RecordingSwitch {
  /** The current name of the event type. */
  readonly type: string;
  readonly origin: SwitchOrigin;
  /** Engine: the file in the control directory. Studio: the boolean column of `s_system_configs`. */
  readonly where: string;
  /** What the file must hold: `1`, or `{"enabled": true}`. A column is simply true. */
  readonly form: 'one' | 'json' | 'column';
}

/** The Studio's one-row table. */
export const STUDIO_TABLE = 's_system_configs';

const engine = (type: string, where: string, form: 'one' | 'json' = 'one'): RecordingSwitch => ({
  type,
  origin: 'engine',
  where: `record_events.${where}`,
  form,
});

const studio = (type: string): RecordingSwitch => ({
  type,
  origin: 'studio',
  where: `event_notification_${type}`,
  form: 'column',
});

/** All seventeen, in catalog order; those of the Engine first. */
export const RECORDING_SWITCHES: readonly RecordingSwitch[] = [
  engine('bounce_all', 'simplemh.bounce_all'),
  engine('bounce_bad_address', 'simplemh.bounce_bad_address'),
  engine('bounce_lite', 'bounce_lite'),
  engine('scomp', 'simplemh.scomp'),
  engine('scomp_lite', 'scomp_lite'),
  engine('engine_click', 'simplemh.click'),
  engine('engine_open', 'simplemh.open'),
  engine('engine_unsub', 'simplemh.unsub'),
  engine('delivery_attempt', 'delivery_attempt.json', 'json'),
  studio('bounce_all'),
  studio('bounce_bad_address'),
  studio('scomp'),
  studio('studio_click'),
  studio('studio_open'),
  studio('studio_unsub'),
  studio('studio_subscriber_created'),
  studio('studio_subscriber_updated'),
];

/** Those that are files in the control directory. */
export const ENGINE_SWITCHES = RECORDING_SWITCHES.filter(({ origin }) => origin === 'engine');
/** Those that are columns of `s_system_configs`. */
export const STUDIO_SWITCHES = RECORDING_SWITCHES.filter(({ origin }) => origin === 'studio');

/** A field whose value, when it is not null, makes an event one of Studio. */
const STUDIO_ID = /^studio_.*id$/;

/** Whether a field that is not null makes its event one of Studio: it is a `studio_*` id. */
export function isStudioId(field: string): boolean {
  return field.startsWith('studio_') && STUDIO_ID.test(field);
}

/**
 * The switch that decides whether an event is recorded; null: none, it always is.
 *
 * @param type under its current or a former name, in any case.
 * @param ofStudio whether it has a field that `isStudioId` names; it matters only for the types that both make.
 */
export function switchOf(type: string, ofStudio: boolean): RecordingSwitch | null {
  const known = findEventType(type);
  if (known === undefined) return null;
  const origin = known.origin === 'either' ? (ofStudio ? 'studio' : 'engine') : known.origin;
  return RECORDING_SWITCHES.find((each) => each.type === known.name && each.origin === origin) ?? null;
}
